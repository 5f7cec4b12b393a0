//! `Event`: a change, a pull or damage of content. The engine emits a change once it is durable.
//!
//! A [`Repository`](crate::Repository) without a sink creates no events.

use std::fmt;

use bytes::Bytes;

use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// An event in a repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// The repository.
    pub repository: RepositoryName,
    /// The event itself.
    pub what: EventKind,
}

/// The kinds of events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// A request served or confirmed a manifest.
    ManifestPulled(ManifestEvent),
    /// A request stored a manifest.
    ManifestPushed(ManifestEvent),
    /// A request deleted a manifest, after its tags.
    ManifestDeleted(Digest),
    /// A request deleted a tag, alone or with its manifest.
    TagDeleted(Tag),
    /// A request served or confirmed a blob.
    BlobPulled(BlobEvent),
    /// A request stored a blob.
    BlobPushed(BlobEvent),
    /// A request linked a blob that the store already had.
    BlobMounted {
        /// The blob.
        blob: BlobEvent,
        /// The source repository; `None` when the client named none.
        from: Option<RepositoryName>,
    },
    /// A request deleted a blob.
    BlobDeleted(Digest),
    /// A verification found that the content of a blob or manifest is damaged, missing or unreadable.
    ContentDamaged(Digest),
}

/// The manifest of an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ManifestEvent {
    /// The digest, in the algorithm of the request.
    pub digest: Digest,
    /// The media type.
    pub media_type: MediaType,
    /// All bytes of the manifest.
    pub bytes: Bytes,
    /// The tag of the request.
    pub tag: Option<Tag>,
}

/// The blob of an event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BlobEvent {
    /// The digest, in the algorithm of the request.
    pub digest: Digest,
    /// The length in bytes.
    pub size_bytes: u64,
}

/// A receiver of events. Requests call it inline, so it must return at once and handle its own failures.
pub trait EventSink: fmt::Debug + Send + Sync + 'static {
    /// Receives an event.
    fn emit(&self, event: Event);
}
