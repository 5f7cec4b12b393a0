//! `Changes`: repositories that a request of the page changes, recorded and notified like changes by the API; and what it may not.

use http::request::Parts;
use sampan_engine::Repository;
use sampan_engine::oci::{Digest, RepositoryName, Tag};

use crate::gate::Right;

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

    /// Records that `user` may not do what the request asks for.
    fn refused(&self, request: &Parts, user: &str, wanted: DeniedAccess<'_>);
}

/// What a visitor asked for without the right to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DeniedAccess<'a> {
    /// A right in a repository.
    InRepository(Right, &'a RepositoryName),
    /// The collections.
    Collections,
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
