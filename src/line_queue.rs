//! A queue of lines for a thread that writes them: bounded in lines and in bytes.
//!
//! A slow disk or reader must not slow down the registry: when the thread does not keep up, lines are dropped and
//! counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// The most lines queued, and their most bytes: clients control the length of a line.
const QUEUE: usize = 4096;
const QUEUE_BYTES: usize = 4 << 20;

/// The input of a queue. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct LineSender {
    queued: SyncSender<Queued>,
    counts: Arc<Counts>,
}

/// The output of a queue.
#[derive(Debug)]
pub(crate) struct LineReceiver {
    queued: Receiver<Queued>,
    counts: Arc<Counts>,
    /// Those who wait until the lines returned last are written.
    waiting: Vec<Sender<()>>,
    /// How many lines were returned last.
    returned: usize,
}

#[derive(Debug)]
enum Queued {
    Line(String),
    /// Dropped when all lines before it are written.
    Mark(Sender<()>),
}

/// Counters of both ends.
#[derive(Debug, Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    /// Lines that are queued, or being written.
    unwritten: AtomicUsize,
    dropped: AtomicU64,
}

/// Makes a queue.
pub(crate) fn line_queue() -> (LineSender, LineReceiver) {
    let (sender, receiver) = sync_channel(QUEUE);
    let counts = Arc::new(Counts::default());
    let receiver =
        LineReceiver { queued: receiver, counts: counts.clone(), waiting: Vec::new(), returned: 0 };
    (LineSender { queued: sender, counts }, receiver)
}

impl LineSender {
    /// Queues a line, or drops and counts it.
    pub(crate) fn send(&self, line: String) {
        let bytes = line.len();
        self.counts.unwritten.fetch_add(1, Ordering::AcqRel);
        let waiting = self.counts.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > QUEUE_BYTES || self.queued.try_send(Queued::Line(line)).is_err() {
            self.counts.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.unwritten.fetch_sub(1, Ordering::AcqRel);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether all lines queued so far are written.
    pub(crate) fn is_written(&self) -> bool {
        self.counts.unwritten.load(Ordering::Acquire) == 0
    }

    /// Waits until the lines queued so far are written, or the thread has ended, but no longer than `patience`. Blocks.
    pub(crate) fn wait_until_written(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let (mark, written) = channel();
        let mut mark = Queued::Mark(mark);
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
            self.counts.unwritten.fetch_sub(std::mem::take(&mut self.returned), Ordering::AcqRel);
            self.waiting.clear();
            let first = self.queued.recv().ok()?;
            let mut lines = Vec::new();
            for queued in std::iter::once(first).chain(self.queued.try_iter().take(QUEUE)) {
                match queued {
                    Queued::Line(line) => lines.push(line),
                    Queued::Mark(mark) => self.waiting.push(mark),
                }
            }
            let bytes = lines.iter().map(String::len).sum();
            self.counts.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            if !lines.is_empty() {
                self.returned = lines.len();
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
            assert_eq!(receiver.counts.waiting_bytes.load(Ordering::Relaxed), expected * len);
            assert_eq!(receiver.take_dropped(), (2 * QUEUE - expected) as u64);
            assert_eq!(receiver.next().unwrap().len(), expected);
            assert_eq!(receiver.counts.waiting_bytes.load(Ordering::Relaxed), 0);
            assert!(!sender.is_written(), "they are being written");
            let last = sender.clone();
            thread::spawn(move || last.send("last".to_owned())).join().unwrap();
            receiver.next().unwrap();
            assert_eq!(receiver.counts.unwritten.load(Ordering::Relaxed), 1);
        }
    }
}
