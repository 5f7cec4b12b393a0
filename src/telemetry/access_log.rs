//! The access log: lines for standard output, written by a thread of its own.
//!
//! A slow reader must not slow down the registry: when it does not keep up, lines are dropped and counted in
//! the log.

use std::io::{self, Write};
use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// The most lines queued, and their most bytes: clients control the length of a line.
const QUEUE: usize = 4096;
const QUEUE_BYTES: usize = 4 << 20;

/// Counters shared by the writer and the senders.
#[derive(Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// Starts the thread and returns its input. The thread ends when the input is dropped.
///
/// # Errors
///
/// The system does not start a thread.
pub fn to_stdout() -> io::Result<impl Fn(String) + Send + Sync> {
    let (sender, lines) = sync_channel(QUEUE);
    let counts = Arc::new(Counts::default());
    let told = counts.clone();
    thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(&lines, &told))?;
    Ok(sink(sender, counts))
}

fn sink(sender: SyncSender<String>, counts: Arc<Counts>) -> impl Fn(String) + Send + Sync {
    move |line| {
        let bytes = line.len();
        let waiting = counts.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > QUEUE_BYTES || sender.try_send(line).is_err() {
            counts.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(lines: &Receiver<String>, counts: &Counts) {
    let mut output = io::BufWriter::new(io::stdout());
    while let Ok(first) = lines.recv() {
        let mut written = Ok(());
        // Write all queued lines at once.
        for line in iter::once(first).chain(lines.try_iter().take(QUEUE)) {
            counts.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
            written = written.and_then(|()| writeln!(output, "{line}"));
        }
        if written.and_then(|()| output.flush()).is_err() {
            tracing::warn!("the access log ends: standard output has no reader");
            return;
        }
        let lost = counts.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "dropped {lost} lines of the access log: its reader does not keep up");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_lines_are_bounded_in_number_and_in_bytes() {
        // Request headers have at most 64 KiB, each byte written as an escape.
        for (len, expected) in [(256 << 10, 16), (100, QUEUE)] {
            let (sender, lines) = sync_channel(QUEUE);
            let counts = Arc::new(Counts::default());
            let sink = sink(sender, counts.clone());
            (0..2 * QUEUE).for_each(|_| sink("x".repeat(len)));
            assert_eq!(counts.waiting_bytes.load(Ordering::Relaxed), expected * len);
            assert_eq!(counts.dropped.load(Ordering::Relaxed), (2 * QUEUE - expected) as u64);
            assert_eq!(lines.try_iter().count(), expected);
        }
    }
}
