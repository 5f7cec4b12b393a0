//! `LogWriter`: where the lines of the log go.
//!
//! A reader of standard error that stalls, such as a collector of logs, must not stall a serving registry. So a line is written
//! at once only where that does not wait; others are queued for a thread of its own. When that does not keep up, lines are
//! dropped and counted.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing_subscriber::fmt::MakeWriter;

use super::patient_writer::PatientWriter;
use crate::line_queue::{LineReceiver, LineSender, line_queue};

/// Writes to standard error.
#[derive(Debug)]
pub(super) enum LogWriter {
    /// Waits for the reader.
    Patient,
    /// Queues what would have to wait.
    Queued(QueuedLog),
}

/// A queue, and standard error, which the thread of the queue has while it waits. A plain mutex: the others only try it.
#[derive(Debug)]
pub(super) struct QueuedLog {
    queue: LineSender,
    stderr: Arc<Mutex<File>>,
}

/// The longest write that a pipe takes whole where it takes any (pipe(7), `PIPE_BUF`).
const PIPE_BUF: usize = 4096;

impl LogWriter {
    /// Starts the thread, and returns its queue too; waits for the reader if the system starts no thread.
    pub(super) fn queued() -> (Self, Option<LineSender>) {
        match QueuedLog::start() {
            Ok(queued) => {
                let queue = queued.queue.clone();
                (Self::Queued(queued), Some(queue))
            }
            Err(_) => (Self::Patient, None),
        }
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = LineOutput<'a>;

    fn make_writer(&'a self) -> LineOutput<'a> {
        match self {
            Self::Patient => LineOutput::Stderr(io::stderr()),
            Self::Queued(queued) => LineOutput::Queued(queued),
        }
    }
}

/// Takes whole lines.
pub(super) enum LineOutput<'a> {
    Stderr(io::Stderr),
    Queued(&'a QueuedLog),
}

impl Write for LineOutput<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stderr(stderr) => PatientWriter(stderr).write(line),
            Self::Queued(queued) => {
                queued.write(line);
                Ok(line.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stderr(stderr) => stderr.flush(),
            Self::Queued(_) => Ok(()),
        }
    }
}

impl QueuedLog {
    fn start() -> io::Result<Self> {
        let (queue, mut lines) = line_queue();
        // Not through `io::stderr()`: while the reader stalls, its lock would stall the end of the process and a panic too.
        let stderr = Arc::new(Mutex::new(File::from(io::stderr().as_fd().try_clone_to_owned()?)));
        let of_thread = stderr.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&mut lines, &of_thread))?;
        Ok(Self { queue, stderr })
    }

    fn write(&self, line: &[u8]) {
        match self.stderr.try_lock() {
            // Behind queued lines, this one would come too early.
            Some(mut stderr) if self.queue.is_written() && line.len() <= PIPE_BUF && takes_bytes(&stderr) => {
                let rest = write_at_once(&mut *stderr, line);
                if !rest.is_empty() {
                    self.queue.send(String::from_utf8_lossy(rest).into_owned());
                }
            }
            _ => self.queue.send(String::from_utf8_lossy(line).into_owned()),
        }
    }
}

/// Whether standard error takes bytes without waiting.
fn takes_bytes(stderr: &File) -> bool {
    let mut polled = [PollFd::new(stderr, PollFlags::OUT)];
    poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Writes what is taken without waiting, and returns the rest. Another error, such as that of a full disk or of a reader that
/// is gone, has no other place to go.
fn write_at_once<'a>(stderr: &mut impl Write, mut line: &'a [u8]) -> &'a [u8] {
    while !line.is_empty() {
        match stderr.write(line) {
            Ok(written) if written > 0 => line = &line[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return line,
            _ => return &[],
        }
    }
    line
}

fn write_all(lines: &mut LineReceiver, stderr: &Mutex<File>) {
    while let Some(queued) = lines.next() {
        // As above, an error has no other place to go.
        let _ = PatientWriter(&*stderr.lock()).write_all(queued.concat().as_bytes());
        let lost = lines.take_dropped();
        if lost > 0 {
            tracing::warn!(
                lost,
                "dropped {lost} lines of the log: the reader of standard error does not keep up"
            );
        }
    }
}
