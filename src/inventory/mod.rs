//! The content of a registry and its size: `registry ls` and `registry du`.
//!
//! It reads the store itself, whether or not a registry runs on it, or any registry through its API. It
//! writes nothing and takes no lease: concurrent pushes and deletes may or may not show.

mod listing;
mod remote;
mod source;
mod store;
mod usage;

pub use listing::{Listing, TaggedImage, list};
pub use remote::Remote;
pub use source::{Source, SourceError};
pub use usage::{RepositoryUsage, Usage, measure};
