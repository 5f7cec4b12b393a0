//! The storage driver over object stores: S3 and compatible stores, Google Cloud Storage, Azure Blob Storage.
//!
//! Keys are those of Distribution's drivers (the root directory, then the path), so that both can use the same bucket. One
//! driver, [`ObjectStoreDriver`], implements three sections of the configuration file: [`S3Config`] (also as
//! [`S3AwsConfig`]), [`GcsConfig`] and [`AzureConfig`].
//!
//! An unfinished upload is one *state object* beside the path that it is staged at, `<path>!upload`: a header and the
//! bytes that do not yet fill a part, written in one request, hence always consistent. Full parts are parts of a
//! multipart upload that begins with the first of them. `!` is no character of a [`DriverPath`](sampan_driver::DriverPath),
//! so neither a walk nor a path can ever mean a state object.
//!
//! Invariants: readers see only whole, committed files; the process holds no state that an upload needs, so another process
//! may continue any upload; the part size and the upload buffer bound memory. Absent on purpose: caches of content or
//! existence, and knowledge of registries (except in `stale`, which gives the reason).

mod azure;
mod bucket;
mod client;
mod commit;
mod conditional;
mod config;
mod copy;
mod delete;
mod deleted_names;
mod driver;
mod error;
mod foreign;
mod in_flight;
mod intermediary;
mod keys;
mod list;
mod options;
mod parts;
mod probe;
mod read;
mod recent_misses;
mod redirect;
mod remedy;
mod requests;
mod signed;
mod stale;
mod state;
mod tail;
mod walk;
mod writer;
#[doc(hidden)]
pub mod xml;

pub use client::PlainStore;
pub use config::{AzureConfig, GcsConfig, S3AwsConfig, S3Config};
pub use driver::ObjectStoreDriver;
pub use requests::{RequestCount, RequestKind, RequestOutcome, request_counts};
