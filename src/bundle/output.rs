//! `Output`: where a bundle is written; `FileOutput` writes it to a file, or to parts of equal length.
//!
//! An unfinished file is called `….partial` until its last sync. A crash leaves whole parts and one partial file, from which
//! [`find_resumption`](crate::find_resumption) continues.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sampan_engine::oci::Algorithm;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::{ContentHash, Error, PartSum, Result, part_name};

/// Takes the bytes of a bundle in their order.
pub trait Output: Send {
    /// Takes the next bytes.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = io::Result<()>> + Send;
}

impl<W: AsyncWrite + Send + Unpin> Output for W {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.write_all(&bytes).await
    }
}

/// How a bundle is stored in files.
#[derive(Clone, Debug)]
pub struct OutputOptions {
    /// The file; parts get a number after its name.
    pub path: PathBuf,
    /// The length of every part but the last, in bytes; `None` for one file.
    pub split_bytes: Option<u64>,
    /// The length of the bundle, in bytes.
    pub len_bytes: u64,
    /// The offset of the first byte that the output gets. The files have what is before it.
    pub start: u64,
}

/// The files that an output has finished.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Written {
    /// The files, in order.
    pub paths: Vec<PathBuf>,
    /// Their checksums, if there are parts.
    pub sums: Vec<PartSum>,
}

/// Writes files on a thread of its own, so that the source reads meanwhile.
#[derive(Debug)]
pub struct FileOutput {
    pieces: mpsc::Sender<Bytes>,
    writer: JoinHandle<Result<Written>>,
}

/// Gets the checksum of each part that is finished. May block.
type OnPart = Box<dyn FnMut(&PartSum) + Send>;

/// How many pieces wait for the disk.
const QUEUE: usize = 8;

impl OutputOptions {
    fn part_len(&self) -> u64 {
        self.split_bytes.unwrap_or(u64::MAX)
    }

    /// The number of parts, and the path of the part with this index.
    fn part(&self, index: u64) -> PathBuf {
        match self.split_bytes {
            Some(len) => part_name(&self.path, index + 1, self.len_bytes.div_ceil(len)),
            None => self.path.clone(),
        }
    }
}

impl FileOutput {
    /// Opens an output; the first bytes create the first file.
    pub fn new(options: OutputOptions) -> Self {
        Self::with(options, |_| {})
    }

    /// Opens an output; `on_part` gets the checksum of each part when that is on the disk, also of those before an error. May
    /// block.
    pub fn with(options: OutputOptions, on_part: impl FnMut(&PartSum) + Send + 'static) -> Self {
        let on_part: OnPart = Box::new(on_part);
        let (pieces, mut queue) = mpsc::channel::<Bytes>(QUEUE);
        let writer = tokio::task::spawn_blocking(move || {
            let mut writer =
                Writer { offset: options.start, options, open: None, written: Written::default(), on_part };
            while let Some(piece) = queue.blocking_recv() {
                writer.write(piece)?;
            }
            writer.close()
        });
        Self { pieces, writer }
    }

    /// Waits until everything is on the disk under its final name.
    ///
    /// # Errors
    ///
    /// Any error of a file. What was written stays under its `.partial` name.
    pub async fn finish(self) -> Result<Written> {
        drop(self.pieces);
        match self.writer.await {
            Ok(written) => written,
            Err(error) => Err(Error::Pipe(io::Error::other(error))),
        }
    }
}

impl Output for FileOutput {
    async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        // The writer ends early only with an error, which `finish` returns.
        self.pieces.send(bytes).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

struct Writer {
    options: OutputOptions,
    offset: u64,
    open: Option<OpenPart>,
    written: Written,
    on_part: OnPart,
}

struct OpenPart {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    hash: Option<ContentHash>,
    /// The offset in the bundle behind the part.
    end: u64,
}

impl Writer {
    fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let mut part = match self.open.take() {
                Some(part) => part,
                None => self.open_part()?,
            };
            let room = part.end - self.offset;
            let piece = bytes.split_to(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            part.file.write_all(&piece).map_err(Error::file(&part.partial))?;
            if let Some(hash) = &mut part.hash {
                hash.update(&piece);
            }
            self.offset += piece.len() as u64;
            match self.offset == part.end {
                true => self.publish(part)?,
                false => self.open = Some(part),
            }
        }
        Ok(())
    }

    fn open_part(&self) -> Result<OpenPart> {
        let len = self.options.part_len();
        let index = self.offset / len;
        let (path, within) = (self.options.part(index), self.offset % len);
        let partial = partial_name(&path);
        if within > 0 && self.options.split_bytes.is_some() && path.exists() {
            // A resumed export continues in a part that was finished: that is what was checked, and not a partial file beside it.
            fs::rename(&path, &partial).map_err(Error::file(&path))?;
        }
        // One that continues does so behind bytes that were checked, and never behind a gap.
        let mut options = OpenOptions::new();
        options.create(within == 0).truncate(false).read(true).write(true);
        let mut file = options.open(&partial).map_err(Error::file(&partial))?;
        take(&file, &partial, within).map_err(Error::file(&partial))?;
        let mut hash = self.options.split_bytes.map(|_| ContentHash::new(Algorithm::Sha256));
        rewind(&mut file, within, hash.as_mut()).map_err(Error::file(&partial))?;
        let end = len.saturating_mul(index + 1).min(self.options.len_bytes);
        Ok(OpenPart { path, partial, file, hash, end })
    }

    fn publish(&mut self, part: OpenPart) -> Result<()> {
        part.file.sync_all().map_err(Error::file(&part.partial))?;
        fs::rename(&part.partial, &part.path).map_err(Error::file(&part.path))?;
        sync_directory(&part.path)?;
        if let Some(hash) = part.hash {
            let name = part.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let sum = PartSum { name, digest: hash.finish() };
            (self.on_part)(&sum);
            self.written.sums.push(sum);
        }
        self.written.paths.push(part.path);
        Ok(())
    }

    fn close(self) -> Result<Written> {
        if let Some(part) = self.open {
            // The writer of the bundle stopped early, and says why.
            part.file.sync_all().map_err(Error::file(&part.partial))?;
        }
        Ok(self.written)
    }
}

/// Locks an unfinished file, of which `len` bytes were checked, until it is closed: two exports that write it at once would leave
/// gaps, and the first to end would publish them.
fn take(file: &File, partial: &Path, len: u64) -> io::Result<()> {
    // Some network file systems have no locks.
    if flock(file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return Err(io::Error::other(
            "another export is writing it: wait for its end, or choose another name",
        ));
    }
    let opened = file.metadata()?;
    let is_same = |found: Metadata| (opened.dev(), opened.ino()) == (found.dev(), found.ino());
    match fs::metadata(partial).is_ok_and(is_same) && opened.len() >= len {
        true => Ok(()),
        false => Err(io::Error::other("another export has changed it meanwhile: repeat the command")),
    }
}

/// Cuts the file to its first `len` bytes, hashes them, and continues behind them.
fn rewind(file: &mut File, len: u64, hash: Option<&mut ContentHash>) -> io::Result<()> {
    file.set_len(len)?;
    if let Some(hash) = hash {
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
    }
    file.seek(SeekFrom::Start(len)).map(drop)
}

/// The name of an unfinished file.
pub(crate) fn partial_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".partial");
    name.into()
}

/// Makes a rename durable.
fn sync_directory(path: &Path) -> Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(Error::file(directory))
}
