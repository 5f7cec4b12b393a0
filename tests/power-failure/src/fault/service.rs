//! The FUSE file system over [`Files`], with faults.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};

use super::files::{CallResult, Files, Kind, ROOT};
use super::plan::{Fault, Faults, Operation};

/// The kernel caches nothing, so that the plan counts every operation.
const TTL: Duration = Duration::ZERO;

/// Mounted files; unmounted when dropped.
#[derive(Debug)]
pub(crate) struct Mounted {
    state: Arc<Mutex<State>>,
    session: Option<BackgroundSession>,
    pub(crate) directory: PathBuf,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) files: Files,
    pub(crate) faults: Faults,
    /// The place of the sync that was left out.
    pub(crate) left_out: Option<String>,
    /// Listings as of the opening of the directory.
    listings: HashMap<u64, Vec<(OsString, u64, FileType)>>,
    next_handle: u64,
}

impl Mounted {
    /// Mounts `files` at `directory`. The processes that use them must end before the mount is dropped.
    pub(crate) fn new(files: Files, directory: &Path) -> Result<Self> {
        let faults = Faults::default();
        let state = State { files, faults, left_out: None, listings: HashMap::new(), next_handle: 1 };
        let state = Arc::new(Mutex::new(state));
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("faults".to_owned())];
        let service = Service(Arc::clone(&state));
        let session = fuser::spawn_mount(service, directory, &config).context("FUSE cannot be mounted")?;
        Ok(Self { state, session: Some(session), directory: directory.to_owned() })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current files.
    pub(crate) fn files(&self) -> Files {
        self.state().files.clone()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && let Err(error) = session.umount_and_join()
        {
            eprintln!("{} cannot be unmounted: {error}", self.directory.display());
        }
    }
}

impl State {
    fn attributes(&self, inode: u64) -> CallResult<FileAttr> {
        let node = self.files.node(inode)?;
        let (kind, size) = match &node.kind {
            Kind::File(content) => (FileType::RegularFile, content.cached.len() as u64),
            Kind::Directory(_) => (FileType::Directory, 0),
        };
        Ok(FileAttr {
            ino: INodeNo(inode),
            size,
            blocks: size.div_ceil(512),
            atime: node.modified,
            mtime: node.modified,
            ctime: node.modified,
            crtime: node.modified,
            kind,
            perm: node.mode,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn sync(&mut self, inode: u64, operation: Operation) -> CallResult<()> {
        match self.faults.check(operation) {
            Ok(()) => self.files.sync(inode),
            Err(Fault::Lie) => {
                let path = self.files.path(inode).unwrap_or_else(|| "a removed directory".to_owned());
                let effect = if self.files.is_dirty(inode) { "" } else { ", with nothing to write" };
                self.left_out = Some(format!("{path}{effect}"));
                Ok(())
            }
            Err(fault) => {
                self.files.fail_sync(inode)?;
                Err(fault.errno())
            }
        }
    }
}

#[derive(Debug)]
struct Service(Arc<Mutex<State>>);

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out an operation, unless the plan lets it fail.
    fn with<T>(&self, operation: Operation, work: impl FnOnce(&mut State) -> CallResult<T>) -> CallResult<T> {
        let mut state = self.state();
        state.faults.check(operation).map_err(Fault::errno)?;
        work(&mut state)
    }
}

fn finish(outcome: CallResult<()>, reply: ReplyEmpty) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn enter(outcome: CallResult<FileAttr>, reply: ReplyEntry) {
    match outcome {
        Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

fn permissions(mode: u32, umask: u32) -> u16 {
    u16::try_from(mode & !umask & 0o7777).unwrap_or(0o600)
}

impl Filesystem for Service {
    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.with(Operation::Lookup, |state| {
            let inode = state.files.lookup(parent.0, name)?;
            state.attributes(inode)
        });
        enter(found, reply);
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _file: Option<FileHandle>, reply: ReplyAttr) {
        match self.state().attributes(inode.0) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _request: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _file: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.with(Operation::Change, |state| {
            if let Some(size) = size {
                state.files.truncate(inode.0, usize::try_from(size).map_err(|_| Errno::EFBIG)?)?;
            }
            let node = state.files.node_mut(inode.0)?;
            if let Some(mode) = mode {
                node.mode = permissions(mode, 0);
            }
            match mtime {
                Some(TimeOrNow::SpecificTime(time)) => node.modified = time,
                Some(TimeOrNow::Now) => node.modified = SystemTime::now(),
                None => {}
            }
            state.attributes(inode.0)
        });
        match changed {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self.with(Operation::Mkdir, |state| {
            let inode = state.files.make(parent.0, name, true, permissions(mode, umask))?;
            state.attributes(inode)
        });
        enter(made, reply);
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        finish(self.with(Operation::Unlink, |state| state.files.remove(parent.0, name, false)), reply);
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        finish(self.with(Operation::Rmdir, |state| state.files.remove(parent.0, name, true)), reply);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let may_replace = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        let renamed = self.with(Operation::Rename, |state| {
            state.files.rename((parent.0, name), (new_parent.0, new_name), may_replace)
        });
        finish(renamed, reply);
    }

    fn create(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.with(Operation::Create, |state| {
            let inode = state.files.make(parent.0, name, false, permissions(mode, umask))?;
            state.attributes(inode)
        });
        match made {
            Ok(attributes) => {
                reply.created(&TTL, &attributes, Generation(0), FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _request: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        match self.with(Operation::Open, |_| Ok(())) {
            Ok(()) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _request: &Request,
        inode: INodeNo,
        _file: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.with(Operation::Read, |state| match &state.files.node(inode.0)?.kind {
            Kind::File(content) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.cached.len());
                let end = start.saturating_add(size as usize).min(content.cached.len());
                Ok(content.cached[start..end].to_vec())
            }
            Kind::Directory(_) => Err(Errno::EISDIR),
        });
        match read {
            Ok(data) => reply.data(&data),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _request: &Request,
        inode: INodeNo,
        _file: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.with(Operation::Write, |state| {
            let offset = usize::try_from(offset).map_err(|_| Errno::EFBIG)?;
            state.files.write(inode.0, offset, data)
        });
        match written {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _r: &Request, _inode: INodeNo, _f: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _r: &Request, inode: INodeNo, _f: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let synced = self.state().sync(inode.0, Operation::Sync);
        finish(synced, reply);
    }

    fn fsyncdir(&self, _r: &Request, inode: INodeNo, _f: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let synced = self.state().sync(inode.0, Operation::SyncDirectory);
        finish(synced, reply);
    }

    fn opendir(&self, _request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let mut state = self.state();
        let names = match state.files.list(inode.0) {
            Ok(names) => names,
            Err(errno) => return reply.error(errno),
        };
        let kind = |inode: u64| match state.files.node(inode).map(|node| &node.kind) {
            Ok(Kind::Directory(_)) => FileType::Directory,
            _ => FileType::RegularFile,
        };
        let dots = [".", ".."].map(|name| (name.into(), ROOT, FileType::Directory));
        let listing =
            dots.into_iter().chain(names.into_iter().map(|(name, inode)| (name, inode, kind(inode))));
        let listing = listing.collect();
        let handle = state.next_handle;
        state.next_handle += 1;
        state.listings.insert(handle, listing);
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    fn readdir(
        &self,
        _request: &Request,
        _inode: INodeNo,
        file: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut state = self.state();
        if let Err(fault) = state.faults.check(Operation::Readdir) {
            return reply.error(fault.errno());
        }
        let listing = state.listings.get(&file.0).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(listing.len());
        for (index, (name, inode, kind)) in listing.iter().enumerate().skip(from) {
            if reply.add(INodeNo(*inode), index as u64 + 1, *kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(
        &self,
        _request: &Request,
        _inode: INodeNo,
        file: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.state().listings.remove(&file.0);
        reply.ok();
    }

    fn statfs(&self, _request: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 4096, 255, 4096);
    }
}
