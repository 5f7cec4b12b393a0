//! What a driver tells about its files.

use std::time::SystemTime;

use crate::DriverPath;

/// A file in the store. Directories do not exist (C7).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileInfo {
    /// Where it is.
    pub path: DriverPath,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// When it was published at this path, never earlier than the call that did so (C13).
    pub modified: SystemTime,
}

/// One name in a listing: a file, or a prefix that has files below it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DirEntry {
    /// A file of that name.
    File(String),
    /// A prefix of that name. On a filesystem it may be an empty directory.
    Directory(String),
}

impl DirEntry {
    /// The last component of the path.
    pub fn name(&self) -> &str {
        match self {
            Self::File(name) | Self::Directory(name) => name,
        }
    }

    /// Whether it is a prefix.
    pub fn is_directory(&self) -> bool {
        matches!(self, Self::Directory(_))
    }
}

/// How a store is, as far as it knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// It takes writes.
    Writable,
    /// It can be read and takes no writes, for this reason: a disk that failed, a file system that became read-only.
    ReadOnly(String),
}
