//! Caches of other registries: which repositories are caches, when their manifests were used and their tags compared,
//! how many bytes they store.
//!
//! A collection evicts manifests of caches by these, see [`gc`](crate::gc). Fetching from another registry is not here.

mod compared_tags;
mod offline;
mod prefixes;
mod record_kind;
mod scheduler_state;
mod stored_bytes;
mod use_file;
mod use_table;

pub use compared_tags::ComparedTags;
pub use prefixes::CachePrefixes;
pub(crate) use scheduler_state::scheduled_manifests;
pub use stored_bytes::StoredBytes;
pub(crate) use stored_bytes::with_margin;
pub use use_table::UseTable;
pub(crate) use use_table::hour_of;
