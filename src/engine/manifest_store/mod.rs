//! The manifests of a repository, stored and served verbatim.
//!
//! Whoever is told that a manifest is here is made a promise, of which its data are the token: see [`promise`](crate::lease).

mod commit;
mod data;
mod delete;
mod put;
mod read;
mod references;
mod store;

pub use put::{PutManifest, PutOutcome};
pub use read::{Stored, StoredInfo};
pub use store::ManifestStore;
