//! Eviction: which manifests of caches a collection forgets, because they were not used for long or the caches are too large.
//!
//! A collection chooses the [`Victims`] once, after its scan, and marks without them. Everything else is a collection as ever:
//! what only they needed is garbage, and the second mark saves what was fetched again meanwhile. A pull that loses its blob
//! fetches it again.
//!
//! - The [uses](self::uses) of the manifests in a repository depend on each other: an index counts as used when a child was,
//!   and goes before its children; an attached artifact goes with its subject.
//! - Only what was fetched is a victim: a [mark](crate::layout::Entry::Fetched) says so, or the record of Distribution's cache.
//!   What a client pushed before a configuration named its repository a cache stays, with all that it needs and what is attached.
//! - A young link, and a manifest in a snapshot, is no victim.
//! - A manifest whose data are gone or cannot be read is no damage in a cache: it goes, and is fetched when a client asks.
//! - A tag goes with its manifest. It leaves no record of its removal: nothing is lost that a pull does not bring back, and the
//!   records of a day's evictions would crowd out those of removals by people.

mod choose;
#[cfg(test)]
mod growth;
mod options;
mod refs;
mod restrict;
mod scheduled;
mod sweep;
mod uses;
mod victims;

pub(super) use choose::choose;
pub use options::{Eviction, Scope};
pub(super) use scheduled::Scheduled;
pub use victims::{CacheSize, Evicted};
pub(super) use victims::{Victims, VictimsIn};
