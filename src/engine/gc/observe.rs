//! Tells the observer what a collection found, in the order in which Distribution prints it.

use super::Event;
use super::collect::Collection;
use super::graph::State;
use super::interner::IdSet;
use super::inventory::{Inventory, data_path};
use super::mark::Marks;
use super::plan::Plan;
use super::report::Unreadable;
use crate::layout::Entry;
use crate::oci::Tag;

impl Collection<'_> {
    /// Emits the events, counts live manifests and blobs, and completes the list of unreadable files.
    pub(super) fn announce(&mut self, inventory: &Inventory, marks: &Marks, plan: &Plan) {
        let mut marked = IdSet::default();
        let mut count = 0;
        let mut doubtful = IdSet::default();
        for (contents, marks) in inventory.repositories.iter().zip(&marks.repositories) {
            let name = &contents.name;
            self.emit(|| Event::Repository(name));
            for (link, live) in contents.revisions.iter().zip(&marks.revisions) {
                if !live {
                    continue;
                }
                count += u64::from(marked.insert(link.id));
                if self.options.observer.is_some() {
                    let digest = self.ids.digest(link.id);
                    self.emit(|| Event::MarkedManifest(name, &digest));
                }
                let Some(reading) = self.graph.get(link.id) else { continue };
                let references = reading.references.iter().filter_map(|id| contents.resolve(*id));
                for id in references.filter(|id| marked.insert(*id)) {
                    count += 1;
                    if self.options.observer.is_some() {
                        let digest = self.ids.digest(id);
                        self.emit(|| Event::MarkedBlob(name, &digest));
                    }
                }
                let (entry, reason) = match &reading.state {
                    State::Parsed => continue,
                    // The link is wrong, in each repository that has one.
                    State::Missing => {
                        let entry = Entry::RevisionLink(name.clone(), self.ids.digest(link.id));
                        (entry.path(), "the manifest's data are gone")
                    }
                    State::Heuristic(_) | State::Unreadable(_) if !doubtful.insert(link.id) => continue,
                    State::Heuristic(reason) | State::Unreadable(reason) => {
                        (data_path(&self.ids, link.id), &**reason)
                    }
                };
                let unreadable = Unreadable { path: entry.to_string(), reason: reason.to_owned() };
                self.report.unreadable.push(unreadable);
            }
            for place in &marks.dangling {
                let history = &contents.tags[*place];
                let Some(target) = history.current else { continue };
                let entry = Entry::TagCurrent(name.clone(), history.tag.clone());
                let reason = format!(
                    "it points at {}, to which the repository has no link: push that again or delete the tag",
                    self.ids.digest(target)
                );
                self.report.unreadable.push(Unreadable { path: entry.path().to_string(), reason });
            }
            let is_untagged = contents.tags.is_empty() && !contents.revisions.is_empty();
            if self.options.delete_untagged && is_untagged {
                self.emit(|| Event::NoTags(name));
            }
        }
        self.report.marked = count;
        if self.options.observer.is_some() {
            self.announce_plan(inventory, plan);
        }
    }

    fn announce_plan(&self, inventory: &Inventory, plan: &Plan) {
        for revisions in plan.revisions.chunk_by(|(a, _), (b, _)| a == b) {
            let tags: Vec<Tag> = revisions
                .first()
                .and_then(|(name, _)| inventory.find(name))
                .map(|contents| contents.tags.iter().map(|history| history.tag.clone()).collect())
                .unwrap_or_default();
            for (name, id) in revisions {
                let digest = self.ids.digest(*id);
                self.emit(|| Event::ManifestEligible(name, &digest, &tags));
            }
        }
        self.emit(|| Event::Summary {
            marked: self.report.marked,
            blobs: plan.blobs.len() as u64,
            manifests: plan.revisions.len() as u64,
        });
        for (id, _) in &plan.blobs {
            let digest = self.ids.digest(*id);
            self.emit(|| Event::BlobEligible(&digest));
        }
        for (name, id) in &plan.layers {
            let digest = self.ids.digest(*id);
            self.emit(|| Event::LayerLinkEligible(name, &digest));
        }
        for (name, tag, id) in &plan.tag_entries {
            let digest = self.ids.digest(*id);
            self.emit(|| Event::TagEntryEligible(name, tag, &digest));
        }
        plan.uploads.iter().for_each(|(name, id)| self.emit(|| Event::UploadEligible(name, id)));
        self.temporary.iter().for_each(|(path, _)| self.emit(|| Event::TemporaryEligible(path)));
        plan.repositories.iter().for_each(|name| self.emit(|| Event::RepositoryEligible(name)));
        for Unreadable { path, reason } in &self.report.unreadable {
            if let Ok(path) = path.parse() {
                self.emit(|| Event::Unreadable(&path, reason));
            }
        }
        inventory.foreign.iter().for_each(|path| self.emit(|| Event::Foreign(path)));
    }

    fn emit<'e>(&self, event: impl FnOnce() -> Event<'e>) {
        if let Some(observer) = &self.options.observer {
            observer.emit(event());
        }
    }
}
