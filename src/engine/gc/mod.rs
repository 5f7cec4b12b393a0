//! Garbage collection: finding what nothing refers to any more, and deleting it while the registry goes on.
//!
//! [`collect`] walks the store ([`layout`](crate::layout) tells what each file is), reads every manifest once, marks what is
//! live, and plans; a dry run ends there. Otherwise the plan is executed in batches, which are published, one or several, and
//! looked at once more before anything in them goes: see [`promise`](crate::lease) for how that and a registry that is being
//! pushed to do not get into each other's way.
//!
//! # What is live
//!
//! - A *manifest* of a repository: every one; or, when the untagged are to go, those that a tag points at, that are children of
//!   a live index or attached (`subject`) to a live manifest of the same repository, and those whose link or data are younger
//!   than the grace period. In either case not those whose data are gone and whose link is old, unless a tag ever named them.
//! - A *layer link* of a repository: when a live manifest of that repository refers to it, or it is young itself.
//! - *Data*: of live manifests, of what they refer to, behind live layer links, and young ones.
//!
//! What refers to what is asked of each repository on its own, so an index that is sparse in one repository hides nothing from
//! another that has all of it.
//!
//! Doubt keeps: a manifest keeps everything that looks like a digest in it, also in fields that are not known here; one that
//! cannot be read keeps its whole repository. A tag that cannot be read keeps what its history names, and an alias that cannot
//! be read keeps the repository if something refers to it. A tag that points at a manifest without a link keeps that. All are
//! reported. A manifest whose data are gone keeps nothing: nobody can pull it. Files that are none of ours are reported and left
//! alone.
//!
//! What cannot be seen is not absent, and what was there when the last collection ended has not gone by itself: then everything
//! stays. A collection that would delete most of the store asks first (module `caution`).
//!
//! # Why it is safe
//!
//! - Until the marking is over, nothing is deleted: whatever the driver fails with ends the run before.
//! - What refers goes before what it refers to: tag histories; manifests, indexes before their children; layer links; data;
//!   then abandoned uploads and empty repositories. A run that is killed leaves garbage and no dangling reference, and the next
//!   one finds that garbage.
//! - A run that was silent for longer than its lock allows is over, whatever stopped it: it notices before its next deletion, and
//!   deletions have a deadline. Usually one run goes on at a time, but nothing depends on that: see the pauses in
//!   [`promise`](crate::lease).
//! - Dropping the future of [`collect`] is like killing it: for a quarter of an hour beyond the lock, pushes of what was in the
//!   published batches at that moment are told to try again. So it is when the store did not answer to a deletion.
//!
//! A store to which Distribution itself is writing at the same time cannot be collected safely by anybody.
//! Absent on purpose: schedules and output. The server has the one, the command line the other.

mod caution;
mod collect;
mod cutoff;
mod error;
mod event;
mod graph;
#[cfg(test)]
mod growth;
mod interner;
mod inventory;
mod last_run;
mod links;
mod lock;
mod mark;
mod mentions;
mod observe;
mod options;
mod pacer;
mod parallelism;
mod plan;
mod quick_scan;
mod recheck;
mod referrers;
mod report;
mod sweep;

pub use caution::{TooMuch, UNASKED_BYTES};
pub use collect::collect;
pub use error::{Error, Result};
pub use event::Event;
pub use last_run::LastRun;
pub use lock::{LOCK_TIMEOUT, SETTLE_DELAY};
pub use options::{Observer, Options, Stop};
pub use report::{Amount, Report, Unreadable};
