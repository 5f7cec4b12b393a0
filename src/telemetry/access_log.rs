//! The access log: lines for standard output, written by a thread of its own.
//!
//! A slow reader must not slow down the registry: when it does not keep up, lines are dropped and counted in
//! the log.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::thread;

use crate::line_queue::{LineReceiver, LineSender, line_queue};

/// Starts the thread and returns its input. The thread ends when the input is dropped.
///
/// # Errors
///
/// The system does not start a thread, or has no descriptor left.
pub(crate) fn to_stdout() -> io::Result<LineSender> {
    let (sender, mut lines) = line_queue();
    // Not through `io::stdout()`: while the reader stalls, its lock would stall the end of the process too.
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(stdout, &mut lines))?;
    Ok(sender)
}

fn write_all(stdout: File, lines: &mut LineReceiver) {
    let mut output = io::BufWriter::new(stdout);
    while let Some(queued) = lines.next() {
        let mut written = queued.iter().try_for_each(|line| writeln!(output, "{line}"));
        written = written.and_then(|()| output.flush());
        if written.is_err() {
            tracing::warn!("the access log ends: standard output has no reader");
            return;
        }
        let lost = lines.take_dropped();
        if lost > 0 {
            tracing::warn!(lost, "dropped {lost} lines of the access log: its reader does not keep up");
        }
    }
}
