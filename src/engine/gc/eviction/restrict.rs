//! Restricts a plan to caches.

use std::collections::HashSet;

use super::super::interner::IdSet;
use super::super::plan::Plan;
use super::victims::Victims;
use crate::layout::place_in_repository;
use crate::oci::RepositoryName;

impl Plan {
    /// Leaves the files of all repositories that are no caches. Data that nothing refers to stay in the plan.
    pub(in crate::gc) fn leave_others(&mut self, is_cache: impl Fn(&RepositoryName) -> bool) {
        self.uploads.retain(|(name, _)| is_cache(name));
        self.repositories.retain(&is_cache);
        self.marks.retain(|mark| is_cache(&mark.manifest.0));
        self.temporary.retain(|file| place_in_repository(&file.path).is_none_or(|(name, _)| is_cache(&name)));
    }

    /// Leaves all garbage but what the victims needed.
    pub(in crate::gc) fn leave_garbage(
        &mut self,
        victims: &Victims,
        is_cache: impl Fn(&RepositoryName) -> bool,
    ) {
        let mut linked_elsewhere = IdSet::default();
        for (_, id) in self.layers.iter().filter(|(name, _)| !is_cache(name)) {
            linked_elsewhere.insert(*id);
        }
        self.blobs.retain(|(id, _)| victims.reason_of_data(*id).is_some() && !linked_elsewhere.contains(*id));
        self.revisions.retain(|(name, id)| victims.reason(name, *id).is_some());
        self.layers.retain(|(name, _)| is_cache(name));
        let dead: HashSet<_> = self.revisions.iter().cloned().collect();
        self.marks.retain(|mark| dead.contains(&mark.manifest));
        self.aliases.retain(|alias| is_cache(&alias.name));
        self.tag_entries.retain(|(name, _, _)| is_cache(name));
        self.referrers.retain(|entry| dead.contains(&(entry.name.clone(), entry.manifest)));
        self.misplaced_referrers.clear();
        self.missing_referrers.clear();
        self.unmarked_indexes.clear();
        self.temporary.clear();
        self.repositories.clear();
    }
}
