//! Verification: finds damaged and missing content, names the images that need it, and lets a push heal it.
//!
//! [`verify`] has three steps. *Structure* reads every tag, link and manifest, and compares the lengths of blobs with their
//! descriptors; it reads no layer. *Data* hashes every blob, in the order of the digests, so that a run that was killed continues
//! from the digest that the file [`Progress`] names. *Repair* is optional and deletes nothing:
//!
//! - It writes layer links that a manifest needs and whose data are there, and links that say something else than their path.
//! - It replaces damaged or missing content by the same bytes from memory, or from a [`HealSource`]: content that hashes to
//!   its digest can be written over damaged data at any time.
//! - It moves content that is nowhere else aside, to `sampan/damaged/`. Then the registry does not know the blob any more, so the next push
//!   of any image that has it sends it, which heals all repositories at once.
//!
//! # Why moving data aside loses nothing
//!
//! The data of a blob may be replaced by a push while this module moves them. So it is a collection of its own, with the lock
//! and the pending deletions of [`lease`](crate::lease): it publishes the digests, and then hashes the data once more. An
//! upload or a manifest that checks for pending deletions after that waits; a manifest writes its data before it checks, so
//! the last look has seen them. An upload that checked before may still commit its data. If the last look did not see them,
//! they are moved, and found to be good: then they are moved back. A store without a rename of its own copies the data and
//! deletes them, so there a blob stays where it is while one of its layer links is younger than ten minutes.
//!
//! # Left alone
//!
//! A file that cannot be *read* is reported and stays: a failing disk must not empty a registry. So is one that the store does not
//! give while it answers other requests, and a directory that it does not list: what is below it is looked for where something
//! refers to it. Nothing is moved aside while such a directory may have images that need it. A store that answers nothing for about a minute ends the run, which reports what it
//! has found, and the next one continues there. If more is damaged than
//! [`MAX_MOVED`] files, or than one of a hundred, everything stays in place, since then the disk or the memory is ill. A
//! collection keeps everything in a repository whose manifest was moved aside.
//!
//! What a cache of another registry lacks is no problem, and no link is written there: the registry fetches it when a client asks.
//! Damaged content is moved aside there as everywhere, and then fetched.
//!
//! Content that comes or goes meanwhile is no problem: each finding is looked at again before it is reported.

mod data;
mod error;
mod findings;
mod heal;
mod links;
mod listing;
mod manifest;
mod move_aside;
mod options;
mod outage;
mod pace;
mod problem;
mod progress;
mod report;
mod repository;
mod run;
mod sizes;
mod structure;
mod unseen;
mod verdicts;

pub(crate) use data::{Damage, damage};
pub use error::{Error, Result};
pub use heal::{HealRequest, HealSource};
pub use move_aside::MAX_MOVED;
pub use options::{Observer, Options, Start};
pub use problem::{Need, Problem, ProblemKind, RepairOutcome};
pub use progress::{Cycle, Progress};
pub use report::{DataReport, EndReason, Report, StructureReport};
pub use run::{VerificationTurn, acknowledge, verify, verify_in_turn};
