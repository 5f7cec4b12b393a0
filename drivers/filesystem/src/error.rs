//! `Failure`: what goes wrong below the driver, and the one place where it becomes a [`DriverError`].

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use sampan_driver::{DriverError, DriverPath, ErrorKind, Operation};

use crate::trouble::Ends;

/// The name of the driver, as errors and configuration have it.
pub(crate) const NAME: &str = "filesystem";

/// Why an operation on the store did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("files keep appearing in the directory that is to be removed; try again when they have stopped")]
    Crowded,
    #[error(
        "a symbolic link leads nowhere; mount what it should lead to, or remove it if nothing is missing"
    )]
    Dangling,
    #[error("the name of the file did not reach the disk: {errno}{advice}", advice = advice(*errno))]
    EntryNotOnDisk {
        errno: Errno,
        /// How the store recovers: easily where nothing is visible that may not be on disk.
        ends: Ends,
    },
    #[error(
        "a symbolic link on the way leads out of the root directory, or cannot be followed safely on this system; \
         replace it by a bind mount"
    )]
    Escapes,
    #[error("the file exists already")]
    Exists,
    #[error(
        "another writer, maybe of another process, holds the staged file; try again when it has finished"
    )]
    Locked,
    #[error("there is no such file")]
    Missing,
    #[error("what was written to the file did not reach the disk and is removed: {0}{advice}", advice = advice(*.0))]
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
    #[error("the file should have {expected} bytes and has {found}; something else has changed it")]
    SizeChanged { expected: u64, found: u64 },
    #[error(transparent)]
    Unseen(Box<Failure>),
    #[error("the store takes no writes: {0}")]
    Unwritable(String),
    #[error("the deadline had passed")]
    TooLate,
    #[error("an earlier write to this file failed")]
    WriterBroken,
}

/// Where a failure happened, for the person who reads the log.
#[derive(Debug, thiserror::Error)]
#[error("at {}{}", file.display(), denied(denied_at.as_deref()))]
struct Located {
    file: PathBuf,
    /// The file or directory that the user of this process has no permission to.
    denied_at: Option<PathBuf>,
    #[source]
    failure: Failure,
}

impl Failure {
    /// Whether the system says that a name on the way does not exist.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Os(Errno::NOENT))
    }

    /// This failure of a walk to see what is at a place, if the walk can go on behind it; else the failure that ends it.
    pub(crate) fn unseen(self) -> Self {
        match self {
            Self::Dangling | Self::Escapes | Self::Os(Errno::ACCESS | Errno::LOOP | Errno::PERM) => {
                Self::Unseen(Box::new(self))
            }
            failure => failure,
        }
    }

    /// The error that the driver returns for `operation` on `path` in the store at `root`.
    pub(crate) fn into_driver_error(
        self,
        operation: Operation,
        path: &DriverPath,
        root: &Path,
    ) -> DriverError {
        let error = DriverError::new(self.kind(), NAME, operation, path);
        if let Self::Missing = self {
            return error.with_source(self); // The commonest answer by far: not worth building a path for.
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
            Self::Crowded | Self::Dangling | Self::Locked | Self::RootGone(_) | Self::ShuttingDown => {
                ErrorKind::Unavailable
            }
            Self::Unwritable(_) => ErrorKind::Unavailable,
            Self::OtherFileSystem | Self::SizeChanged { .. } | Self::WriterBroken => ErrorKind::Other,
            Self::EntryNotOnDisk { errno, .. } | Self::NotOnDisk(errno) | Self::Os(errno) => kind_of(*errno),
        }
    }
}

/// What an error of the system means. Look-ups turn "not there" into [`Failure::Missing`] before; when it comes here, the
/// directory was deleted under a write again and again, which another attempt may survive.
fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        Errno::NOSPC | Errno::DQUOT => ErrorKind::StorageFull,
        Errno::ACCESS | Errno::PERM => ErrorKind::PermissionDenied,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN | Errno::NOENT => ErrorKind::Unavailable,
        // Linux makes a file system read-only that has met errors of its disk.
        Errno::ROFS => ErrorKind::Unavailable,
        Errno::STALE | Errno::TIMEDOUT | Errno::HOSTDOWN | Errno::NOTCONN | Errno::NODEV => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Other,
    }
}

/// What nobody gave this process permission to: a file is replaced, moved and removed by whoever may write its directory.
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
        Errno::NOTDIR => "; a file stands where a directory is needed",
        Errno::ISDIR => "; a directory stands where the file should be",
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
