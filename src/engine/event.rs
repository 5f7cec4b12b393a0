//! `Event`: what happened to content, told to whoever listens, after it is durable.
//!
//! A [`Repository`](crate::Repository) that nobody listens to makes no events at all.

use std::fmt;

use bytes::Bytes;

use crate::oci::{Digest, MediaType, RepositoryName, Tag};

/// Something that happened to the content of a repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Where.
    pub repository: RepositoryName,
    /// What.
    pub what: EventKind,
}

/// What can happen to content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// A client was given a manifest, or told that it is here.
    ManifestPulled(ManifestEvent),
    /// A manifest was stored.
    ManifestPushed(ManifestEvent),
    /// A manifest was removed. Its tags were before.
    ManifestDeleted(Digest),
    /// A tag was removed, by itself or with its manifest.
    TagDeleted(Tag),
    /// A client was given a blob, or told that it is here.
    BlobPulled(BlobEvent),
    /// A blob was stored.
    BlobPushed(BlobEvent),
    /// A blob was made visible that was in the store already.
    BlobMounted {
        /// Which.
        blob: BlobEvent,
        /// From where; `None` when the client did not care.
        from: Option<RepositoryName>,
    },
    /// A blob was removed.
    BlobDeleted(Digest),
}

/// What is told of a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ManifestEvent {
    /// Its digest, in the algorithm of the request.
    pub digest: Digest,
    /// Its media type.
    pub media_type: MediaType,
    /// The whole of it.
    pub bytes: Bytes,
    /// The tag by which it was asked for, or under which it was stored.
    pub tag: Option<Tag>,
}

/// What is told of a blob.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BlobEvent {
    /// Its digest, in the algorithm of the request.
    pub digest: Digest,
    /// Its length in bytes.
    pub size_bytes: u64,
}

/// Listens. Called in the midst of requests, so it must return at once, whatever its own troubles.
pub trait EventSink: fmt::Debug + Send + Sync + 'static {
    /// Takes note of an event.
    fn emit(&self, event: Event);
}
