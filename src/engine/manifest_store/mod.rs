//! The manifests of a repository, stored and served verbatim.
//!
//! The answer that a manifest is here grants a lease, and its data are the lease file: see [`lease`](crate::lease).

mod commit;
mod data;
mod delete;
mod put;
mod put_cached;
mod read;
mod references;
mod store;

pub use put::{PutManifest, PutOutcome};
pub use put_cached::CachedPut;
pub use read::{Stored, StoredInfo};
pub use store::ManifestStore;
