//! `DiskProblem`: why the store currently accepts no writes.
//!
//! A disk that failed to write is not trusted at once. The kernel reports a lost page or directory entry once; the next
//! sync of the same file succeeds. So after a failed sync the store accepts no writes until
//!
//! - a *probe* has shown that the disk writes again: enough if everything lost was discarded and never acknowledged;
//! - the registry *restarts*: needed if names may be visible that are not on disk and could not be removed.
//!
//! Reads continue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{Access, AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::disk;
use crate::error::Failure;
use crate::root::Root;

/// How long to wait before probing a failed disk again.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// The content of a probe: a page.
const PROBE: [u8; 4096] = [0x53; 4096];

/// The current problem, shared by all operations of a driver.
#[derive(Debug, Default)]
pub(crate) struct DiskProblem {
    /// Whether there is a problem: read before every write.
    is_there: AtomicBool,
    /// A blocking lock, held for look-ups only.
    known: Mutex<Option<Observed>>,
}

#[derive(Clone, Debug)]
struct Observed {
    reason: String,
    ends: EndsBy,
    /// When the problem was last observed.
    seen: Instant,
}

/// When a problem ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum EndsBy {
    /// When a probe succeeds.
    ByProbe,
    /// With this process.
    ByRestart,
}

impl DiskProblem {
    /// Records a problem. One that requires a restart is never replaced by a lesser one.
    pub(crate) fn note(&self, reason: String, ends: EndsBy) {
        let mut known = self.known();
        if known.as_ref().is_some_and(|known| known.ends == EndsBy::ByRestart) {
            return;
        }
        match &mut *known {
            Some(known) if known.ends == ends && known.reason == reason => known.seen = Instant::now(),
            known => {
                tracing::error!("the store accepts no more writes: {reason}");
                *known = Some(Observed { reason, ends, seen: Instant::now() });
            }
        }
        self.is_there.store(true, Ordering::Release);
    }

    /// Succeeds if the store accepts writes; probes it now and then if it has a problem.
    pub(crate) fn check(&self, root: &Root) -> Result<(), Failure> {
        if !self.is_there.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.is_due() {
            None => Ok(()),
            Some((reason, false)) => Err(Failure::Unwritable(reason)),
            Some((reason, true)) => match probe(root) {
                Ok(()) => {
                    self.end();
                    Ok(())
                }
                Err(_) => Err(Failure::Unwritable(reason)),
            },
        }
    }

    /// Why the store accepts no writes, after a probe if one is due.
    pub(crate) fn probe_if_due(&self, root: &Root) -> Option<String> {
        match self.check(root) {
            Err(Failure::Unwritable(reason)) => Some(reason),
            _ => None,
        }
    }

    /// The reason, and whether a probe is due, which the caller must then run.
    fn is_due(&self) -> Option<(String, bool)> {
        let mut known = self.known();
        let known = known.as_mut()?;
        let is_due = known.ends == EndsBy::ByProbe && known.seen.elapsed() >= PROBE_INTERVAL;
        if is_due {
            known.seen = Instant::now();
        }
        Some((known.reason.clone(), is_due))
    }

    fn end(&self) {
        let mut known = self.known();
        // Another operation may have recorded a worse problem meanwhile.
        if known.as_ref().is_none_or(|known| known.ends == EndsBy::ByProbe) {
            *known = None;
            self.is_there.store(false, Ordering::Release);
            tracing::info!("the store accepts writes again");
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Observed>> {
        self.known.lock()
    }

    #[cfg(test)]
    pub(crate) fn let_rest(&self) {
        if let Some(known) = &mut *self.known() {
            known.seen = known.seen.checked_sub(PROBE_INTERVAL).unwrap();
        }
    }
}

/// Writes and syncs an unnamed file, which leaves nothing behind.
fn probe(root: &Root) -> Result<(), Failure> {
    root.check()?;
    let directory = root.directory("")?;
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match rustix::fs::openat(&directory, ".", flags, Mode::from_raw_mode(0o600)) {
        Ok(file) => {
            disk::write(&file, &PROBE)?;
            disk::sync_file(&file)?;
        }
        // For file systems without unnamed files, check the directory's permissions.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => {
            rustix::fs::accessat(&directory, ".", Access::WRITE_OK, AtFlags::empty())?;
        }
        Err(errno) => return Err(errno.into()),
    }
    disk::sync_directory(&directory)?;
    Ok(())
}
