//! The errors of foreign files.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use sampan_engine::oci::Digest;

/// The result of reading a foreign file.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a foreign file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be opened or read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The input could not be read or decompressed.
    #[error("the input could not be read")]
    Input(#[source] io::Error),
    /// The compressed input is damaged.
    #[error("the {name} data are damaged: {source}")]
    Compressed {
        /// The compression.
        name: &'static str,
        /// The error of the decoder.
        source: io::Error,
    },
    /// The input has a compression that is not read.
    #[error("the input is compressed by {name}: decompress it first, as by `{command}`")]
    UnknownCompression {
        /// The compression.
        name: &'static str,
        /// A command that undoes it.
        command: &'static str,
    },
    /// The input has none of the known forms.
    #[error(
        "{what} is not a bundle, and neither an OCI image layout nor a docker archive{why}",
        why = why.map(|why| format!(": {why}")).unwrap_or_default()
    )]
    Unrecognised {
        /// The input.
        what: String,
        /// What was found.
        why: Option<&'static str>,
    },
    /// The input is the data directory of a registry.
    #[error(
        "{path} is the data directory of a registry, which needs no import: serve it with `storage: {{filesystem: \
         {{rootdirectory: {path}}}}}`, or write that to near.yml and pass `registry copy '**' --from near.yml --to …`",
        path = .0.display()
    )]
    DataDirectory(PathBuf),
    /// A bundle or one of its parts could not be read.
    #[error(transparent)]
    Bundle(#[from] sampan_bundle::Error),
    /// The input contradicts itself, or breaks the rules of its format.
    #[error("{}{entry}: {problem}", at(*offset))]
    Damaged {
        /// The entry of the archive, or the file of the directory.
        entry: String,
        /// The offset in the decompressed archive, in bytes.
        offset: Option<u64>,
        /// The problem.
        problem: String,
    },
    /// Two of the files have the same entry, so they are not the archives of one oc-mirror.
    #[error(
        "{0} is in two of the files: import each archive by itself, since only those of an oc-mirror are read together"
    )]
    InSeveral(String),
    /// Content that images need is not there.
    #[error("{} missing from the file: {}", are(*.count), named(.first, *.count))]
    Missing {
        /// How many manifests and blobs.
        count: usize,
        /// The first of them, as digests or as names.
        first: Vec<String>,
    },
    /// Images have no name of a repository.
    #[error("{}", unnamed(.0))]
    Unnamed(Vec<Unnamed>),
    /// A rule of `--map` names an image that is not there.
    #[error(
        "no image of the file matches `--map {0}`: see the names in its index.json, or leave the rule out"
    )]
    UnusedRule(String),
    /// The decoded input does not fit into the temporary directory.
    #[error(
        "{entry} has {needed} bytes, and {directory} has room for {room}: free some, set TMPDIR to another directory, or \
         decompress the file first",
        directory = directory.display()
    )]
    SpoolFull {
        /// The entry that does not fit.
        entry: String,
        /// Its length in bytes.
        needed: u64,
        /// The bytes that may still be written.
        room: u64,
        /// The temporary directory.
        directory: PathBuf,
    },
    /// The temporary file failed.
    #[error("the temporary file in {directory} failed", directory = directory.display())]
    Spool {
        /// The temporary directory.
        directory: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// An image without the name of a repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unnamed {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The tag, if the file has one.
    pub tag: Option<String>,
}

/// How many missing things, or images without names, a message names.
pub(crate) const SHOWN: usize = 3;

impl Error {
    /// Whether the input itself is bad, rather than the machine or the command.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Bundle(error) => error.is_damage(),
            Self::Compressed { .. }
            | Self::Unrecognised { .. }
            | Self::Damaged { .. }
            | Self::Missing { .. } => true,
            Self::File { .. }
            | Self::DataDirectory(_)
            | Self::Input(_)
            | Self::InSeveral(_)
            | Self::UnknownCompression { .. }
            | Self::Unnamed(_)
            | Self::UnusedRule(_)
            | Self::SpoolFull { .. }
            | Self::Spool { .. } => false,
        }
    }

    /// Whether the message has the name of a file, or is about none.
    pub fn names_file(&self) -> bool {
        match self {
            Self::Bundle(error) => error.names_file(),
            Self::File { .. }
            | Self::Unrecognised { .. }
            | Self::DataDirectory(_)
            | Self::InSeveral(_)
            | Self::UnusedRule(_)
            | Self::SpoolFull { .. }
            | Self::Spool { .. } => true,
            Self::Input(_)
            | Self::Compressed { .. }
            | Self::UnknownCompression { .. }
            | Self::Damaged { .. }
            | Self::Missing { .. }
            | Self::Unnamed(_) => false,
        }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.to_owned(), source }
    }

    /// The error of an input: the one that it carries, if it is one of ours.
    pub(crate) fn input(source: io::Error) -> Self {
        source.downcast().unwrap_or_else(Self::Input)
    }

    pub(crate) fn damaged(entry: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self::Damaged { entry: entry.to_string(), offset: None, problem: problem.into() }
    }
}

fn at(offset: Option<u64>) -> String {
    offset.map(|offset| format!("at byte {offset}, ")).unwrap_or_default()
}

fn are(count: usize) -> String {
    match count {
        1 => "one blob that its images need is".to_owned(),
        count => format!("{count} blobs that its images need are"),
    }
}

fn named(first: &[String], count: usize) -> String {
    let rest = match count - first.len() {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    format!("{}{rest}", first.join(", "))
}

fn unnamed(unnamed: &[Unnamed]) -> String {
    let rules = unnamed.iter().take(SHOWN).map(|image| match &image.tag {
        Some(tag) => format!("`--map :{tag}=REPOSITORY:{tag}`"),
        None => format!("`--map @{}=REPOSITORY:TAG`", image.digest),
    });
    let rules: Vec<String> = rules.collect();
    let (images, more) = match unnamed.len() {
        1 => ("one image".to_owned(), String::new()),
        count if count <= SHOWN => (format!("{count} images"), String::new()),
        count => (format!("{count} images"), format!(" and {} more", count - SHOWN)),
    };
    let all = match unnamed.iter().all(|image| image.tag.is_some()) && unnamed.len() > 1 {
        true => ", or `--map :=REPOSITORY` for all tags",
        false => "",
    };
    format!("the file names no repository for {images}: pass {}{more}{all}", rules.join(", "))
}
