//! A storage driver over bundles: a registry serves the images of one or several bundles in place, without unpacking them.
//!
//! The driver answers each path of the engine's layout from the plans of the bundles: links, tags and the index of referrers
//! are made on demand, and data are ranges of the bundles' files. The later of two bundles wins a tag.
//!
//! A plan names the images of a repository, but not the blobs of its images. Only their manifests do, so the driver reads the
//! manifests of a repository when a request needs them, and keeps what it found in a cache with a bound in bytes. A start
//! therefore reads nothing but plans.
//!
//! Invariants:
//!
//! - a medium rots, so no answer ends before the whole content has been hashed in this process, and matched: see `Checks`;
//! - a medium that hangs blocks a bounded number of threads, however many requests there are: see `Threads` and `Checks`;
//! - content that a bundle presumes is in another one of the bundles, or they do not open;
//! - every write fails as `Unsupported`.
//!
//! Absent on purpose: HTTP, the format of bundles, and paths, which are the engine's.

mod checks;
mod config;
mod contents;
mod driver;
mod error;
mod files;
mod listing;
mod manifests;
mod page_cache;
mod reading;
mod repository;
mod store;
mod threads;

pub use config::BundleConfig;
pub use error::{Error, Result};
pub use store::BundleStore;
