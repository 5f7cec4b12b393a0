//! The core of the Sampan registry: blobs, manifests, tags, uploads and referrers over any
//! [`StorageDriver`](sampan_driver::StorageDriver).
//!
//! A [`Registry`] is opened over a driver and hands out [`Repository`]s by name; a repository hands out its four stores:
//! [`RepositoryBlobs`], [`ManifestStore`], [`TagStore`], [`UploadStore`], and its [`Referrers`].
//! Everything is a cheap handle; nothing of consequence lives in the process, so that several registries over one store agree.
//!
//! Invariants, kept by the order of every method's writes (each prefix of them leaves a valid store):
//!
//! - content is hashed while it streams in, and nothing becomes visible under a digest before it was compared;
//! - a link to a manifest is written after everything that the manifest refers to was seen, and a tag after that link;
//! - a layer link is written before the data of its blob, and means nothing without them;
//! - removal goes the other way: tags, links, data.
//!
//! Absent on purpose: HTTP, configuration, authentication, any knowledge of which driver it is.

mod cache;
mod catalog;
mod clock;
mod deletions;
mod descriptors;
mod error;
mod event;
pub mod gc;
pub mod layout;
pub mod lease;
mod link;
mod manifest_store;
pub mod oci;
mod purge;
mod purge_turn;
mod referrers;
mod registry;
mod repository;
mod repository_blobs;
mod run_id;
mod small_blobs;
mod tag_digest;
mod tag_removal;
mod tag_store;
mod upload;
mod validation;

pub use cache::CacheStatistics;
pub use catalog::Page;
pub use clock::Clock;
pub use descriptors::{CachedDescriptor, DescriptorCache};
pub use error::{Error, Result};
pub use event::{BlobEvent, Event, EventKind, EventSink, ManifestEvent};
pub use manifest_store::{ManifestStore, PutManifest, PutOutcome, Stored, StoredInfo};
pub use purge::{PurgeOptions, PurgeReport};
pub use purge_turn::PurgeTurn;
pub use referrers::{MAX_LISTED_BYTES, Referrer, Referrers, ReferrersPage, ReferrersQuery};
pub use registry::{Limits, Registry, RegistryBuilder};
pub use repository::Repository;
pub use repository_blobs::{BlobInfo, MountOutcome, RepositoryBlobs};
pub use run_id::{InvalidRunId, RunId};
pub use tag_store::TagStore;
pub use upload::{Body, ChunkRange, InvalidUploadId, StartUpload, UploadId, UploadStatus, UploadStore};
pub use validation::{IndexChildren, UrlRules, Validation};
