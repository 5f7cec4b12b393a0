//! `LogWriter`: where the lines of the log go.
//!
//! Those of a serving registry are written by a thread of its own: a reader of standard error that stalls, such as a collector
//! of logs, must not stall the registry. When it does not keep up, lines are dropped and counted.

use std::io::{self, Write};
use std::thread;

use tracing_subscriber::fmt::MakeWriter;

use crate::line_queue::{LineReceiver, LineSender, line_queue};

/// Writes to standard error, at once or by a thread.
#[derive(Debug)]
pub(super) enum LogWriter {
    AtOnce,
    Queued(LineSender),
}

impl LogWriter {
    /// Starts a thread that writes, and returns its queue too; writes at once if the system starts no thread.
    pub(super) fn queued() -> (Self, Option<LineSender>) {
        let (sender, mut lines) = line_queue();
        match thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&mut lines)) {
            Ok(_) => (Self::Queued(sender.clone()), Some(sender)),
            Err(_) => (Self::AtOnce, None),
        }
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LineOutput<'a>;

    fn make_writer(&'a self) -> LineOutput<'a> {
        match self {
            Self::AtOnce => LineOutput::Stderr(io::stderr()),
            Self::Queued(sender) => LineOutput::Queue(sender),
        }
    }
}

/// Takes whole lines.
pub(super) enum LineOutput<'a> {
    Stderr(io::Stderr),
    Queue(&'a LineSender),
}

impl Write for LineOutput<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stderr(stderr) => stderr.write(line),
            Self::Queue(sender) => {
                sender.send(String::from_utf8_lossy(line).into_owned());
                Ok(line.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stderr(stderr) => stderr.flush(),
            Self::Queue(_) => Ok(()),
        }
    }
}

fn write_all(lines: &mut LineReceiver) {
    while let Some(queued) = lines.next() {
        // A full disk or a reader that is gone may come back; there is no other place to tell.
        let _ = io::stderr().write_all(queued.concat().as_bytes());
        let lost = lines.take_dropped();
        if lost > 0 {
            tracing::warn!(
                lost,
                "dropped {lost} lines of the log: the reader of standard error does not keep up"
            );
        }
    }
}
