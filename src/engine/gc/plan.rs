//! `Plan`: what is to go, as data. Pure.

use std::time::SystemTime;

use super::ids::{Id, IdHashSet, IdMap, Ids};
use super::inventory::{Contents, Data, Inventory};
use super::library::Library;
use super::mark::{Marks, RepositoryMarks};
use super::report::Amount;
use crate::oci::{RepositoryName, Tag};
use crate::upload_id::UploadId;

/// What is to go, in the order in which it may.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) tag_entries: Vec<(RepositoryName, Tag, Id)>,
    /// Indexes before their children, subjects before what is attached to them.
    pub(super) revisions: Vec<(RepositoryName, Id)>,
    pub(super) layers: Vec<(RepositoryName, Id)>,
    pub(super) aliases: Vec<DeadAlias>,
    /// What would be garbage if it were older.
    pub(super) young: Amount,
    /// With their lengths.
    pub(super) blobs: Vec<(Id, u64)>,
    pub(super) uploads: Vec<(RepositoryName, UploadId)>,
    /// Repositories of which nothing would be left.
    pub(super) repositories: Vec<RepositoryName>,
}

/// An alias that goes with what it stands for.
#[derive(Clone, Debug)]
pub(super) struct DeadAlias {
    pub(super) name: RepositoryName,
    pub(super) id: Id,
    pub(super) canonical: Id,
    pub(super) of_manifest: bool,
}

/// Plans. Uploads go that were last touched before `uploads_before`.
pub(super) fn plan(
    inventory: &Inventory,
    data: &Data,
    library: &Library,
    marks: &Marks,
    ids: &Ids,
    uploads_before: Option<SystemTime>,
) -> Plan {
    let mut plan = Plan::default();
    for (contents, marks) in inventory.repositories.iter().zip(&marks.repositories) {
        plan.add(contents, marks, library, uploads_before);
    }
    for id in ids.canonical() {
        let Some(size_bytes) = data.size_bytes(id) else { continue };
        if marks.data.contains(id) {
            continue;
        }
        if marks.young.contains(id) || data.is_young(id) {
            plan.young.add(size_bytes);
        } else {
            plan.blobs.push((id, size_bytes));
        }
    }
    // Neighbours on the disk.
    plan.blobs.sort_unstable_by_key(|(id, _)| ids.hash(*id));
    plan
}

impl Plan {
    fn add(
        &mut self,
        contents: &Contents,
        marks: &RepositoryMarks,
        library: &Library,
        uploads_before: Option<SystemTime>,
    ) {
        if contents.is_blank() {
            return;
        }
        let name = &contents.name;
        let lives = |links: &[super::inventory::Link], marks: &[bool]| -> IdHashSet {
            links.iter().zip(marks).filter(|(_, live)| **live).map(|(link, _)| link.id).collect()
        };
        let live_revisions = lives(&contents.revisions, &marks.revisions);
        let live_layers = lives(&contents.layers, &marks.layers);
        let dead_revisions =
            contents.revisions.iter().map(|link| link.id).filter(|id| !live_revisions.contains(id));
        let dead_revisions: Vec<Id> = dead_revisions.collect();
        let dead_layers = contents.layers.iter().map(|link| link.id).filter(|id| !live_layers.contains(id));
        self.layers.extend(dead_layers.map(|id| (name.clone(), id)));

        let mut left = live_revisions.len() + live_layers.len();
        for alias in &contents.aliases {
            let live = if alias.of_manifest { &live_revisions } else { &live_layers };
            let canonical = match alias.canonical {
                Some(canonical) if !marks.is_obscure && !alias.young && !live.contains(&canonical) => {
                    canonical
                }
                _ => {
                    left += 1;
                    continue;
                }
            };
            let id = alias.id;
            self.aliases.push(DeadAlias {
                name: name.clone(),
                id,
                canonical,
                of_manifest: alias.of_manifest,
            });
            let dead = if alias.of_manifest { &mut self.revisions } else { &mut self.layers };
            let entry = (name.clone(), canonical);
            // Without the link that counts it means nothing, but goes as if that were there.
            if !contents.has(canonical, alias.of_manifest) && !dead.contains(&entry) {
                dead.push(entry);
            }
        }
        for (place, history) in contents.tags.iter().enumerate() {
            left += usize::from(history.is_current);
            // A tag that points at a manifest without a link keeps what it tells of that.
            let kept = history.current.filter(|_| marks.dangling.contains(&place));
            let stays = marks.is_obscure || history.unreadable;
            for entry in &history.entries {
                let is_live = live_revisions.contains(&entry.id) || kept == Some(entry.id);
                if stays || entry.is_young() || is_live {
                    left += 1;
                } else {
                    self.tag_entries.push((name.clone(), history.tag.clone(), entry.id));
                }
            }
        }
        for (id, touched) in &contents.uploads {
            match uploads_before {
                Some(before) if *touched < before => self.uploads.push((name.clone(), id.clone())),
                _ => left += 1,
            }
        }
        self.revisions
            .extend(referring_first(&dead_revisions, contents, library).map(|id| (name.clone(), id)));
        if left == 0 {
            self.repositories.push(name.clone());
        }
    }
}

impl Contents {
    fn has(&self, id: Id, of_manifest: bool) -> bool {
        let links = if of_manifest { &self.revisions } else { &self.layers };
        links.iter().any(|link| link.id == id)
    }
}

/// Manifests in an order in which each comes before what it refers to and before what is attached to it.
/// Digests cannot refer to one another in a circle.
fn referring_first<'a>(
    dead: &[Id],
    contents: &'a Contents,
    library: &'a Library,
) -> impl Iterator<Item = Id> + use<'a> {
    let places: IdHashSet = dead.iter().copied().collect();
    let mut below: IdMap<Vec<Id>> = IdMap::default();
    for id in dead {
        let Some(reading) = library.get(*id) else { continue };
        let references = reading.references.iter().filter_map(|reference| contents.resolve(*reference));
        below.entry(*id).or_default().extend(references.filter(|reference| places.contains(reference)));
        let subject = reading.subject.and_then(|subject| contents.resolve(subject));
        if let Some(subject) = subject.filter(|subject| places.contains(subject)) {
            below.entry(subject).or_default().push(*id);
        }
    }
    let mut order = Vec::with_capacity(dead.len());
    let mut met = IdHashSet::default();
    // Each is written down when all below it are; the reverse of that is the order.
    let mut todo: Vec<(Id, bool)> = dead.iter().map(|id| (*id, false)).collect();
    while let Some((id, is_done)) = todo.pop() {
        if is_done {
            order.push(id);
        } else if met.insert(id) {
            todo.push((id, true));
            todo.extend(below.get(&id).into_iter().flatten().map(|id| (*id, false)));
        }
    }
    order.into_iter().rev()
}
