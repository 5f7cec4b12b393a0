//! `PasswordFile`: the htpasswd file, and the last valid list read from it.
//!
//! All functions block and belong [on the blocking pool](crate::blocking::on_blocking_pool).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sampan_config::read_regular_file;
use sha2::{Digest, Sha256};

use super::challenge::InvalidParameter;
use super::password_list::{MalformedLine, PasswordList};
use super::provision::provision;
use super::success_cache::SuccessCache;
use crate::file_watch::{FileStamp, how_to_make_readable};

/// The file and the last valid list read from it.
pub(super) struct PasswordFile {
    pub(super) path: PathBuf,
    pub(super) current: ArcSwap<Loaded>,
    reads: Mutex<Reads>,
}

/// Orders reads, so that an older state never replaces a newer one. None of them waits for another one: a file system may hang.
#[derive(Debug, Default)]
struct Reads {
    /// How many have begun.
    begun: u64,
    /// How many continue.
    running: usize,
    /// The number of the one that has put its list in effect.
    in_effect: u64,
}

/// A read that continues; not so any more when it is dropped.
struct Running<'a>(&'a Mutex<Reads>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

/// The largest password file, in bytes: 16 MiB have about 200,000 users.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// A state of the file, and facts derived from it.
pub(super) struct Loaded {
    stamp: FileStamp,
    digest: [u8; 32],
    pub(super) list: Arc<PasswordList>,
    pub(super) successes: Arc<SuccessCache>,
}

/// The error of an unusable password file.
#[derive(Debug, thiserror::Error)]
pub enum HtpasswdError {
    /// `auth.htpasswd.realm` is not a valid header value.
    #[error("auth.htpasswd.realm")]
    Realm(#[from] InvalidParameter),
    /// The file is not readable.
    #[error("cannot read auth.htpasswd.path {}: {}", .path.display(), how_to_make_readable(.source))]
    Read {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not an htpasswd file.
    #[error("the htpasswd file {} is not valid", .path.display())]
    Malformed {
        /// The file's path.
        path: PathBuf,
        /// The line and the remedy.
        source: MalformedLine,
    },
    /// The file is missing and cannot be created.
    #[error("the htpasswd file {} is missing and cannot be created: create it with `registry htpasswd add`", .path.display())]
    Provision {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// How to treat a file with an unchanged stamp.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unchanged {
    Skip,
    Read,
}

impl PasswordFile {
    pub(super) fn open(path: PathBuf, output: &mut impl io::Write) -> Result<Self, HtpasswdError> {
        let loaded = match Loaded::read(&path, None) {
            Err(HtpasswdError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                provision(&path, output)
                    .map_err(|source| HtpasswdError::Provision { path: path.clone(), source })?;
                Loaded::read(&path, None)?
            }
            other => other?,
        };
        Ok(Self { path, current: ArcSwap::from_pointee(loaded), reads: Mutex::default() })
    }

    /// Reads the file again. While another read continues, one that may be skipped is.
    pub(super) fn read_again(&self, unchanged: Unchanged) -> Result<(), HtpasswdError> {
        let number = {
            let mut reads = self.reads.lock();
            if unchanged == Unchanged::Skip && reads.running > 0 {
                return Ok(());
            }
            reads.running += 1;
            reads.begun += 1;
            reads.begun
        };
        let running = Running(&self.reads);
        let read = self.read(unchanged)?;
        drop(running);
        let mut reads = self.reads.lock();
        if let Some(loaded) = read
            && number > reads.in_effect
        {
            if loaded.digest != self.current.load().digest {
                tracing::info!(file = %self.path.display(), users = loaded.list.len(), "htpasswd file changed");
            }
            reads.in_effect = number;
            self.current.store(Arc::new(loaded));
        }
        Ok(())
    }

    fn read(&self, unchanged: Unchanged) -> Result<Option<Loaded>, HtpasswdError> {
        let before = self.current.load_full();
        if unchanged == Unchanged::Skip {
            let stamp = FileStamp::of(&self.path).map_err(|source| self.unreadable(source))?;
            if stamp.is_surely(&before.stamp) {
                return Ok(None);
            }
        }
        Loaded::read(&self.path, Some(&before)).map(Some)
    }

    fn unreadable(&self, source: io::Error) -> HtpasswdError {
        HtpasswdError::Read { path: self.path.clone(), source }
    }
}

impl Loaded {
    /// Identifies a user's password, the same in every process that reads the same file; `None` for an unknown user.
    pub(super) fn password_id(&self, user: &[u8]) -> Option<&str> {
        self.list.id_of(user)
    }

    /// Reads the file; keeps the facts in `before` if the content is the same.
    pub(super) fn read(path: &Path, before: Option<&Self>) -> Result<Self, HtpasswdError> {
        let unreadable = |source| HtpasswdError::Read { path: path.to_owned(), source };
        let stamp = FileStamp::of(path).map_err(unreadable)?;
        let content = read_regular_file(path, MAX_BYTES).map_err(|error| unreadable(error.into()))?;
        let digest = Sha256::digest(&content).into();
        if let Some(before) = before.filter(|before| before.digest == digest) {
            let (list, successes) = (Arc::clone(&before.list), Arc::clone(&before.successes));
            return Ok(Self { stamp, digest, list, successes });
        }
        let (list, remarks) = PasswordList::parse(&content)
            .map_err(|source| HtpasswdError::Malformed { path: path.to_owned(), source })?;
        for remark in remarks {
            tracing::warn!(file = %path.display(), line = remark.line, "htpasswd file: {}", remark.message);
        }
        if list.len() == 0 {
            tracing::warn!(
                "no user can log in: {0} has no user with a bcrypt hash; add one with `registry htpasswd add {0} USER`",
                path.display()
            );
        }
        Ok(Self { stamp, digest, list: Arc::new(list), successes: Arc::default() })
    }
}
