//! `ConfigError`: a configuration that cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Diagnostic;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("configuration file {} ({chosen_by}) cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// How it was chosen, such as `given on the command line`.
        chosen_by: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// A directory stands where the file should be.
    #[error(
        "configuration file {} ({chosen_by}) is a directory; docker creates one when the mounted file does not exist on the host",
        path.display()
    )]
    Directory {
        /// The place.
        path: PathBuf,
        /// How it was chosen.
        chosen_by: &'static str,
    },
    /// The file or the environment says something wrong; every diagnostic is listed.
    #[error("{}", Listing(mistakes))]
    Invalid {
        /// What is wrong.
        mistakes: Vec<Diagnostic>,
        /// What is odd beside, for the log: a variable that has no effect may be the cause of a mistake.
        warnings: Vec<Diagnostic>,
    },
}

impl ConfigError {
    /// What is wrong, place by place; empty when the file could not even be read.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid { mistakes, .. } => mistakes,
            Self::Unreadable { .. } | Self::Directory { .. } => &[],
        }
    }

    /// What is odd beside, place by place.
    pub fn warnings(&self) -> &[Diagnostic] {
        match self {
            Self::Invalid { warnings, .. } => warnings,
            Self::Unreadable { .. } | Self::Directory { .. } => &[],
        }
    }
}

/// One diagnostic on its own, several as an indented list.
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
