//! `LayerSharing`: the images with a given layer that a visitor may see.

use std::cell::RefCell;
use std::collections::HashMap;

use sampan_engine::oci::{Digest, RepositoryName};
use sampan_engine::{LayerUser, LayerUsers};

use crate::gate::{Right, Visitor};

/// The images with a given layer that a visitor may see.
pub(super) struct LayerSharing<'a> {
    users: &'a LayerUsers,
    visitor: &'a Visitor,
    sees_all: bool,
    /// Whether the visitor may see each repository, by its index: a layer may belong to a hundred thousand images.
    visible: RefCell<Vec<Option<bool>>>,
    /// An image may have a layer many times.
    counts: RefCell<HashMap<Digest, u64>>,
}

impl<'a> LayerSharing<'a> {
    pub(super) fn new(users: &'a LayerUsers, visitor: &'a Visitor) -> Self {
        let visible = RefCell::new(vec![None; users.repositories()]);
        let sees_all = visitor.rights.everywhere(Right::Pull);
        Self { users, visitor, sees_all, visible, counts: RefCell::default() }
    }

    /// The images that have a layer, in the order of their repositories' names and their digests.
    pub(super) fn images(&self, layer: &Digest) -> impl Iterator<Item = LayerUser<'a>> {
        self.users.of(layer).filter(|user| self.may_see(user))
    }

    /// The number of images that have a layer, beside one of them.
    pub(super) fn others(&self, layer: &Digest, name: &RepositoryName, image: &Digest) -> u64 {
        let count = || {
            let is_other = |user: &LayerUser<'_>| user.repository != name || user.digest() != *image;
            self.images(layer).filter(is_other).count() as u64
        };
        *self.counts.borrow_mut().entry(layer.clone()).or_insert_with(count)
    }

    fn may_see(&self, user: &LayerUser<'_>) -> bool {
        let may = || self.visitor.rights.may(Right::Pull, user.repository);
        self.sees_all
            || match self.visible.borrow_mut().get_mut(user.place) {
                Some(known) => *known.get_or_insert_with(may),
                None => may(),
            }
    }
}
