//! Tells the observer what a collection found, in the order in which Distribution prints it.

use super::Event;
use super::context::Context;
use super::graph::{ReferenceGraph, State};
use super::interner::IdSet;
use super::inventory::{Inventory, data_path};
use super::mark::Marks;
use super::plan::Plan;
use super::report::{Report, Unreadable};
use crate::layout::Entry;
use crate::oci::Tag;

/// Emits the events, counts live manifests and blobs, and completes the list of unreadable files.
pub(super) fn observe(
    cx: &Context<'_>,
    inventory: &Inventory,
    graph: &ReferenceGraph,
    marks: &Marks,
    plan: &Plan,
    report: &mut Report,
) {
    let mut marked = IdSet::default();
    let mut count = 0;
    let mut doubtful = IdSet::default();
    for (contents, marks) in inventory.repositories.iter().zip(&marks.repositories) {
        let name = &contents.name;
        emit(cx, || Event::Repository(name));
        for (link, live) in contents.revisions.iter().zip(&marks.revisions) {
            if !live {
                continue;
            }
            count += u64::from(marked.insert(link.id));
            if cx.options.observer.is_some() {
                let digest = cx.ids.digest(link.id);
                emit(cx, || Event::MarkedManifest(name, &digest));
            }
            let Some(reading) = graph.get(link.id) else { continue };
            let references = reading.references.iter().filter_map(|id| contents.resolve(*id));
            for id in references.filter(|id| marked.insert(*id)) {
                count += 1;
                if cx.options.observer.is_some() {
                    let digest = cx.ids.digest(id);
                    emit(cx, || Event::MarkedBlob(name, &digest));
                }
            }
            let (entry, reason) = match &reading.state {
                State::Parsed => continue,
                // A client that asks for it makes the registry fetch it.
                State::Missing if cx.registry.caches().contains(name) => continue,
                // The link is wrong, in each repository that has one.
                State::Missing => {
                    let entry = Entry::RevisionLink(name.clone(), cx.ids.digest(link.id));
                    (entry.path(), "the manifest's data are gone")
                }
                State::Heuristic(_) | State::Unreadable(_) if !doubtful.insert(link.id) => continue,
                State::Heuristic(reason) | State::Unreadable(reason) => {
                    (data_path(&cx.ids, link.id), &**reason)
                }
            };
            let unreadable = Unreadable { path: entry.to_string(), reason: reason.to_owned() };
            report.unreadable.push(unreadable);
        }
        for place in &marks.dangling {
            let history = &contents.tags[*place];
            let Some(target) = history.current else { continue };
            let entry = Entry::TagCurrent(name.clone(), history.tag.clone());
            let reason = format!(
                "it points at {}, to which the repository has no link: push that again or delete the tag",
                cx.ids.digest(target)
            );
            report.unreadable.push(Unreadable { path: entry.path().to_string(), reason });
        }
        let is_untagged = contents.tags.is_empty() && !contents.revisions.is_empty();
        if cx.options.delete_untagged && is_untagged {
            emit(cx, || Event::NoTags(name));
        }
    }
    report.marked = count;
    if cx.options.observer.is_some() {
        emit_plan(cx, inventory, plan, report);
    }
}

fn emit_plan(cx: &Context<'_>, inventory: &Inventory, plan: &Plan, report: &Report) {
    for revisions in plan.revisions.chunk_by(|(a, _), (b, _)| a == b) {
        let tags: Vec<Tag> = revisions
            .first()
            .and_then(|(name, _)| inventory.find(name))
            .map(|contents| contents.tags.iter().map(|history| history.tag.clone()).collect())
            .unwrap_or_default();
        for (name, id) in revisions {
            let digest = cx.ids.digest(*id);
            emit(cx, || Event::ManifestEligible(name, &digest, &tags));
        }
    }
    emit(cx, || Event::Summary {
        marked: report.marked,
        blobs: plan.blobs.len() as u64,
        manifests: plan.revisions.len() as u64,
    });
    for (id, _) in &plan.blobs {
        let digest = cx.ids.digest(*id);
        emit(cx, || Event::BlobEligible(&digest));
    }
    for (name, id) in &plan.layers {
        let digest = cx.ids.digest(*id);
        emit(cx, || Event::LayerLinkEligible(name, &digest));
    }
    for (name, tag, id) in &plan.tag_entries {
        let digest = cx.ids.digest(*id);
        emit(cx, || Event::TagEntryEligible(name, tag, &digest));
    }
    plan.uploads.iter().for_each(|(name, id)| emit(cx, || Event::UploadEligible(name, id)));
    plan.temporary.iter().for_each(|file| emit(cx, || Event::TemporaryEligible(&file.path)));
    plan.repositories.iter().for_each(|name| emit(cx, || Event::RepositoryEligible(name)));
    for Unreadable { path, reason } in &report.unreadable {
        if let Ok(path) = path.parse() {
            emit(cx, || Event::Unreadable(&path, reason));
        }
    }
    inventory.foreign.iter().for_each(|path| emit(cx, || Event::Foreign(path)));
}

fn emit<'e>(cx: &Context<'_>, event: impl FnOnce() -> Event<'e>) {
    if let Some(observer) = &cx.options.observer {
        observer.emit(event());
    }
}
