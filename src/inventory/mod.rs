//! What is in a registry and how much room it takes: `registry ls` and `registry du`.
//!
//! It is read from the store itself, whether a registry runs over it or not, or from any registry by its API. Nothing is written
//! and no lease is taken: what is pushed or deleted meanwhile may be in it or not.

mod listing;
mod remote;
mod source;
mod store;
mod usage;

pub use listing::{Listing, TaggedImage, list};
pub use remote::{Remote, RemoteOptions};
pub use source::{Source, SourceError};
pub use usage::{RepositoryUsage, Usage, measure};
