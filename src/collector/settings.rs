//! `Settings`: how a running registry collects.

use std::time::Duration;

use sampan_engine::gc;

use super::Schedule;

/// How a running registry collects.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// When, unless somebody asks; `None` for never.
    pub schedule: Option<Schedule>,
    /// What is younger stays. The registry was built with the same.
    pub grace: Duration,
    /// Whether untagged manifests go.
    pub delete_untagged: bool,
    /// How much of all bytes of blobs goes unasked, in per cent.
    pub max_delete_percent: u8,
    /// Uploads go that nobody has touched for so long; none without it.
    pub upload_age: Option<Duration>,
}

/// How many files are read at a time: few, since others want the disk, too.
const CONCURRENCY: usize = 4;

/// How long it rests for every second of work.
const REST: f32 = 1.0;

impl Settings {
    pub(super) fn options(&self, stop: &gc::Stop) -> gc::Options {
        gc::Options {
            delete_untagged: self.delete_untagged,
            grace: self.grace,
            max_delete_percent: self.max_delete_percent,
            upload_age: self.upload_age,
            concurrency: CONCURRENCY,
            rest: REST,
            stop: stop.clone(),
            ..gc::Options::default()
        }
    }
}
