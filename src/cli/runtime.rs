//! The runtime of a command.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

/// Beside its workers a runtime has threads that may block; with none of these it would wait for ever.
const SPARE_THREADS: usize = 1;

/// Starts a runtime with a worker for each processor.
///
/// # Errors
///
/// The system starts too few threads.
pub(super) fn start() -> io::Result<Runtime> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    check_threads(workers + SPARE_THREADS, |work| thread::Builder::new().spawn(work))?;
    Builder::new_multi_thread().enable_all().build()
}

/// Checks that the system starts so many threads: the runtime would panic without its first.
fn check_threads(
    wanted: usize,
    spawn: impl Fn(Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>,
) -> io::Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock();
    let (mut started, mut failure) = (Vec::with_capacity(wanted), None);
    while started.len() < wanted && failure.is_none() {
        let gate = Arc::clone(&gate);
        match spawn(Box::new(move || drop(gate.lock()))) {
            Ok(thread) => started.push(thread),
            Err(error) => failure = Some(error),
        }
    }
    drop(closed);
    let count = started.len();
    // They do nothing that could panic.
    started.into_iter().for_each(|thread| _ = thread.join());
    match failure {
        None => Ok(()),
        Some(error) => Err(io::Error::new(
            error.kind(),
            format!(
                "the system starts {count} more threads of this process, and {wanted} are needed: {error}; raise their limit \
                 (`ulimit -u`, `pids_limit` of a container, `TasksMax` of systemd)"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn too_few_threads_are_an_error_with_a_remedy() {
        for (allowed, is_enough) in [(0, false), (2, false), (3, true)] {
            let started = AtomicUsize::new(0);
            let spawn = |work| match started.fetch_add(1, Ordering::Relaxed) {
                number if number < allowed => thread::Builder::new().spawn(work),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            };
            let checked = check_threads(3, spawn).map_err(|error| error.to_string());
            assert_eq!(checked.is_ok(), is_enough, "{checked:?}");
            let expected = format!("starts {allowed} more threads of this process, and 3 are needed");
            assert!(is_enough || checked.unwrap_err().contains(&expected));
        }
    }
}
