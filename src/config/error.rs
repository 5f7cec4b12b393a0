//! `ConfigError`: the reasons why a configuration is refused.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Diagnostic;

/// The reason why the configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("configuration file {} ({chosen_by}) cannot be read", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// How it was chosen, such as `given on the command line`.
        chosen_by: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The path names a directory, not a file.
    #[error(
        "configuration file {} ({chosen_by}) is a directory; docker creates one when the mounted file does not exist on the host",
        path.display()
    )]
    Directory {
        /// The path of the directory.
        path: PathBuf,
        /// How it was chosen.
        chosen_by: &'static str,
    },
    /// The file or the environment has mistakes; the message lists all of them.
    #[error("{}", Listing(mistakes))]
    Invalid {
        /// The mistakes.
        mistakes: Vec<Diagnostic>,
        /// Oddities, for the log: a variable without effect may be the cause of a mistake.
        warnings: Vec<Diagnostic>,
    },
}

impl ConfigError {
    /// The mistakes, place by place; empty if the file could not be read.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid { mistakes, .. } => mistakes,
            Self::Unreadable { .. } | Self::Directory { .. } => &[],
        }
    }

    /// The oddities, place by place.
    pub fn warnings(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid { warnings, .. } => warnings,
            Self::Unreadable { .. } | Self::Directory { .. } => &[],
        }
    }
}

/// Displays a single diagnostic as it is, and several as an indented list.
struct Listing<'a>(&'a [Diagnostic]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return write!(f, "{only}");
        }
        write!(f, "{} mistakes in the configuration:", self.0.len())?;
        for diagnostic in self.0 {
            write!(f, "\n  {diagnostic}")?;
        }
        Ok(())
    }
}
