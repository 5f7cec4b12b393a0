//! `LastLines`: what the threads of the logs have not written yet when the registry ends.

use std::time::Duration;

use crate::line_queue::LineSender;

/// How long one log whose reader or disk hangs delays the end.
const HANG_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits, when dropped, until the lines of all logs are written.
#[derive(Debug, Default)]
pub(super) struct LastLines(Vec<LineSender>);

impl LastLines {
    pub(super) fn add(&mut self, lines: impl IntoIterator<Item = LineSender>) {
        self.0.extend(lines);
    }
}

impl Drop for LastLines {
    fn drop(&mut self) {
        // The log, which was added first, comes last: the others may complain there.
        self.0.iter().rev().for_each(|lines| lines.wait_until_written(HANG_TIMEOUT));
    }
}
