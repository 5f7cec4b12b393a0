//! `Changes`: repositories that a request of the page changes, recorded and notified like changes by the API.

use http::request::Parts;
use sampan_engine::Repository;
use sampan_engine::oci::{Digest, RepositoryName, Tag};

/// Hands out repositories for changes.
pub trait Changes: Send + Sync {
    /// The repository for a change by `user`. The change is recorded before it happens.
    fn repository(
        &self,
        request: &Parts,
        user: Option<&str>,
        name: RepositoryName,
        change: Change<'_>,
    ) -> Repository;

    /// Records that `user` began a collection.
    fn collection_requested(&self, request: &Parts, user: Option<&str>);
}

/// A change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change<'a> {
    /// A tag is deleted.
    DeleteTag {
        /// The tag.
        tag: &'a Tag,
        /// The image that it pointed at; `None` if it pointed at none.
        digest: Option<&'a Digest>,
    },
    /// Everything in the repository is deleted.
    DeleteAll {
        /// The number of its tags.
        tags: usize,
        /// The number of its manifests.
        images: usize,
    },
    /// A tag is pointed again at the image that it was removed from.
    Restore {
        /// The tag.
        tag: &'a Tag,
        /// The image.
        digest: &'a Digest,
    },
}
