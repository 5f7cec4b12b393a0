//! A queue of lines for a thread that writes them: bounded in lines and in bytes.
//!
//! A slow disk or reader must not slow down the registry: when the thread does not keep up, lines are dropped and
//! counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The most lines queued, and the most bytes of those that are queued or being written: clients control the length of a line.
const QUEUE: usize = 4096;
const QUEUE_BYTES: usize = 4 << 20;

/// The input of a queue. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LineSender {
    queued: SyncSender<Item>,
    counts: Arc<Counts>,
}

/// The output of a queue.
#[derive(Debug)]
pub(crate) struct LineReceiver {
    queued: Receiver<Item>,
    counts: Arc<Counts>,
    /// Those who wait until the lines returned last are written.
    waiting: Vec<Sender<()>>,
    /// The bytes of the lines returned last.
    returned_bytes: usize,
}

#[derive(Debug)]
enum Item {
    Line(String),
    /// Dropped when all lines before it are written.
    Mark(Sender<()>),
}

/// Counters of both ends.
#[derive(Debug, Default)]
struct Counts {
    /// The bytes of lines that are queued, or being written.
    unwritten_bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// Makes a queue.
pub(crate) fn line_queue() -> (LineSender, LineReceiver) {
    let (sender, receiver) = sync_channel(QUEUE);
    let counts = Arc::new(Counts::default());
    let receiver =
        LineReceiver { queued: receiver, counts: counts.clone(), waiting: Vec::new(), returned_bytes: 0 };
    (LineSender { queued: sender, counts }, receiver)
}

impl LineSender {
    /// Queues a line, or drops and counts it.
    pub(crate) fn send(&self, line: String) {
        let bytes = line.len();
        let unwritten = self.counts.unwritten_bytes.fetch_add(bytes, Ordering::AcqRel);
        if unwritten + bytes > QUEUE_BYTES || self.queued.try_send(Item::Line(line)).is_err() {
            self.counts.unwritten_bytes.fetch_sub(bytes, Ordering::AcqRel);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether all lines queued so far are written.
    pub(crate) fn is_written(&self) -> bool {
        self.counts.unwritten_bytes.load(Ordering::Acquire) == 0
    }

    /// Waits until the lines queued so far are written, or the thread has ended, but no longer than `patience`. Blocks.
    pub(crate) fn wait_until_written(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let (mark, written) = channel();
        let mut mark = Item::Mark(mark);
        while let Err(refused) = self.queued.try_send(mark) {
            match refused {
                TrySendError::Full(again) if Instant::now() < deadline => mark = again,
                _ => return,
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl LineReceiver {
    /// Waits for lines, and returns all that are queued; `None` when the input is gone.
    ///
    /// Those returned before count as written.
    pub(crate) fn next(&mut self) -> Option<Vec<String>> {
        loop {
            let written = std::mem::take(&mut self.returned_bytes);
            self.counts.unwritten_bytes.fetch_sub(written, Ordering::AcqRel);
            self.waiting.clear();
            let first = self.queued.recv().ok()?;
            let mut lines = Vec::new();
            for queued in std::iter::once(first).chain(self.queued.try_iter().take(QUEUE)) {
                match queued {
                    Item::Line(line) => lines.push(line),
                    Item::Mark(mark) => self.waiting.push(mark),
                }
            }
            if !lines.is_empty() {
                self.returned_bytes = lines.iter().map(String::len).sum();
                return Some(lines);
            }
        }
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
            let (sender, mut receiver) = line_queue();
            (0..2 * QUEUE).for_each(|_| sender.send("x".repeat(len)));
            let unwritten = |receiver: &LineReceiver| receiver.counts.unwritten_bytes.load(Ordering::Relaxed);
            assert_eq!(unwritten(&receiver), expected * len);
            assert_eq!(receiver.take_dropped(), (2 * QUEUE - expected) as u64);
            assert_eq!(receiver.next().unwrap().len(), expected);
            assert_eq!(unwritten(&receiver), expected * len, "they are being written");
            assert!(!sender.is_written());
            drop(sender);
            assert!(receiver.next().is_none());
            assert_eq!(unwritten(&receiver), 0);
        }
    }
}
