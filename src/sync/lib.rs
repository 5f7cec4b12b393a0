//! Jobs that copy chosen images from another registry at intervals, so that they are available here when it is not.
//!
//! [`run()`] lists the tags that a [`Job`] wants and copies one image after the other: `UpstreamSource` reads what the
//! store lacks from the upstream, `CopyTarget` writes as a push does. Stored content is neither read nor sent again, so a
//! run that was interrupted continues where it was, and one without news costs a list, and for each tag a comparison and a list of
//! what is attached.
//!
//! Invariants:
//!
//! - a tag moves when its new image is whole, as chosen; digests are never changed;
//! - data become visible in a repository by a transfer from the upstream in this run, or were visible there before: an upstream
//!   could name a digest that it does not have;
//! - every image is independent: one that fails is named in the [`JobReport`], and the others are copied.
//!
//! Absent on purpose: schedules, which are the registry's, and signatures, which are copied but not verified.

mod error;
mod failure_budget;
mod image_manifests;
mod job;
mod prune;
mod report;
mod run;
mod running;
mod source;
mod target;

pub use job::{Job, JobRepository, NameRule, TagChoice};
pub use report::{JobFailure, JobReport};
pub use run::{Change, RunOptions, run};
pub use running::Running;
