//! `KnownContent`: the content that a bundle carries, and what it presumes that the target has.

use std::collections::HashMap;

use sampan_bundle::{ContentKind, Plan, PlannedContent, Presumed};
use sampan_engine::oci::Digest;

/// The content of a plan by its digest; the length of the plan bounds it.
pub(crate) struct KnownContent<'a> {
    contents: &'a [PlannedContent],
    /// Where each content is in the bundle.
    places: HashMap<&'a Digest, usize>,
    presumed: HashMap<&'a Digest, &'a Presumed>,
}

impl<'a> KnownContent<'a> {
    pub(crate) fn new(plan: &'a Plan) -> Self {
        let places = plan.contents.iter().enumerate();
        Self {
            contents: &plan.contents,
            places: places.map(|(index, content)| (&content.digest, index)).collect(),
            presumed: plan.presumed.iter().map(|presumed| (&presumed.digest, presumed)).collect(),
        }
    }

    /// The index in the plan of content that the bundle carries.
    pub(crate) fn place(&self, digest: &Digest) -> Option<usize> {
        self.places.get(digest).copied()
    }

    /// What the bundle presumes.
    pub(crate) fn presumed(&self, digest: &Digest) -> Option<&'a Presumed> {
        self.presumed.get(digest).copied()
    }

    /// 0 for content that the plan does not name.
    pub(crate) fn size_bytes(&self, digest: &Digest) -> u64 {
        match self.place(digest) {
            Some(index) => self.contents[index].size_bytes,
            None => self.presumed(digest).map_or(0, |presumed| presumed.size_bytes),
        }
    }

    pub(crate) fn kind(&self, digest: &Digest) -> Option<ContentKind> {
        match self.place(digest) {
            Some(index) => Some(self.contents[index].kind),
            None => self.presumed(digest).map(|presumed| presumed.kind),
        }
    }
}
