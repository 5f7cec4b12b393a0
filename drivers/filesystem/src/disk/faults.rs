//! Makes calls fail, and counts them: for this crate's tests.
//!
//! A call is identified by its kind and by the path under which the kernel knows its file, so that parallel
//! tests in separate directories do not interfere.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use parking_lot::{Mutex, MutexGuard};
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

use super::Call;

/// The planned faults and the counts below the directories that tests watch.
static WATCHED: LazyLock<Mutex<HashMap<PathBuf, Watched>>> = LazyLock::new(Mutex::default);

#[derive(Debug, Default)]
struct Watched {
    faults: Vec<Fault>,
    calls: HashMap<Call, usize>,
}

#[derive(Debug)]
struct Fault {
    call: Call,
    part: String,
    errno: Errno,
    /// How many such calls succeed first.
    spared: usize,
    times: usize,
}

/// Watches the calls below a directory until it is dropped.
#[derive(Debug)]
pub(crate) struct CallWatch(PathBuf);

impl CallWatch {
    pub(crate) fn over(directory: &Path) -> Self {
        let directory = directory.canonicalize().unwrap();
        watched().insert(directory.clone(), Watched::default());
        Self(directory)
    }

    /// Makes the next `times` calls of that kind fail whose path below the directory contains `part`.
    pub(crate) fn fail(&self, call: Call, part: &str, errno: Errno, times: usize) {
        let fault = Fault { call, part: part.to_owned(), errno, spared: 0, times };
        self.with(|watched| watched.faults.push(fault));
    }

    /// Makes one call of that kind fail, after `spared` of them.
    pub(crate) fn fail_after(&self, call: Call, spared: usize, errno: Errno) {
        let fault = Fault { call, part: String::new(), errno, spared, times: 1 };
        self.with(|watched| watched.faults.push(fault));
    }

    /// Whether every planned fault has occurred.
    pub(crate) fn has_failed(&self) -> bool {
        self.with(|watched| watched.faults.iter().all(|fault| fault.times == 0))
    }

    /// The number of syncs since the last call of this function.
    pub(crate) fn syncs(&self) -> usize {
        let counts = self.with(|watched| std::mem::take(&mut watched.calls));
        let of = |call| counts.get(&call).copied().unwrap_or_default();
        of(Call::SyncFile) + of(Call::SyncDirectory)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Watched) -> T) -> T {
        look(watched().get_mut(&self.0).unwrap())
    }
}

impl Drop for CallWatch {
    fn drop(&mut self) {
        watched().remove(&self.0);
    }
}

pub(super) fn begin(call: Call, at: impl AsFd, name: &str) -> Result<(), Errno> {
    let link = format!("/proc/self/fd/{}", at.as_fd().as_raw_fd());
    let Ok(path) = std::fs::read_link(link) else { return Ok(()) };
    let path = if name.is_empty() { path } else { path.join(name) };
    let mut watched = watched();
    for (directory, watched) in watched.iter_mut() {
        let Ok(below) = path.strip_prefix(directory) else { continue };
        *watched.calls.entry(call).or_default() += 1;
        let below = below.to_string_lossy();
        let mut due = watched.faults.iter_mut().filter(|fault| fault.times > 0 && fault.call == call);
        if let Some(fault) = due.find(|fault| below.contains(&fault.part)) {
            if fault.spared > 0 {
                fault.spared -= 1;
                continue;
            }
            fault.times -= 1;
            return Err(fault.errno);
        }
    }
    Ok(())
}

fn watched() -> MutexGuard<'static, HashMap<PathBuf, Watched>> {
    WATCHED.lock()
}
