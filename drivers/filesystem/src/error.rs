//! `Failure`: errors within the driver, and their only conversion to [`DriverError`].

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sampan_driver::{DriverError, DriverPath, ErrorKind, Operation};

use crate::disk_problem::EndsBy;

/// The name of the driver in errors and configuration.
pub(crate) const NAME: &str = "filesystem";

/// Why an operation on the store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("files keep appearing in the directory to remove; try again when that has stopped")]
    Crowded,
    #[error("a symbolic link is dangling; mount its target, or remove the link if nothing is missing")]
    Dangling,
    #[error("the name of the file did not reach the disk: {errno}{advice}", advice = advice(*errno))]
    EntryNotOnDisk {
        errno: Errno,
        /// How the store recovers: easily if no name is visible that may not be on disk.
        ends: EndsBy,
    },
    #[error(
        "a symbolic link in the path leads out of the root directory, or cannot be followed safely on this system; \
         replace it by a bind mount"
    )]
    Escapes,
    #[error("the file already exists")]
    Exists,
    #[error(
        "another writer, perhaps in another process, holds the staged file; try again when it has finished"
    )]
    Locked,
    #[error("the file does not exist")]
    Missing,
    #[error("the content of the file did not reach the disk and was removed: {0}{advice}", advice = advice(*.0))]
    NotOnDisk(Errno),
    #[error("{0}{advice}", advice = advice(*.0))]
    Os(#[from] Errno),
    #[error("source and target are on different file systems; everything below the root must be on one")]
    OtherFileSystem,
    #[error("offset {offset} lies beyond the {size_bytes} bytes of the file")]
    RangeInvalid { offset: u64, size_bytes: u64 },
    #[error(
        "the root directory {} is gone or is not the one that was opened; \
         mount or restore it, and restart the registry if that does not help", .0.display()
    )]
    RootGone(PathBuf),
    #[error("the runtime is shutting down")]
    ShuttingDown,
    #[error("the file should have {expected} bytes but has {found}; another program has changed it")]
    SizeChanged { expected: u64, found: u64 },
    #[error(transparent)]
    Unseen(Box<Failure>),
    #[error("the store accepts no writes: {0}")]
    Unwritable(String),
    #[error("the deadline has passed")]
    TooLate,
    #[error("an earlier write to this file failed")]
    WriterBroken,
}

/// The location of a failure, for readers of the log.
#[derive(Debug, thiserror::Error)]
#[error("at {}{}", file.display(), denied(denied_at.as_deref()))]
struct Located {
    file: PathBuf,
    /// The file or directory that this process's user may not access.
    denied_at: Option<PathBuf>,
    #[source]
    failure: Failure,
}

impl Failure {
    /// Whether the system reports that a name in the path does not exist.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Os(Errno::NOENT))
    }

    /// Converts a failure at one place of a walk to an error after which the walk can continue, if possible.
    pub(crate) fn unseen(self) -> Self {
        match self {
            Self::Dangling | Self::Escapes | Self::Os(Errno::ACCESS | Errno::LOOP | Errno::PERM) => {
                Self::Unseen(Box::new(self))
            }
            failure => failure,
        }
    }

    /// The driver's error for `operation` on `path` in the store at `root`.
    pub(crate) fn into_driver_error(
        self,
        operation: Operation,
        path: &DriverPath,
        root: &Path,
    ) -> DriverError {
        let error = DriverError::new(self.kind(), NAME, operation, path);
        if let Self::Missing = self {
            return error.with_source(self); // By far the most frequent error: not worth building a path.
        }
        let file = root.join(path.as_key());
        let cause = if let Self::Unseen(cause) = &self { &**cause } else { &self };
        let is_denied = matches!(cause, Self::Os(Errno::ACCESS | Errno::PERM));
        let denied_at = is_denied.then(|| place_of_denial(operation, &file)).flatten();
        error.with_source(Located { denied_at: denied_at.map(Path::to_owned), file, failure: self })
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Exists => ErrorKind::AlreadyExists,
            Self::Missing => ErrorKind::NotFound,
            Self::TooLate => ErrorKind::TooLate,
            Self::Escapes => ErrorKind::PermissionDenied,
            Self::RangeInvalid { .. } => ErrorKind::RangeInvalid,
            Self::Unseen(_) => ErrorKind::Unseen,
            Self::Locked => ErrorKind::Busy,
            Self::Crowded | Self::Dangling | Self::RootGone(_) | Self::ShuttingDown => ErrorKind::Unavailable,
            Self::Unwritable(_) => ErrorKind::Unavailable,
            Self::OtherFileSystem | Self::SizeChanged { .. } | Self::WriterBroken => ErrorKind::Other,
            Self::EntryNotOnDisk { errno, .. } | Self::NotOnDisk(errno) | Self::Os(errno) => kind_of(*errno),
        }
    }
}

/// The kind of a system error. Look-ups convert "not found" to [`Failure::Missing`] before. If it arrives
/// here, the directory was repeatedly deleted during a write, and a retry may succeed.
fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        Errno::NOSPC | Errno::DQUOT => ErrorKind::StorageFull,
        Errno::ACCESS | Errno::PERM => ErrorKind::PermissionDenied,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::NOENT => ErrorKind::Unavailable,
        // Linux remounts a file system read-only after disk errors.
        Errno::ROFS => ErrorKind::Unavailable,
        Errno::STALE | Errno::TIMEDOUT | Errno::HOSTDOWN | Errno::NOTCONN | Errno::NODEV => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Other,
    }
}

/// The file or directory without permission: replacing, moving and deleting a file requires write permission
/// on its directory.
fn place_of_denial(operation: Operation, file: &Path) -> Option<&Path> {
    use Operation::{Commit, Delete, DeleteAll, PutContent, Rename};
    let is_of_directory = matches!(operation, Commit | Delete | DeleteAll | PutContent | Rename);
    file.ancestors().skip(usize::from(is_of_directory)).find(|above| above.exists())
}

fn denied(at: Option<&Path>) -> String {
    let Some(at) = at else { return String::new() };
    let user = rustix::process::geteuid().as_raw();
    format!(" (give the user {user} of this process permission to {})", at.display())
}

fn advice(errno: Errno) -> &'static str {
    match errno {
        Errno::NOSPC => "; free some space, or collect garbage",
        Errno::DQUOT => "; raise the quota of this user, or collect garbage",
        Errno::ROFS => "; remount it writable",
        Errno::MFILE | Errno::NFILE => "; raise the limit of open files",
        Errno::NOTDIR => "; a file is in the place of a directory",
        Errno::ISDIR => "; a directory is in the place of the file",
        Errno::NOENT => "; its directory was deleted meanwhile",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn errors_of_the_system_have_the_kinds_that_callers_act_on() {
        for (errno, kind) in [
            (Errno::NOSPC, ErrorKind::StorageFull),
            (Errno::DQUOT, ErrorKind::StorageFull),
            (Errno::ACCESS, ErrorKind::PermissionDenied),
            (Errno::PERM, ErrorKind::PermissionDenied),
            (Errno::ROFS, ErrorKind::Unavailable),
            (Errno::MFILE, ErrorKind::Unavailable),
            (Errno::STALE, ErrorKind::Unavailable),
            (Errno::NOTDIR, ErrorKind::Other),
            (Errno::IO, ErrorKind::Other),
        ] {
            assert_eq!(Failure::Os(errno).kind(), kind, "{errno}");
        }
    }

    #[test]
    fn an_error_names_the_file_the_cause_and_the_remedy() {
        let path = "/a/b".parse().unwrap();
        let error =
            Failure::Os(Errno::NOSPC).into_driver_error(Operation::PutContent, &path, Path::new("/store"));
        let located = error.source().unwrap();
        assert_eq!(located.to_string(), "at /store/a/b");
        let cause = located.source().unwrap();
        assert!(cause.to_string().contains("free some space"), "{cause}");
        assert!(cause.source().unwrap().is::<Errno>());
    }
}
