//! `ConfigError`: a configuration that cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Finding;

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
    /// The file or the environment says something wrong; every finding is listed.
    #[error("{}", Listing(mistakes))]
    Invalid {
        /// What is wrong.
        mistakes: Vec<Finding>,
        /// What is odd beside, for the log: a variable that has no effect may be the cause of a mistake.
        warnings: Vec<Finding>,
    },
}

impl ConfigError {
    /// What is wrong, place by place; empty when the file could not even be read.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Invalid { mistakes, .. } => mistakes,
            Self::Unreadable { .. } | Self::Directory { .. } => &[],
        }
    }

    /// What is odd beside, place by place.
    pub fn warnings(&self) -> &[Finding] {
        match self {
            Self::Invalid { warnings, .. } => warnings,
            Self::Unreadable { .. } | Self::Directory { .. } => &[],
        }
    }
}

/// One finding on its own, several as an indented list.
struct Listing<'a>(&'a [Finding]);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0 {
            return write!(f, "{only}");
        }
        write!(f, "{} mistakes in the configuration:", self.0.len())?;
        for finding in self.0 {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}
