//! Facts about files and stores.

use std::time::SystemTime;

use crate::DriverPath;

/// A file in the store. Directories are not visible (C7).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileInfo {
    /// The file's path.
    pub path: DriverPath,
    /// The length, in bytes.
    pub size_bytes: u64,
    /// When the file was published at this path, never earlier than the call that published it (C13).
    pub modified: SystemTime,
}

/// A name in a listing: a file, or a prefix with files below it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DirEntry {
    /// A file with that name.
    File(String),
    /// A prefix with that name. On a filesystem it may be an empty directory.
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

/// The condition of a store, as far as the driver knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Condition {
    /// The store accepts writes.
    Writable,
    /// The store can be read but accepts no writes, for this reason: a failed disk, or a file system that
    /// became read-only.
    ReadOnly(String),
}
