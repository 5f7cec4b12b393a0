//! `Running`: a run, for another thread to watch.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sampan_transfer::{ImportReport, Progress};
use tokio_util::sync::CancellationToken;

use crate::error::StopReason;
use crate::report::JobReport;

/// A run, for another thread to watch. What a run that is dropped has done stays in it.
#[derive(Debug, Default)]
pub struct Running {
    /// Plain mutexes: held to read or update, never across an await.
    report: Mutex<JobReport>,
    image: Mutex<Option<String>>,
    progress: Arc<Progress>,
    stopping: CancellationToken,
}

impl Running {
    /// The progress of the run so far.
    pub fn report(&self) -> JobReport {
        self.report.lock().clone()
    }

    /// The image or repository that is looked at now, by its name here.
    pub fn now(&self) -> Option<String> {
        self.image.lock().clone()
    }

    /// The bytes and images that are done so far, those that were here already included.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Stops the run before its end, and notes when the next may begin, if that is known. The run ends when it has taken back
    /// what it has of blobs that are not whole.
    pub fn stop(&self, reason: String, retry_after: Option<Duration>) {
        self.note_stop(reason, retry_after);
        self.stopping.cancel();
    }

    /// Waits until the run is to stop.
    pub(crate) async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    fn note_stop(&self, reason: String, retry_after: Option<Duration>) {
        let mut report = self.report.lock();
        report.stopped = Some(reason);
        report.retry_after_secs = retry_after.map(|wait| wait.as_secs());
    }

    pub(crate) fn end(&self, stop: Option<StopReason>) {
        *self.image.lock() = None;
        if let Some(StopReason { reason, retry_after }) = stop {
            self.note_stop(reason, retry_after);
        }
    }

    pub(crate) fn begin_repository(&self, name: String) {
        *self.image.lock() = Some(name);
        self.report.lock().repositories += 1;
    }

    pub(crate) fn begin_image(&self, image: String) {
        *self.image.lock() = Some(image);
    }

    pub(crate) fn count(&self, is_copied: bool) {
        let mut report = self.report.lock();
        match is_copied {
            true => report.copied += 1,
            false => report.unchanged += 1,
        }
    }

    pub(crate) fn add(&self, imported: &ImportReport) {
        let mut report = self.report.lock();
        report.blobs += imported.stored_blobs;
        report.bytes += imported.stored_bytes;
    }

    pub(crate) fn add_removed(&self, tags: u64) {
        self.report.lock().removed_tags += tags;
    }

    pub(crate) fn fail(&self, image: String, problem: String) {
        self.report.lock().fail(image, problem);
    }
}
