//! The access log: lines for standard output, written by a thread of its own.
//!
//! A slow reader must not slow down the registry: when it does not keep up, lines are dropped and counted in
//! the log.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::thread;

use super::patient_writer::PatientWriter;
use crate::line_queue::{LineReceiver, LineSender, line_queue};

/// Starts the thread and returns its input. The thread ends when the input is dropped.
///
/// # Errors
///
/// The system does not start a thread, or has no descriptor left.
pub(crate) fn to_stdout() -> io::Result<LineSender> {
    let (sender, mut lines) = line_queue();
    // Not through `io::stdout()`: while the reader stalls, its lock would stall the end of the process too.
    let stdout = PatientWriter(File::from(io::stdout().as_fd().try_clone_to_owned()?));
    thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(stdout, &mut lines))?;
    Ok(sender)
}

fn write_all(mut output: impl Write, lines: &mut LineReceiver) {
    let (mut is_torn, mut unwritten) = (false, 0);
    while let Some(queued) = lines.next() {
        // A line that a full disk cut short ends before the next one.
        let ending = if is_torn { "\n" } else { "" };
        let text = ending.to_owned() + &queued.join("\n") + "\n";
        let (rest, failure) = write_as_much(&mut output, text.as_bytes());
        let written = text.len() - rest.len();
        is_torn = if written > 0 { text.as_bytes()[written - 1] != b'\n' } else { is_torn };
        match failure {
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                tracing::warn!("the access log ends: standard output has no reader");
                return;
            }
            Some(error) => {
                if unwritten == 0 {
                    tracing::warn!(%error, "cannot write the access log: {error}; its lines are lost");
                }
                unwritten += rest.iter().filter(|byte| **byte == b'\n').count().min(queued.len());
            }
            None if unwritten > 0 => {
                tracing::warn!(
                    lost = unwritten,
                    "the access log is written again; {unwritten} lines of it are lost"
                );
                unwritten = 0;
            }
            None => {}
        }
        let lost = lines.take_dropped();
        if lost > 0 {
            tracing::warn!(lost, "dropped {lost} lines of the access log: its reader does not keep up");
        }
    }
}

/// Writes until a write fails; returns the rest, and the error.
fn write_as_much<'a>(output: &mut impl Write, mut rest: &'a [u8]) -> (&'a [u8], Option<io::Error>) {
    while !rest.is_empty() {
        match output.write(rest) {
            Ok(0) => return (rest, Some(io::ErrorKind::WriteZero.into())),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (rest, Some(error)),
        }
    }
    (rest, None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::test_disk::TestDisk;
    use crate::test_log::TestLog;

    /// Passes lines on and sends the next one when a write has failed, since those that are queued together are one write.
    struct Relay<W> {
        disk: W,
        sender: Option<LineSender>,
    }

    impl<W: Write> Write for Relay<W> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.disk.write(bytes).inspect_err(|_| {
                if let Some(sender) = self.sender.take() {
                    sender.send("whole".to_owned());
                }
            })
        }

        fn flush(&mut self) -> io::Result<()> {
            self.disk.flush()
        }
    }

    #[test]
    fn a_full_disk_loses_lines_until_it_has_room_and_spoils_no_other() {
        let content = Arc::<Mutex<Vec<u8>>>::default();
        let disk = TestDisk { content: Arc::clone(&content), room: 8 };
        let (sender, mut lines) = line_queue();
        ["first", "cut short", "lost"].into_iter().for_each(|line| sender.send(line.to_owned()));
        let log = TestLog::default();
        let capture = log.capture();
        write_all(Relay { disk, sender: Some(sender) }, &mut lines);
        drop(capture);
        assert_eq!(TestDisk::text(&content), "first\ncu\nwhole\n");
        let log = log.text();
        assert!(log.contains("cannot write the access log") && log.contains("no storage space"), "{log}");
        assert!(log.contains("2 lines of it are lost"), "{log}");
    }

    #[test]
    fn without_a_reader_it_ends() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (sender, mut lines) = line_queue();
        sender.send("lost".to_owned());
        let log = TestLog::default();
        let capture = log.capture();
        // The sender is there, so only the error ends it.
        write_all(Closed, &mut lines);
        drop(capture);
        sender.send("too late".to_owned());
        assert!(log.text().contains("standard output has no reader"), "{}", log.text());
    }
}
