//! A disk that records every write and every flush, in order of completion.
//!
//! It is a FUSE file system with one file; a loop device over that file is the disk. Each request waits for a time in
//! proportion to its size, and several wait at once. So small writes overtake large ones, as on a real disk with a cache.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, KernelConfig, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};

use super::recording::{Kind, Record};

/// The name of the file.
pub(crate) const FILE: &str = "disk.img";

const INODE: INodeNo = INodeNo(2);
const TTL: Duration = Duration::from_secs(3600);

/// How many requests the disk handles at once.
const WORKERS: usize = 32;

/// 32 MB/s for each request, so that a flush often ends while an earlier large write is still under way.
const NANOS_PER_KIB: u64 = 32_000;

const LATENCY: Duration = Duration::from_micros(100);

/// The mounted file system.
#[derive(Debug)]
pub(crate) struct Disk {
    state: Arc<State>,
    session: Option<BackgroundSession>,
}

/// How many requests the disk has completed.
#[derive(Clone, Debug)]
pub(crate) struct Position(Arc<State>);

#[derive(Debug)]
struct State {
    image: File,
    log: Mutex<Vec<Record>>,
    position: AtomicU64,
}

impl Disk {
    /// Shows `image` as a file below `mountpoint`.
    pub(crate) fn mount(image: File, mountpoint: &Path) -> Result<Self> {
        let state = Arc::new(State { image, log: Mutex::default(), position: AtomicU64::new(0) });
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..WORKERS {
            let (queue, state) = (Arc::clone(&queue), Arc::clone(&state));
            thread::spawn(move || {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match job {
                        Ok(job) => state.complete(job),
                        Err(_) => return,
                    }
                }
            });
        }
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("power-failure".to_owned())];
        let service = Service { state: Arc::clone(&state), jobs };
        let session = fuser::spawn_mount(service, mountpoint, &config).context("FUSE cannot be mounted")?;
        Ok(Self { state, session: Some(session) })
    }

    pub(crate) fn position(&self) -> Position {
        Position(Arc::clone(&self.state))
    }

    /// Unmounts the disk, and returns its requests.
    pub(crate) fn unmount(mut self) -> Result<Vec<Record>> {
        if let Some(session) = self.session.take() {
            session.umount_and_join().context("the recording disk cannot be unmounted")?;
        }
        Ok(std::mem::take(&mut *self.state.log()))
    }
}

impl Position {
    pub(crate) fn get(&self) -> u64 {
        self.0.position.load(Ordering::SeqCst)
    }
}

impl State {
    fn log(&self) -> std::sync::MutexGuard<'_, Vec<Record>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self, job: Job) {
        let size_kib = match &job.kind {
            Kind::Write(data) => data.len() as u64 / 1024,
            Kind::Zero(_) | Kind::Flush => 0,
        };
        thread::sleep(LATENCY + Duration::from_nanos(size_kib * NANOS_PER_KIB));
        let mut log = self.log();
        let outcome = match &job.kind {
            Kind::Write(data) => self.image.write_all_at(data, job.offset),
            Kind::Zero(len) => zero(&self.image, job.offset, *len),
            Kind::Flush => Ok(()),
        };
        if let Err(error) = outcome {
            drop(log);
            return job.reply.error(error.into());
        }
        let written = match &job.kind {
            Kind::Write(data) => data.len(),
            Kind::Zero(_) | Kind::Flush => 0,
        };
        log.push(Record { submitted: job.submitted, offset: job.offset, kind: job.kind });
        self.position.store(log.len() as u64, Ordering::SeqCst);
        drop(log);
        job.reply.done(u32::try_from(written).unwrap_or(u32::MAX));
    }
}

/// Zeroes `len` bytes of a file.
pub(crate) fn zero(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(file, flags, offset, len)?)
}

struct Job {
    /// How many requests were complete when this one arrived.
    submitted: u64,
    offset: u64,
    kind: Kind,
    reply: Reply,
}

enum Reply {
    Write(ReplyWrite),
    Empty(ReplyEmpty),
}

impl Reply {
    fn done(self, written: u32) {
        match self {
            Self::Write(reply) => reply.written(written),
            Self::Empty(reply) => reply.ok(),
        }
    }

    fn error(self, errno: Errno) {
        match self {
            Self::Write(reply) => reply.error(errno),
            Self::Empty(reply) => reply.error(errno),
        }
    }
}

#[derive(Debug)]
struct Service {
    state: Arc<State>,
    jobs: mpsc::Sender<Job>,
}

impl Service {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let is_file = inode == INODE;
        let size = if is_file { self.state.image.metadata().map_or(0, |metadata| metadata.len()) } else { 0 };
        let epoch = SystemTime::UNIX_EPOCH;
        FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: epoch,
            mtime: epoch,
            ctime: epoch,
            crtime: epoch,
            kind: if is_file { FileType::RegularFile } else { FileType::Directory },
            perm: if is_file { 0o600 } else { 0o700 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        }
    }

    fn queue(&self, offset: u64, kind: Kind, reply: Reply) {
        let submitted = self.state.position.load(Ordering::SeqCst);
        if let Err(mpsc::SendError(job)) = self.jobs.send(Job { submitted, offset, kind, reply }) {
            job.reply.error(Errno::EIO);
        }
    }
}

impl Filesystem for Service {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let is_async = config.add_capabilities(InitFlags::FUSE_ASYNC_DIO);
        is_async.map_err(|_| io::Error::other("FUSE has no asynchronous direct I/O here"))?;
        _ = config.set_max_background(128);
        Ok(())
    }

    fn lookup(&self, _request: &Request, _parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == FILE {
            reply.entry(&TTL, &self.attributes(INODE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _request: &Request, inode: INodeNo, _file: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.attributes(inode));
    }

    fn open(&self, _request: &Request, _inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let flags = FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES;
        reply.opened(FileHandle(0), flags);
    }

    fn readdir(&self, _r: &Request, _inode: INodeNo, _f: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        if offset == 0 {
            _ = reply.add(INODE, 1, FileType::RegularFile, FILE);
        }
        reply.ok();
    }

    fn read(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _file: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut data = vec![0; size as usize];
        let mut have = 0;
        while have < data.len() {
            match self.state.image.read_at(&mut data[have..], offset + have as u64) {
                Ok(0) => break,
                Ok(read) => have += read,
                Err(error) => return reply.error(error.into()),
            }
        }
        reply.data(&data[..have]);
    }

    fn write(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _file: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        self.queue(offset, Kind::Write(data.to_vec()), Reply::Write(reply));
    }

    fn fallocate(
        &self,
        _request: &Request,
        _inode: INodeNo,
        _file: FileHandle,
        offset: u64,
        len: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        // The loop device uses it only to make holes or zeros.
        self.queue(offset, Kind::Zero(len), Reply::Empty(reply));
    }

    fn fsync(&self, _r: &Request, _inode: INodeNo, _f: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.queue(0, Kind::Flush, Reply::Empty(reply));
    }

    fn flush(&self, _r: &Request, _inode: INodeNo, _f: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}
