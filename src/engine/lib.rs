//! The core of the Sampan registry: blobs, manifests, tags, uploads and referrers over any
//! [`StorageDriver`](sampan_driver::StorageDriver).
//!
//! A caller opens a [`Registry`] over a driver and gets [`Repository`]s from it by name; a repository has four stores,
//! [`RepositoryBlobs`], [`ManifestStore`], [`TagStore`] and [`UploadStore`], and its [`Referrers`].
//! All of these are cheap handles. The process holds no state that matters, so several registries over one store agree.
//!
//! Invariants, kept by the order of every method's writes (each prefix of them leaves a valid store):
//!
//! - the engine hashes content while it streams in, and publishes it under a digest only after comparing the two;
//! - the engine writes a link to a manifest after it has seen everything that the manifest refers to, and a tag after that
//!   link;
//! - the engine writes a layer link before the data of its blob; the link means nothing without them;
//! - removal goes the other way: tags, links, data.
//!
//! Absent on purpose: HTTP, configuration, authentication, any knowledge of the driver behind the trait.

mod access_token_id;
mod access_tokens;
pub mod backup;
mod block_on_thread;
mod cache;
pub mod caches;
mod catalog;
mod clock;
mod deletions;
mod descendants;
mod descriptors;
mod duty_cycle;
mod error;
mod event;
mod everything;
pub mod fill;
mod first_items;
pub mod gc;
mod job_name;
mod job_runs;
mod latest;
mod layer_users;
pub mod layout;
pub mod lease;
mod link;
mod load_budget;
mod manifest_store;
pub mod migrate;
pub mod oci;
mod purge;
mod purge_turn;
mod rate;
mod referrers;
mod registry;
mod removed_tags;
mod repository;
mod repository_blobs;
mod restore;
mod run_id;
mod selection;
mod small_blobs;
mod space_reserve;
mod store_identity;
mod summary;
mod survey;
mod tag_dates;
mod tag_digest;
mod tag_removal;
mod tag_store;
mod tag_times;
mod turn;
mod upload;
mod validation;
pub mod verify;
mod writes;
mod wrong_lengths;

pub use access_token_id::{AccessTokenId, InvalidAccessTokenId};
pub use access_tokens::AccessTokenFiles;
pub use cache::CacheStatistics;
pub use catalog::Page;
pub use clock::Clock;
pub use descriptors::{CachedDescriptor, DescriptorCache};
pub use error::{Error, Result};
pub use event::{BlobEvent, Event, EventKind, EventSink, ManifestEvent};
pub use first_items::FirstItems;
pub use job_name::{InvalidJobName, JobName};
pub use job_runs::{JobRecord, JobRun};
pub use layer_users::{LayerUser, LayerUsers};
pub use manifest_store::{CachedPut, ManifestStore, PutManifest, PutOutcome, Stored, StoredInfo};
pub use purge::{PurgeOptions, PurgeReport};
pub use purge_turn::PurgeTurn;
pub use referrers::{MAX_LISTED_BYTES, Referrer, Referrers, ReferrersPage, ReferrersQuery};
pub use registry::{Limits, Registry, RegistryBuilder};
pub use removed_tags::{RemovedTag, RemovedTags, Remover};
pub use repository::Repository;
pub use repository_blobs::{BlobInfo, MountOutcome, RepositoryBlobs};
pub use restore::{OnExistingTag, RestoreOutcome};
pub use run_id::{InvalidRunId, RunId};
pub use selection::Selection;
pub use space_reserve::reserve_space;
pub use store_identity::StoreIdentity;
pub use summary::{Gap, ImageKind, ImageSummary};
pub use survey::{NoSurvey, RepositoryFigures, RepositorySurvey, Survey, SurveyFile, SurveyTotals};
pub use tag_store::TagStore;
pub use tag_times::{Dated, TagTimes};
pub use upload::{Body, ChunkRange, InvalidUploadId, StartUpload, UploadId, UploadStatus, UploadStore};
pub use validation::{IndexChildren, UrlRules, Validation};
