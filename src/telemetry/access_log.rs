//! The access log: lines for standard output, written by a thread of their own.
//!
//! A reader that is slow must not slow down the registry: when it does not keep up, lines are dropped, and how many is told.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// How many lines may wait to be written.
const QUEUE: usize = 4096;

/// Starts the thread, and gives the way to it. The thread ends when that is dropped.
///
/// # Errors
///
/// When the system gives no thread.
pub fn to_stdout() -> io::Result<impl Fn(String) + Send + Sync> {
    let (sender, lines) = sync_channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let told = dropped.clone();
    thread::Builder::new().name("access-log".to_owned()).spawn(move || write_all(&lines, &told))?;
    Ok(sink(sender, dropped))
}

fn sink(sender: SyncSender<String>, dropped: Arc<AtomicU64>) -> impl Fn(String) + Send + Sync {
    move |line| {
        if sender.try_send(line).is_err() {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write_all(lines: &Receiver<String>, dropped: &AtomicU64) {
    let mut output = io::BufWriter::new(io::stdout());
    while let Ok(first) = lines.recv() {
        let mut written = writeln!(output, "{first}");
        // What has gathered meanwhile goes in one write.
        for line in lines.try_iter().take(QUEUE) {
            written = written.and_then(|()| writeln!(output, "{line}"));
        }
        if written.and_then(|()| output.flush()).is_err() {
            tracing::warn!("the access log ends: nobody reads standard output");
            return;
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "{lost} lines of the access log were dropped: its reader does not keep up");
        }
    }
}
