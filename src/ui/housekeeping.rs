//! `Housekeeping`: the garbage collections of the running registry, as far as the page shows and begins them.

use std::fmt;
use std::time::{Duration, SystemTime};

use sampan_engine::gc::Report;

/// The collector of the running registry.
pub trait Housekeeping: fmt::Debug + Send + Sync + 'static {
    /// The state of collections.
    fn collections(&self) -> Collections;

    /// Begins a collection.
    ///
    /// # Errors
    ///
    /// Why none can begin now.
    fn collect(&self) -> Result<(), CannotCollect>;

    /// Begins a dry run, which finds what a collection would delete.
    ///
    /// # Errors
    ///
    /// Why none can begin now.
    fn dry_run(&self) -> Result<(), CannotCollect>;
}

/// Why no collection can begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CannotCollect {
    /// One is running, or about to.
    #[error("a collection is already running")]
    Running,
    /// The registry is read-only.
    #[error("the registry is read-only")]
    ReadOnly,
    /// The registry is shutting down.
    #[error("the registry is shutting down")]
    ShuttingDown,
}

/// The state of collections.
#[derive(Clone, Debug)]
pub struct Collections {
    /// When they run; `None` if only on request.
    pub schedule: Option<CollectionSchedule>,
    /// Content that is younger is kept.
    pub grace: Duration,
    /// Whether images without a tag are deleted.
    pub delete_untagged: bool,
    /// Whether the registry is read-only, so that only dry runs are possible.
    pub read_only: bool,
    /// Whether one is requested and has not begun.
    pub requested: bool,
    /// When the running one began.
    pub running: Option<SystemTime>,
    /// The last ones of this process, the newest first.
    pub last: Vec<Collection>,
}

/// When collections run.
#[derive(Clone, Debug)]
pub struct CollectionSchedule {
    /// From the beginning of one to that of the next.
    pub interval: Duration,
    /// The part of each day in UTC, such as `02:00-05:00`.
    pub window: Option<String>,
}

/// A collection that ended.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Whether it was to delete nothing.
    pub is_dry_run: bool,
    /// When it began.
    pub begun: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// Its end.
    pub end: CollectionEnd,
}

/// How a collection ended.
#[derive(Clone, Debug)]
pub enum CollectionEnd {
    /// It finished.
    Finished(Box<Report>),
    /// It was stopped, for this reason.
    Stopped(String),
    /// Another process was collecting.
    Elsewhere(String),
    /// It failed.
    Failed(String),
}
