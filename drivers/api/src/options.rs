//! Options of operations.

use crate::DriverPath;

/// A store's guarantees beyond the contract.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// `rename` is one step: neither readers nor a crash see both names, or neither.
    pub atomic_rename: bool,
    /// Acknowledged writes survive the end of the process, however it ends: a store opened by another process
    /// has them (`durability::*`).
    pub durable: bool,
    /// A directory vanishes with its last file, so deleting its files deletes the tree.
    pub flat: bool,
    /// `redirect_url` may return a URL.
    pub redirect: bool,
    /// Why every write fails as `Unsupported`, for the client that tried one; `None` for a store that takes writes.
    pub read_only: Option<&'static str>,
}

/// Whether `put_content` may replace a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PutMode {
    /// The file must not exist; of several racers one wins, the others get `AlreadyExists` (C2).
    Create,
    /// The file is created or replaced.
    Overwrite,
    /// As `Overwrite`, but a power failure may delete the file or its content: for content that only costs
    /// work to lose. The end of the process has no such effect.
    Transient,
}

/// The initial state of a writer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteMode {
    /// Empty; drops any file staged at the path before.
    Create(WriteHint),
    /// The state at the last `close` (C4); `NotFound` if nothing is staged there.
    Append,
}

/// Facts about a file before its first byte, so that a store may choose a cheaper method. A wrong hint costs
/// time, never correctness.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WriteHint {
    /// The final length, in bytes.
    pub len: Option<u64>,
    /// The path that `commit` will name.
    pub target: Option<DriverPath>,
}

/// A part of a file: from `offset`, at most `len` bytes; to the end if `len` is `None`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ByteRange {
    /// The first byte. The size of the file yields an empty stream, more is `RangeInvalid` (C10).
    pub offset: u64,
    /// The most bytes to read; fewer if the file ends before.
    pub len: Option<u64>,
}

impl ByteRange {
    /// The whole file.
    pub const ALL: Self = Self { offset: 0, len: None };

    /// From `offset` to the end.
    pub fn from(offset: u64) -> Self {
        Self { offset, len: None }
    }

    /// `len` bytes from `offset`.
    pub fn new(offset: u64, len: u64) -> Self {
        Self { offset, len: Some(len) }
    }

    /// The bytes `start..end` of this range in a file of `size` bytes; `None` if it starts beyond the end.
    pub fn resolve(self, size: u64) -> Option<std::ops::Range<u64>> {
        if self.offset > size {
            return None;
        }
        let rest = size - self.offset;
        Some(self.offset..self.offset + self.len.map_or(rest, |len| len.min(rest)))
    }
}

/// The request of the client to redirect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RedirectRequest {
    /// The content.
    Get,
    /// The headers only. Signatures often bind the method.
    Head,
}
