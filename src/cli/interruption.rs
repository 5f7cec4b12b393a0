//! SIGINT and SIGTERM while a command carries images.
//!
//! The handlers of tokio stay installed, so a thread waits for the signals from the first work that ends in order on: until a
//! signal has come, one outside such work ends the process at once, also in a prompt or in a write to a full pipe.

use std::future::Future;
use std::io;
use std::sync::OnceLock;

use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::transfer::Failed;

/// The work that waits for a signal.
static STATE: Mutex<State> = Mutex::new(State { next: 0, waiting: Vec::new(), has_come: false });

struct State {
    next: u64,
    waiting: Vec<(u64, oneshot::Sender<&'static str>)>,
    /// A signal has come, and work ends in order.
    has_come: bool,
}

/// Runs until SIGINT or SIGTERM.
pub(super) async fn until_interrupted<T>(work: impl Future<Output = T>) -> Result<T, Failed> {
    // The handlers come last: from then on a signal finds the work.
    let (waiting, signal) = Waiting::new();
    let watched = WATCH.get_or_init(|| watch().map_err(|error| error.to_string()));
    watched.as_ref().map_err(|error| Failed(format!("cannot wait for signals: {error}")))?;
    let ended = tokio::select! {
        done = work => Ok(done),
        Ok(what) = signal => Err(Failed(what.to_owned())),
    };
    drop(waiting);
    ended
}

/// The thread that waits for signals, once it runs.
static WATCH: OnceLock<Result<(), String>> = OnceLock::new();

/// An entry of [`STATE`], until it is dropped.
struct Waiting(u64);

impl Waiting {
    fn new() -> (Self, oneshot::Receiver<&'static str>) {
        let (sender, signal) = oneshot::channel();
        let mut state = STATE.lock();
        let number = state.next;
        state.next += 1;
        state.waiting.push((number, sender));
        (Self(number), signal)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        STATE.lock().waiting.retain(|(number, _)| *number != self.0);
    }
}

fn watch() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupts, mut terminations) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let wait = async move {
        loop {
            tokio::select! {
                Some(()) = interrupts.recv() => deliver("interrupted", SignalKind::interrupt()),
                Some(()) = terminations.recv() => deliver("terminated", SignalKind::terminate()),
                else => return,
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || runtime.block_on(wait)).map(drop)
}

/// Ends the work that waits, or else the process. Signals after the first have no effect: `timeout` sends two.
fn deliver(what: &'static str, kind: SignalKind) {
    let mut state = STATE.lock();
    if state.waiting.is_empty() && !state.has_come {
        // As shells show a process that a signal has ended.
        std::process::exit(128 + kind.as_raw_value());
    }
    state.has_come = true;
    for (_, work) in state.waiting.drain(..) {
        // Work that has just ended needs no signal.
        let _ = work.send(what);
    }
}
