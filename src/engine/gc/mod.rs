//! Garbage collection: finds what nothing refers to any more, and deletes it while the registry keeps serving.
//!
//! [`collect`] is a pipeline of values. `scan` walks the store ([`layout`](crate::layout) identifies each file) into an
//! inventory; `references` and `graph` read every manifest once; `mark` finds what is live; `plan` lists the deletions,
//! `caution` restricts them. A dry run ends there. Otherwise `sweep` executes the plan in batches: it publishes one batch or
//! several, and marks once more before it deletes anything in them. [`lease`](crate::lease) describes how this and a registry that
//! receives pushes keep out of each other's way.
//!
//! # What is live
//!
//! - A *manifest* of a repository: every one. If untagged manifests are deleted, only those that a tag points at, that are
//!   children of a live index or attached (`subject`) to a live manifest of the same repository, and those whose link or
//!   data are younger than the grace period. In either case, a manifest is not live if its data are gone and its link is
//!   old, unless a tag ever named it.
//! - A *layer link* of a repository: if a live manifest of that repository refers to it, or if it is young itself.
//! - *Data*: those of live manifests, those that live manifests refer to, those behind live layer links, and young ones.
//!
//! The collector resolves references in each repository separately, so an index that is sparse in one repository hides
//! nothing from another that has all of it.
//!
//! In doubt, the collector keeps. A manifest keeps everything in it that looks like a digest, also in fields that this
//! registry does not know; an unreadable manifest keeps its whole repository. An unreadable tag keeps what its history
//! names, and an unreadable alias keeps the repository if something refers to it. A tag that points at a manifest without a
//! link keeps that manifest. The report lists all of these. A manifest whose data are gone keeps nothing: no client can
//! pull it. The report lists foreign files, too, and the collector leaves them alone.
//!
//! A place that cannot be seen is not empty, and repositories that were there when the last collection ended have not
//! vanished by themselves: in both cases everything stays. A collection that would delete most of the store asks for
//! confirmation first (module `caution`).
//!
//! # Why it is safe
//!
//! - The collector deletes nothing until the marking is over: any error of the driver before that ends the run.
//! - A file that refers to another is deleted first: tag histories; manifests, indexes before their children; layer links;
//!   data; then abandoned uploads and empty repositories. A killed run leaves garbage and no dangling reference, and the
//!   next run finds that garbage.
//! - A run that was silent for longer than its lock allows is over, whatever stopped it: it notices before its next
//!   deletion, and deletions have a deadline. Usually one run continues at a time, but nothing depends on that: see the
//!   pauses in [`lease`](crate::lease).
//! - Dropping the future of [`collect`] is like killing it: for a quarter of an hour beyond the lock, the registry asks
//!   clients to retry pushes of what was in the published batches at that moment. The same holds when the store did not
//!   answer a deletion.
//!
//! No collector can safely collect a store to which Distribution itself writes at the same time.
//!
//! Deliberately absent: schedules, which belong to the server, and output, which belongs to the command line.

mod caution;
mod collect;
mod context;
mod cutoff;
mod dates;
mod error;
mod event;
mod eviction;
mod graph;
#[cfg(test)]
mod growth;
mod interner;
mod inventory;
mod last_run;
mod layer_users;
mod links;
mod lock;
mod mark;
mod mentions;
mod observe;
mod options;
mod pacer;
mod parallelism;
mod plan;
mod preview;
mod quick_scan;
mod recheck;
mod references;
mod referrers;
mod removal;
mod removed;
mod report;
mod scan;
mod snapshots;
mod survey;
mod sweep;

pub use caution::{TooMuch, UNASKED_BYTES};
pub use collect::collect;
pub use error::{Error, Result};
pub use event::Event;
pub use eviction::{CacheSize, Evicted, Eviction, Scope};
pub use last_run::LastRun;
pub use layer_users::layer_users;
pub(crate) use lock::CollectorLock;
pub use lock::{LOCK_TIMEOUT, SETTLE_DELAY};
pub use options::{Observer, Options};
pub use preview::preview;
pub use removal::{PreviewExtent, Removal, RemovalPreview, SharedBytes};
pub use report::{Amount, Report, Unreadable};
pub use survey::{SurveyTurn, survey, survey_in_turn};
