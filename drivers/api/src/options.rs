//! How an operation is to be done.

use crate::DriverPath;

/// What a store can promise beyond the contract.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capabilities {
    /// `rename` is one step: no reader and no crash ever sees both names, or neither.
    pub atomic_rename: bool,
    /// What was acknowledged survives the end of the process, whatever ends it: a store that another process opens then has
    /// it (`durability::*`).
    pub durable: bool,
    /// Nothing stays of a directory when its last file is deleted, so that to delete its files is to delete the tree.
    pub flat: bool,
    /// `redirect_url` may answer with a URL.
    pub redirect: bool,
}

/// Whether `put_content` may replace a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PutMode {
    /// The file must not exist; of several racers one wins, the others get `AlreadyExists` (C2).
    Create,
    /// The file is created or replaced.
    Overwrite,
    /// As `Overwrite`, but a power failure may take the file away again, or its content: for what is nothing but work to lose.
    /// The end of the process takes nothing.
    Transient,
}

/// How a writer begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum WriteMode {
    /// Empty; whatever was staged at the path before is dropped.
    Create(WriteHint),
    /// Where the last `close` left off (C4); `NotFound` when nothing is staged there.
    Append,
}

/// What is known about a file before its first byte, so that a store may choose a cheaper way.
/// A hint that turns out wrong costs time, never correctness.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WriteHint {
    /// The final length in bytes.
    pub len: Option<u64>,
    /// The path that `commit` will name.
    pub target: Option<DriverPath>,
}

/// A part of a file: from `offset`, at most `len` bytes, to the end without it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ByteRange {
    /// The first byte wanted. The size of the file gives an empty stream, more is `RangeInvalid` (C10).
    pub offset: u64,
    /// How many bytes are wanted; fewer come when the file ends before.
    pub len: Option<u64>,
}

impl ByteRange {
    /// The whole file.
    pub const ALL: Self = Self { offset: 0, len: None };

    /// Everything from `offset` on.
    pub fn from(offset: u64) -> Self {
        Self { offset, len: None }
    }

    /// `len` bytes from `offset` on.
    pub fn new(offset: u64, len: u64) -> Self {
        Self { offset, len: Some(len) }
    }

    /// The bytes `start..end` that this range means in a file of `size` bytes; `None` when it begins beyond the end.
    pub fn resolve(self, size: u64) -> Option<std::ops::Range<u64>> {
        if self.offset > size {
            return None;
        }
        let rest = size - self.offset;
        Some(self.offset..self.offset + self.len.map_or(rest, |len| len.min(rest)))
    }
}

/// What the client that is to be redirected asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RedirectRequest {
    /// The bytes.
    Get,
    /// The headers alone. Signatures often bind the method.
    Head,
}
