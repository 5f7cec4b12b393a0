//! The errors of bundles.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use sampan_engine::oci::Digest;

/// The result of reading a bundle.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a bundle could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened, read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The pipe broke, or what decodes a compressed file.
    #[error("the bundle could not be read to its end")]
    Pipe(#[source] io::Error),
    /// The input does not begin like a bundle.
    #[error("this is not a bundle: {0}")]
    NotABundle(&'static str),
    /// The plan has a version of the future.
    #[error(
        "the bundle was written by a newer version: its plan has version {0}, and this program reads version 1"
    )]
    NewerVersion(u64),
    /// The plan contradicts itself or the rules.
    #[error("bundle.json is invalid: {0}")]
    Plan(PlanProblem),
    /// A part of a split bundle is missing.
    #[error("part {path} is missing{of}", path = path.display(), of = of_parts(*count))]
    PartMissing {
        /// The missing file.
        path: PathBuf,
        /// The number of parts, if it is known.
        count: Option<u64>,
    },
    /// A part of a split bundle has the wrong length.
    #[error(
        "part {path} has {actual} bytes instead of {expected}: it is damaged, or belongs to another bundle{than}",
        path = path.display(),
        than = name.as_ref().map(|name| format!(" than {name}")).unwrap_or_default()
    )]
    PartLength {
        /// The file.
        path: PathBuf,
        /// The length that the plan implies.
        expected: u64,
        /// The length of the file.
        actual: u64,
        /// The name of the bundle, if its plan was read.
        name: Option<Digest>,
    },
    /// Bytes differ from those that the plan implies.
    #[error(transparent)]
    Damaged(#[from] Fault),
}

impl Error {
    /// Whether the bundle itself is bad, rather than the machine or this program.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::File { .. } | Self::NewerVersion(_) => false,
            // Not an error of the system: a decoder before the pipe has it.
            Self::Pipe(source) => source.kind() == io::ErrorKind::InvalidData,
            Self::NotABundle(_)
            | Self::Plan(_)
            | Self::PartMissing { .. }
            | Self::PartLength { .. }
            | Self::Damaged(_) => true,
        }
    }

    /// Whether the message has the name of a file.
    pub fn names_file(&self) -> bool {
        match self {
            Self::File { .. } | Self::PartMissing { .. } | Self::PartLength { .. } => true,
            Self::Damaged(fault) => fault.file.is_some(),
            Self::Pipe(_) | Self::NotABundle(_) | Self::NewerVersion(_) | Self::Plan(_) => false,
        }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }
}

fn of_parts(count: Option<u64>) -> String {
    count.map(|count| format!(": the bundle has {count} parts")).unwrap_or_default()
}

/// A place of a bundle whose bytes are wrong.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct Fault {
    /// The entry of the tar file, such as `blobs/sha256/…`.
    pub entry: String,
    /// The offset in the whole bundle, in bytes.
    pub offset: u64,
    /// The file, without the number of a part; `None` for a pipe.
    pub file: Option<Box<Path>>,
    /// The part of a split bundle.
    pub part: Option<PathBuf>,
    /// The problem.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, offset, file, part, problem } = self;
        if let Some(file) = file.as_ref().filter(|_| part.is_none()) {
            write!(f, "{}: ", file.display())?;
        }
        write!(f, "the bundle is damaged at byte {offset}, {entry}")?;
        if let Some(part) = part {
            write!(f, " in {}", part.display())?;
        }
        write!(f, ": {problem}")
    }
}

/// Why a plan is invalid.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PlanProblem {
    /// It is not JSON of the right shape.
    #[error("{0}")]
    Json(String),
    /// It is longer than [`MAX_PLAN_BYTES`](crate::MAX_PLAN_BYTES).
    #[error("it has {0} bytes, more than the limit of {max}", max = crate::MAX_PLAN_BYTES)]
    TooLarge(u64),
    /// Two elements have the same name or digest.
    #[error("{0} occurs twice")]
    Duplicate(String),
    /// A name is outside the grammar.
    #[error("{0}")]
    Name(String),
    /// An image or referrer is not among the manifests that the bundle carries.
    #[error("{0} is not among the manifests of the bundle")]
    NotCarried(Digest),
    /// Sizes add up to more than a file can have.
    #[error("the sizes of its content overflow")]
    Overflow,
    /// It is not what was written: its last line has the digest of the lines before.
    #[error("it is damaged: its checksum is wrong")]
    Sum,
    /// The totals disagree with the content.
    #[error("its totals disagree with its content")]
    Totals,
    /// A file for other tools is unknown or out of place.
    #[error("`files` must name index.json, then perhaps manifest.json, not {0:?}")]
    File(String),
}

impl From<PlanProblem> for Error {
    fn from(problem: PlanProblem) -> Self {
        Self::Plan(problem)
    }
}
