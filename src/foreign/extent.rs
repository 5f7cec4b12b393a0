//! `Extent`: the place of some content in a medium, read by offset.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use sampan_bundle::PartFiles;

use crate::{Error, Result};

/// Where bytes are.
#[derive(Clone, Debug)]
pub(crate) enum ByteSource {
    /// A tar file, or its parts.
    Parts(Arc<PartFiles>),
    /// The temporary file of this directory.
    Spool(Arc<File>, Arc<Path>),
    /// A file of a directory.
    Directory(PathBuf),
    /// Bytes that were made here.
    Memory(Bytes),
}

/// Some content.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    pub(crate) medium: ByteSource,
    /// The offset of its first byte.
    pub(crate) offset: u64,
    pub(crate) size_bytes: u64,
    /// Its name, for messages.
    pub(crate) entry: Box<str>,
}

/// Content that was opened, at its first byte that was not read.
pub(crate) struct OpenExtent {
    source: Source,
    offset: u64,
    left: u64,
    entry: Box<str>,
}

enum Source {
    Parts(Arc<PartFiles>),
    File(Arc<File>, PathBuf),
    Memory(Bytes),
}

impl Extent {
    /// Content that was made here.
    pub(crate) fn made(bytes: Bytes, entry: &str) -> Self {
        Self {
            size_bytes: bytes.len() as u64,
            medium: ByteSource::Memory(bytes),
            offset: 0,
            entry: entry.into(),
        }
    }

    /// The file of a directory; `None` if there is none.
    ///
    /// # Errors
    ///
    /// `Damaged` when it is a link or no file; when it cannot be opened.
    pub(crate) fn in_directory(path: PathBuf, entry: &str) -> Result<Option<Self>> {
        let Some(file) = open_file(&path, entry)? else { return Ok(None) };
        let size_bytes = file.metadata().map_err(Error::file(&path))?.len();
        Ok(Some(Self { medium: ByteSource::Directory(path), offset: 0, size_bytes, entry: entry.into() }))
    }

    pub(crate) fn open(&self) -> Result<OpenExtent> {
        let source = match &self.medium {
            ByteSource::Parts(files) => Source::Parts(files.clone()),
            ByteSource::Spool(file, directory) => Source::File(file.clone(), directory.to_path_buf()),
            ByteSource::Memory(bytes) => Source::Memory(bytes.clone()),
            ByteSource::Directory(path) => {
                let file = open_file(path, &self.entry)?;
                let file = file.ok_or_else(|| Error::damaged(&self.entry, "it has vanished"))?;
                Source::File(Arc::new(file), path.clone())
            }
        };
        Ok(OpenExtent { source, offset: self.offset, left: self.size_bytes, entry: self.entry.clone() })
    }

    /// Reads it as a whole.
    ///
    /// # Errors
    ///
    /// `Damaged` when it is longer than `max_bytes`, or ends early; when the medium fails.
    pub(crate) fn read_whole(&self, max_bytes: u64) -> Result<Bytes> {
        if self.size_bytes > max_bytes {
            let problem = format!("it has {} bytes, more than the limit of {max_bytes}", self.size_bytes);
            return Err(self.damaged(problem));
        }
        let mut bytes = vec![0; self.size_bytes as usize];
        let mut open = self.open()?;
        let mut filled = 0;
        while filled < bytes.len() {
            filled += open.read(&mut bytes[filled..])?;
        }
        Ok(bytes.into())
    }

    pub(crate) fn damaged(&self, problem: impl Into<String>) -> Error {
        Error::damaged(&self.entry, problem)
    }
}

impl OpenExtent {
    /// Reads the next bytes; 0 at the end.
    ///
    /// # Errors
    ///
    /// `Damaged` when the medium ends early; when it fails.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let len = self.left.min(buffer.len() as u64) as usize;
        if len == 0 {
            return Ok(0);
        }
        let buffer = &mut buffer[..len];
        let read = match &self.source {
            Source::Parts(files) => files.read_at(self.offset, buffer)?,
            Source::File(file, path) => read_at(file, self.offset, buffer).map_err(Error::file(path))?,
            Source::Memory(bytes) => {
                let start = self.offset as usize;
                buffer.copy_from_slice(&bytes[start..start + len]);
                len
            }
        };
        if read == 0 {
            return Err(Error::damaged(&self.entry, "it ends early: the file was changed meanwhile"));
        }
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }

    pub(crate) fn left(&self) -> u64 {
        self.left
    }
}

impl std::io::Read for OpenExtent {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Self::read(self, buffer).map_err(std::io::Error::other)
    }
}

fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

/// Opens a file of a directory, if it is there. Follows no link, and does not wait at a pipe.
fn open_file(path: &Path, entry: &str) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => {
            let file = File::from(descriptor);
            match file.metadata().map_err(Error::file(path))?.is_file() {
                true => Ok(Some(file)),
                false => Err(Error::damaged(entry, "it is not a file")),
            }
        }
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            Err(Error::damaged(entry, "it is a link, and links are not followed"))
        }
        Err(error) => Err(Error::file(path)(error.into())),
    }
}
