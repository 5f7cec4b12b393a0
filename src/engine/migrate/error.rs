//! The reasons why a migration stops. It can be run again after each of them.

use sampan_driver::{DriverError, DriverPath, ErrorKind};

/// The result of a step of a migration.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a migration stopped. The target is a valid store nevertheless.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Both configurations are of one store.
    #[error("the source and the target are the same store")]
    SameStore,
    /// One store lies in the other.
    #[error("the {inner} lies inside the {outer}, at {at} there: move it to a place of its own")]
    Nested {
        /// The store that lies in the other.
        inner: Side,
        /// The other store.
        outer: Side,
        /// Where it lies.
        at: DriverPath,
    },
    /// The target has content of its own.
    #[error(
        "the target holds other content, such as {0}: migrate to an empty store, or pass `--merge` to add to what is there"
    )]
    NotEmpty(DriverPath),
    /// The target is being filled from another store.
    #[error(
        "the target is being filled from another store, {recorded}, and not from {given}: if that is the same store under \
         another name, delete {mark} in the target and pass `--merge`"
    )]
    OtherSource {
        /// The store that the marker in the target names.
        recorded: String,
        /// The store of this migration.
        given: String,
        /// The marker.
        mark: DriverPath,
    },
    /// The selected part is copied already.
    #[error(
        "the migration of {part} is finished, and another would overwrite later pushes to the target: pass `--merge` to do \
         so all the same (the target records this in {mark})"
    )]
    PartFinished {
        /// The patterns of its repositories.
        part: String,
        /// The marker in the target.
        mark: DriverPath,
    },
    /// A collection deletes content of a store.
    #[error(
        "a garbage collection runs in the {side} ({path}): wait for its end, and let none begin before the migration is finished"
    )]
    Collecting {
        /// The store.
        side: Side,
        /// A file of the collection.
        path: DriverPath,
    },
    /// The source shows nothing, so nothing is removed at the target.
    #[error(
        "the source shows no repositories, so nothing is removed at the target: check the configuration of the source"
    )]
    EmptySource,
    /// Repositories are gone from the source together.
    #[error(
        "the target has {count} repositories below {below}, and the source has nothing there any more, so nothing is removed: \
         mount what is missing, or confirm that it was deleted (`--yes`)"
    )]
    RepositoriesVanished {
        /// The directory of the repositories.
        below: String,
        /// How many repositories the target has there.
        count: u64,
    },
    /// Most of the content is gone from the source.
    #[error(
        "the source has lost {lost} of {of} blobs that its links name and the target has, so nothing is removed: mount what is \
         missing; if it is lost, copy the target's to the source (`registry verify --repair --heal-from`), or confirm the \
         loss (`--yes`)"
    )]
    ContentVanished {
        /// How many blobs only the target has.
        lost: u64,
        /// How many blobs the links name.
        of: u64,
    },
    /// A place cannot be read, so it is unknown what is there.
    #[error("the {side} cannot be read at {path}: {reason}")]
    Unseen {
        /// The store.
        side: Side,
        /// The place.
        path: DriverPath,
        /// Why.
        reason: String,
    },
    /// So much cannot be read that the disk, and not some content, must be damaged.
    #[error("{0} files of the source cannot be read: the store itself seems to be damaged or unreachable")]
    TooManyUnreadable(u64, #[source] DriverError),
    /// The target has no space left for this file.
    #[error(
        "the target has no space left: {0} and all that follows is missing there; free space and run the same command again"
    )]
    Full(DriverPath, #[source] DriverError),
    /// A store failed.
    #[error("the {0} failed")]
    Store(Side, #[source] DriverError),
}

/// One of the two stores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The store that is copied.
    Source,
    /// The store that is filled.
    Target,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// Names the store that failed.
pub(super) trait NameStore<T> {
    /// An error of the source.
    fn at_source(self) -> Result<T>;
    /// An error of the target.
    fn at_target(self) -> Result<T>;
}

impl<T> NameStore<T> for sampan_driver::Result<T> {
    fn at_source(self) -> Result<T> {
        self.map_err(|error| Error::at(Side::Source, error))
    }

    fn at_target(self) -> Result<T> {
        self.map_err(|error| Error::at(Side::Target, error))
    }
}

impl Error {
    /// The same for a file that was on its way to `path`.
    pub(super) fn of(self, path: &DriverPath) -> Self {
        match self {
            Self::Full(_, error) => Self::Full(path.clone(), error),
            error => error,
        }
    }

    pub(super) fn at(side: Side, error: DriverError) -> Self {
        match (side, error.kind()) {
            (Side::Target, ErrorKind::StorageFull) => Self::Full(error.path().clone(), error),
            (side, ErrorKind::Unseen) => Self::Unseen {
                side,
                path: error.path().clone(),
                reason: std::error::Error::source(&error).map_or_else(String::new, ToString::to_string),
            },
            (side, _) => Self::Store(side, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use sampan_driver::Operation;

    use super::*;

    #[test]
    fn a_full_store_names_the_file_that_is_missing_there() {
        let path = |text: &str| -> DriverPath { text.parse().unwrap() };
        let full = DriverError::new(ErrorKind::StorageFull, "test", Operation::Write, &path("/staged/1"));
        let error = Error::at(Side::Target, full).of(&path("/blobs/2"));
        assert!(error.to_string().contains(": /blobs/2 and all that follows is missing there"), "{error}");
    }
}
