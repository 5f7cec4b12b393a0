//! `watched`: work on a thread of its own, with a limit, whose name is on the screen while it takes long.
//!
//! libtest-mimic prints a test when it has ended, and the reasons of failures when all have. So a test that hangs would have
//! no name, and no other failure a reason.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Failed;
use crate::last_operation::LastOperation;

/// Does `work` on a thread called `name`, and gives it up after `patience`: also when the driver blocks that thread for ever.
///
/// # Errors
///
/// Those of `work`, or that it has not ended in time.
#[expect(clippy::print_stderr, reason = "the name of a clause that takes long")]
pub(crate) fn watched<T: Send + 'static>(
    name: &str,
    patience: Duration,
    last: &Arc<LastOperation>,
    work: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    let (done, outcome) = mpsc::channel();
    let run = move || {
        let _ = done.send(work());
    };
    let running = thread::Builder::new().name(name.to_owned()).spawn(run)?;
    // The work itself times out earlier than this, unless its thread is blocked.
    let (begun, limit) = (Instant::now(), patience + GRACE.min(patience));
    let mut notice = FIRST_NOTICE;
    loop {
        let until = notice.min(limit);
        match outcome.recv_timeout(until.saturating_sub(begun.elapsed())) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Timeout) if until < limit => {
                eprintln!("{name} has been running for {} s; its last operation: {last}", notice.as_secs());
                notice *= 2;
            }
            Err(RecvTimeoutError::Timeout) => return Err(hangs(name, patience, last)),
            // The work panicked; resume the panic here.
            Err(RecvTimeoutError::Disconnected) => match running.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(Failed::new("the clause ended without an outcome")),
            },
        }
    }
}

/// The failure of work that has not ended in time.
pub(crate) fn hangs(name: &str, patience: Duration, last: &LastOperation) -> Failed {
    Failed::new(format_args!(
        "{name} has not come to an end in {} s; its last operation: {last}. The driver hangs, or each of its operations takes \
         too long (Fixture::paced is for such stores), or the machine has too much else to do (SAMPAN_CONFORMANCE_PATIENCE is \
         for such machines)",
        patience.as_secs()
    ))
}

/// After how long the suite prints that a clause is still running; again after twice that time, and so on.
const FIRST_NOTICE: Duration = Duration::from_secs(10);

/// How long a timed-out clause may take to end.
const GRACE: Duration = Duration::from_secs(15);
