//! Fills: one transfer of a blob from an upstream into the store, with any number of readers.
//!
//! The transfer is a task of its own, which outlives its clients. It hashes and stages the bytes as they arrive; readers
//! read the staged file behind it, by a view of the driver (C21) or from a spool file. Until the digest is verified, the last
//! [`WITHHELD_BYTES`] of what has arrived are not readable, so no reader ever gets the whole of a wrong blob. Then the blob is
//! published like an upload, with all its leases, in each repository that joined.
//!
//! When the store fails, the transfer continues for its readers through the spool, and the blob is not stored.
//!
//! Absent on purpose: upstreams and their errors (a [`FillSource`] resumes by itself), which repository may have which blob,
//! blobs that are here already, events.

mod admission;
mod client;
mod error;
mod link;
mod progress;
mod reader;
mod sink;
mod source;
mod spool;
mod statistics;
mod store;
mod table;
mod transfer;

pub use admission::Admission;
pub use client::Fill;
pub use error::{FillError, UnstoredReason};
pub use source::FillSource;
pub use statistics::FillStatistics;
pub use table::{FillOptions, Fills};

/// How many bytes at the end of what has arrived readers do not get before the digest is verified.
pub const WITHHELD_BYTES: u64 = 64 << 10;
