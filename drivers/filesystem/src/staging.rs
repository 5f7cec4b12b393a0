//! Staged files: opened, locked, and written by one writer at a time.
//!
//! Two guards keep two writers from one file:
//!
//! - `flock` on the file excludes every process that also locks. The lock belongs to the open file, so it ends with the
//!   last handle, also when the process dies. On a network file system without locks only the second guard remains.
//! - [`claim`] tracks the writers of this process, because the lock does not distinguish a working writer from a dropped
//!   one whose last write is still running on another thread. The first is a conflict. The second requires waiting, or an
//!   append would count the bytes before the last of them arrive. The table belongs to the process and not to a driver,
//!   like the lock: a store that is closed and reopened finds the running writes of its former driver.

use std::collections::HashMap;
use std::io::IoSlice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use sampan_driver::{DriverPath, WriteMode};
use tokio::sync::watch;

use crate::disk;
use crate::error::Failure;
use crate::file;
use crate::root::{Identity, Root, split};
use crate::store::Store;

/// How often to retry opening when another writer removes or creates the file meanwhile.
const RACES_TO_SURVIVE: usize = 16;

const OPEN: OFlags =
    OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// The writers of this process, by root and path.
///
/// A slot closes with the last handle on the file; before that, it is true once its writer is gone. A
/// blocking lock, held for look-ups only.
static WRITERS: LazyLock<Mutex<HashMap<Key, watch::Receiver<bool>>>> = LazyLock::new(Mutex::default);

type Key = (Identity, DriverPath);

/// Claims `path` below `root` for one writer, after the last write of a dropped one has ended.
pub(crate) async fn claim(root: &Root, path: &DriverPath) -> Result<WriterClaim, Failure> {
    loop {
        let mut departing = match try_claim((root.identity(), path.clone()))? {
            Attempt::Claimed(claim) => return Ok(claim),
            Attempt::Departing(slot) => slot,
        };
        while departing.changed().await.is_ok() {}
    }
}

fn try_claim(key: Key) -> Result<Attempt, Failure> {
    let mut writers = WRITERS.lock();
    writers.retain(|_, slot| slot.has_changed().is_ok());
    match writers.get(&key) {
        Some(slot) if *slot.borrow() => Ok(Attempt::Departing(slot.clone())),
        Some(_) => Err(Failure::Locked),
        None => {
            let (sender, receiver) = watch::channel(false);
            writers.insert(key, receiver);
            Ok(Attempt::Claimed(WriterClaim(Arc::new(WriterSlot(sender)))))
        }
    }
}

enum Attempt {
    Claimed(WriterClaim),
    Departing(watch::Receiver<bool>),
}

/// An entry in the table of writers; shared by the writer and its running writes.
#[derive(Debug)]
pub(crate) struct WriterSlot(watch::Sender<bool>);

/// The writer's own reference to its slot.
#[derive(Debug)]
pub(crate) struct WriterClaim(Arc<WriterSlot>);

impl WriterClaim {
    /// The reference for a running write.
    pub(crate) fn slot(&self) -> Arc<WriterSlot> {
        Arc::clone(&self.0)
    }
}

impl Drop for WriterClaim {
    fn drop(&mut self) {
        self.0.0.send_replace(true);
    }
}

/// An open, locked staged file.
#[derive(Debug)]
pub(crate) struct Staged {
    key: Box<str>,
    /// Dropped before the slot, so that the lock is free when the slot is.
    file: OwnedFd,
    /// The bytes from the start of the file that are written, for its views.
    written: Arc<AtomicU64>,
    _slot: Arc<WriterSlot>,
}

impl Staged {
    /// Opens and locks the file `key` as `mode` requires.
    pub(crate) fn open(
        store: &Store,
        key: &str,
        mode: &WriteMode,
        slot: Arc<WriterSlot>,
    ) -> Result<Self, Failure> {
        store.check_writable()?;
        store.root.check()?;
        let file = match mode {
            WriteMode::Create(_) => create(store, key)?,
            WriteMode::Append => append(store, key)?,
        };
        Ok(Self { key: key.into(), file, written: Arc::default(), _slot: slot })
    }

    /// The path without its leading slash.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The open file.
    pub(crate) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// The bytes that [`write`](Self::write) has written from the start of a new file.
    pub(crate) fn written(&self) -> &Arc<AtomicU64> {
        &self.written
    }

    /// The size really stored, in bytes.
    pub(crate) fn size_bytes(&self) -> Result<u64, Failure> {
        Ok(file::size_bytes(&rustix::fs::fstat(&self.file)?))
    }

    /// Writes all `chunks`, starting at `offset`.
    pub(crate) fn write(&self, chunks: &[Bytes], mut offset: u64) -> Result<(), Failure> {
        let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match disk::write_at(&self.file, rest, offset) {
                Ok(0) => return Err(Errno::NOSPC.into()), // Chunks are never empty, so the file accepts no more.
                Ok(written) => {
                    offset += written as u64;
                    self.written.store(offset, Ordering::Release);
                    IoSlice::advance_slices(&mut rest, written);
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Syncs the content, whatever name the file has.
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        disk::sync_content(&self.file)
    }

    /// Whether the file still has its staging name.
    pub(crate) fn is_in_place(&self, store: &Store) -> Result<bool, Failure> {
        let (parent, name) = split(&self.key)?;
        match store.root.find_directory(parent) {
            Err(Failure::Missing) => Ok(false),
            directory => Ok(file::is_at(&self.file, &directory?, name)?),
        }
    }

    /// Truncates the file to `size_bytes`.
    pub(crate) fn cut(&self, size_bytes: u64) -> Result<(), Failure> {
        Ok(rustix::fs::ftruncate(&self.file, size_bytes)?)
    }

    /// Removes the file, unless its name belongs to another file by now.
    pub(crate) fn remove(&self, store: &Store) -> Result<(), Failure> {
        let (parent, name) = split(&self.key)?;
        let directory = match store.root.find_directory(parent) {
            Err(Failure::Missing) => return Ok(()),
            result => result?,
        };
        if file::is_at(&self.file, &directory, name)? {
            disk::unlink(&directory, name, AtFlags::empty())?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Closing is not enough: a just forked child process has a copy of the handle until its `exec`.
        _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// Creates an empty file at `key`.
///
/// Removes an existing file instead of truncating it: it may have been published, and a reader may have
/// mapped it.
fn create(store: &Store, key: &str) -> Result<OwnedFd, Failure> {
    let (parent, name) = split(key)?;
    for _ in 0..RACES_TO_SURVIVE {
        let directory = store.directories.open_or_create(&store.root, parent)?;
        // The file's own directory may be lost together with the file.
        store.directories.sync_new_for_transient(&store.root, parent)?;
        match rustix::fs::openat(&directory, name, OPEN, Mode::empty()) {
            Ok(old) => {
                let Some(size_bytes) = lock(&old, &directory, name)? else { continue };
                if size_bytes == 0 {
                    return Ok(old);
                }
                match rustix::fs::unlinkat(&directory, name, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        match disk::create(&directory, name, OPEN) {
            Ok(new) => {
                store.root.hand_over(&new)?;
                if lock(&new, &directory, name)?.is_some() {
                    return Ok(new);
                }
            }
            Err(Errno::EXIST | Errno::NOENT) => {} // Another writer was faster, or the directory was deleted.
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Failure::Locked)
}

/// Opens the file that was closed at `key` before.
fn append(store: &Store, key: &str) -> Result<OwnedFd, Failure> {
    let (parent, name) = split(key)?;
    let directory = store.root.find_directory(parent)?;
    match rustix::fs::openat(&directory, name, OPEN, Mode::empty()) {
        Ok(file) => match lock(&file, &directory, name)? {
            Some(_) => Ok(file),
            None => Err(Failure::Missing), // Another writer committed or deleted it before we had the lock.
        },
        Err(Errno::NOENT | Errno::ISDIR) => Err(store.root.missing()),
        Err(errno) => Err(errno.into()),
    }
}

/// Locks the file and returns its size; `None` if it lost its name before.
///
/// Without this check a writer could append to a file that its former writer has just published.
fn lock(file: &OwnedFd, directory: &OwnedFd, name: &str) -> Result<Option<u64>, Failure> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        // Some network file systems have no locks. Distribution never uses any.
        Ok(()) | Err(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {}
        Err(Errno::WOULDBLOCK) => return Err(Failure::Locked),
        Err(errno) => return Err(errno.into()),
    }
    if !file::is_at(file, directory, name)? {
        return Ok(None);
    }
    let stat = rustix::fs::fstat(file)?;
    if !file::is_regular(&stat) {
        return Err(Failure::Os(Errno::INVAL));
    }
    Ok(Some(file::size_bytes(&stat)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_has_one_writer_and_waits_for_running_writes_of_a_dropped_one() {
        let dir = tempfile::tempdir().unwrap();
        let [root, reopened] = [(); 2].map(|()| Root::open(dir.path().to_owned()).unwrap());
        let path: DriverPath = "/a".parse().unwrap();
        let first = claim(&root, &path).await.unwrap();
        assert!(matches!(claim(&reopened, &path).await, Err(Failure::Locked)));

        let under_way = first.slot();
        drop(first);
        let mut next = Box::pin(claim(&reopened, &path));
        assert!(futures::poll!(&mut next).is_pending());
        drop(under_way);
        next.await.unwrap();
    }

    #[test]
    fn a_staged_file_locked_by_another_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        // Two stores over one directory share as little state as two processes.
        let [one, two] = [(); 2].map(|()| Store::open(dir.path().to_owned(), 25).unwrap());
        let slot = || Arc::new(WriterSlot(watch::channel(false).0));
        let first = Staged::open(&one, "u/data", &WriteMode::Create(Default::default()), slot()).unwrap();
        for mode in [WriteMode::Append, WriteMode::Create(Default::default())] {
            let second = Staged::open(&two, "u/data", &mode, slot());
            assert!(matches!(second, Err(Failure::Locked)), "{mode:?}: {second:?}");
        }
        drop(first);
        Staged::open(&two, "u/data", &WriteMode::Append, slot()).unwrap();
    }

    #[test]
    fn create_never_truncates_a_file_that_a_reader_may_have_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().to_owned(), 25).unwrap();
        std::fs::write(dir.path().join("data"), "published").unwrap();
        let reader = std::fs::File::open(dir.path().join("data")).unwrap();
        let slot = Arc::new(WriterSlot(watch::channel(false).0));
        let staged = Staged::open(&store, "data", &WriteMode::Create(Default::default()), slot).unwrap();
        assert_eq!(staged.size_bytes().unwrap(), 0);
        assert_eq!(std::io::read_to_string(reader).unwrap(), "published");
    }
}
