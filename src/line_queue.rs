//! A queue of lines for a thread that writes them: bounded in lines and in bytes.
//!
//! A slow disk or reader must not slow down the registry: when the thread does not keep up, lines are dropped and
//! counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The most lines queued, and their most bytes: clients control the length of a line.
const QUEUE: usize = 4096;
const QUEUE_BYTES: usize = 4 << 20;

/// The input of a queue. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LineSender {
    lines: SyncSender<String>,
    counts: Arc<Counts>,
}

/// The output of a queue.
#[derive(Debug)]
pub(crate) struct LineReceiver {
    lines: Receiver<String>,
    counts: Arc<Counts>,
}

/// Counters of both ends.
#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// Makes a queue.
pub(crate) fn line_queue() -> (LineSender, LineReceiver) {
    let (sender, receiver) = sync_channel(QUEUE);
    let counts = Arc::new(Counts::default());
    (LineSender { lines: sender, counts: counts.clone() }, LineReceiver { lines: receiver, counts })
}

impl LineSender {
    /// Queues a line, or drops and counts it.
    pub(crate) fn send(&self, line: String) {
        let bytes = line.len();
        let waiting = self.counts.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > QUEUE_BYTES || self.lines.try_send(line).is_err() {
            self.counts.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl LineReceiver {
    /// Waits for lines, and returns all that are queued; `None` when the input is gone.
    pub(crate) fn next(&self) -> Option<Vec<String>> {
        let first = self.lines.recv().ok()?;
        let lines: Vec<String> = std::iter::once(first).chain(self.lines.try_iter().take(QUEUE)).collect();
        let bytes = lines.iter().map(String::len).sum();
        self.counts.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(lines)
    }

    /// How many lines were dropped since the last call.
    pub(crate) fn take_dropped(&self) -> u64 {
        self.counts.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_lines_are_bounded_in_number_and_in_bytes() {
        // Request headers have at most 64 KiB, each byte written as an escape.
        for (len, expected) in [(256 << 10, 16), (100, QUEUE)] {
            let (sender, receiver) = line_queue();
            (0..2 * QUEUE).for_each(|_| sender.send("x".repeat(len)));
            assert_eq!(receiver.counts.waiting_bytes.load(Ordering::Relaxed), expected * len);
            assert_eq!(receiver.take_dropped(), (2 * QUEUE - expected) as u64);
            assert_eq!(receiver.next().unwrap().len(), expected);
            assert_eq!(receiver.counts.waiting_bytes.load(Ordering::Relaxed), 0);
        }
    }
}
