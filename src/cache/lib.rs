//! Caches of other registries: a repository below an upstream's prefix has what the upstream has.
//!
//! [`Caches::locate`] finds the upstream of a request; [`CachedRepository`] answers as the engine's repository does, and asks
//! the upstream for what the store lacks.
//!
//! Invariants:
//!
//! - content is served only if it has the digest that was asked for, or that the upstream announced for the tag;
//! - what several clients want at once is asked for once, by a task that outlives each of them;
//! - clients that wait for an upstream are served in turn, whatever each asks for;
//! - data of one upstream are never linked in the repositories of another, or in ordinary ones, without a transfer;
//! - an upstream that is away, slow or lying costs an answer, never what is stored;
//! - no header, challenge, cookie or address of an upstream reaches a client.
//!
//! Absent on purpose: HTTP on our side, configuration, and the choice of what to forget, which is the collector's.

mod blobs;
mod breaker;
mod caches;
mod client;
mod complete;
mod complete_later;
mod error;
mod fair_slots;
mod handling;
mod limits;
mod lists;
mod manifests;
mod mapping;
mod memory;
mod queue;
mod repository;
mod settings;
mod shared_work;
mod statistics;
mod tag_looks;
#[cfg(test)]
mod testing;
mod ticket;
mod trials;
mod upstream;
mod upstream_repository;

pub use caches::{CachedName, Caches, LocateError};
pub use client::Client;
pub use complete::{CompleteOptions, Completion, Lack, PlatformRule};
pub use error::{CacheError, Result};
pub use handling::Handling;
pub use mapping::{MappingError, RequestedName};
pub use repository::{CachedRepository, Served};
pub use settings::{CacheSettings, NameRule, TagRule, TagSettings, UpstreamSettings, WhenGone};
pub use statistics::{Answers, CacheRequestKind, CacheStatistics, UpstreamOutcome, UpstreamStatistics};
pub use upstream::Upstream;
pub use upstream_repository::UpstreamRepository;
