//! Edits an htpasswd file: `registry htpasswd add|remove|list|verify`.
//!
//! Comments, order and other users' lines stay byte for byte. Writes replace the whole file, so that a
//! running registry, ours or another, never reads half of it. Edits lock the file's directory, so that of two
//! simultaneous ones none is lost.
//!
//! All functions block; adding and verifying for a noticeable fraction of a second.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sampan_config::read_regular_file;

use super::password_file::MAX_BYTES;
use super::password_list::{BcryptHash, Line, kind_of};
use super::provision::COST;
use super::token_secret::TokenSecret;
use crate::atomic_write::{Existing, lock_folder_of, write_atomically};

/// The longest password, in bytes: bcrypt ignores the rest.
const MAX_PASSWORD_BYTES: usize = 72;

/// The longest user name, in bytes, that Apache's tools accept.
const MAX_USER_BYTES: usize = 255;

/// The effect of [`add`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Added {
    /// The user is new.
    New,
    /// The user existed; the password changed.
    Changed,
}

/// A user in the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListedUser {
    /// The user's name; invalid UTF-8 is replaced.
    pub name: String,
    /// The line of the entry, from one.
    pub line: usize,
    /// Whether and how the user can log in.
    pub hash: ListedHash,
}

/// The kind of a user's hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListedHash {
    /// The user can log in.
    Bcrypt {
        /// The cost of a login, as a power of two.
        cost: u32,
    },
    /// The user cannot log in.
    Unsupported {
        /// The kind of the hash.
        kind: &'static str,
    },
    /// A later line for the same user overrides this one.
    Superseded,
}

/// The result of [`verify`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The password matches.
    Right,
    /// The password does not match.
    Wrong,
}

/// Why an operation on the file failed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The user name is not valid.
    #[error("user name `{}` is not valid: {problem}", .user.escape_debug())]
    User {
        /// The name.
        user: String,
        /// The problem.
        problem: &'static str,
    },
    /// The password is not valid.
    #[error("this password is not valid: {0}")]
    Password(&'static str),
    /// The file has no such user.
    #[error("there is no user `{user}` in {}", .path.display())]
    NoSuchUser {
        /// The name.
        user: String,
        /// The file's path.
        path: PathBuf,
    },
    /// The user's hash is not bcrypt, so no password matches.
    #[error(
        "line {line} of {} has a hash for user `{user}` that is {kind}; only bcrypt is accepted: \
         set the password again with `registry htpasswd add`", .path.display()
    )]
    Unsupported {
        /// The name.
        user: String,
        /// The file's path.
        path: PathBuf,
        /// The line, from one.
        line: usize,
        /// The kind of the hash.
        kind: &'static str,
    },
    /// A line is not an entry, a comment or blank; the file may not be an htpasswd file.
    #[error("{} is not an htpasswd file: line {line} has no `:`; the file is unchanged", .path.display())]
    Malformed {
        /// The file's path.
        path: PathBuf,
        /// The line, from one.
        line: usize,
    },
    /// Hashing the password failed.
    #[error("cannot hash the password")]
    Hash(#[from] bcrypt::BcryptError),
    /// The file is not readable.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not writable; it is unchanged.
    #[error("cannot write {}{}", .path.display(), remedy(.path))]
    Write {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The remedy for the most frequent reason why a new file is not writable.
fn remedy(path: &Path) -> String {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() && !above.exists() => {
            format!(" (create the directory {} first)", above.display())
        }
        _ => String::new(),
    }
}

/// Adds a user or changes the user's password. Creates a missing file, readable by its owner only.
///
/// # Errors
///
/// See [`EditError`]; the file is then unchanged.
pub fn add(path: &Path, user: &str, password: &[u8]) -> Result<Added, EditError> {
    check_user(user)?;
    check_password(password)?;
    let entry = format!("{user}:{}", bcrypt::hash(password, COST)?).into_bytes();
    let _lock = lock(path)?;
    let mut lines = match read(path) {
        Err(EditError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let mut added = Added::New;
    // The user's first line takes the new hash. Remove the others, because the last line counts.
    lines.retain_mut(|line| {
        if !is_of(line, user) {
            return true;
        }
        let keep = added == Added::New;
        if keep {
            line.clone_from(&entry);
        }
        added = Added::Changed;
        keep
    });
    if added == Added::New {
        // Keep the empty piece after the last newline at the end.
        let end = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.insert(end, entry);
    }
    write(path, &lines)?;
    Ok(added)
}

/// Keeps other edits away until it is dropped.
fn lock(path: &Path) -> Result<File, EditError> {
    lock_folder_of(path).map_err(|source| EditError::Write { path: path.to_owned(), source })
}

/// Removes every line of a user.
///
/// # Errors
///
/// See [`EditError`]; the file is then unchanged.
pub fn remove(path: &Path, user: &str) -> Result<(), EditError> {
    let _lock = lock(path)?;
    let mut lines = read(path)?;
    let before = lines.len();
    lines.retain(|line| !is_of(line, user));
    if lines.len() == before {
        return Err(EditError::NoSuchUser { user: user.to_owned(), path: path.to_owned() });
    }
    write(path, &lines)
}

/// Lists the users in file order.
///
/// # Errors
///
/// See [`EditError`].
pub fn list(path: &Path) -> Result<Vec<ListedUser>, EditError> {
    let lines = read(path)?;
    let mut users = Vec::new();
    for (index, text) in lines.iter().enumerate() {
        let Line::Entry { user, hash } = Line::parse(text) else { continue };
        let is_superseded = lines[index + 1..]
            .iter()
            .any(|later| matches!(Line::parse(later), Line::Entry { user: other, .. } if other == user));
        let hash = match BcryptHash::parse(hash) {
            _ if is_superseded => ListedHash::Superseded,
            Some(bcrypt) => ListedHash::Bcrypt { cost: bcrypt.cost() },
            None => ListedHash::Unsupported { kind: kind_of(hash) },
        };
        users.push(ListedUser { name: String::from_utf8_lossy(user).into_owned(), line: index + 1, hash });
    }
    Ok(users)
}

/// Compares a password with the user's hash.
///
/// # Errors
///
/// The user does not exist, or no password can match. See [`EditError`].
pub fn verify(path: &Path, user: &str, password: &[u8]) -> Result<Verdict, EditError> {
    let lines = read(path)?;
    let Some((index, text)) = lines.iter().enumerate().rfind(|(_, line)| is_of(line, user)) else {
        return Err(EditError::NoSuchUser { user: user.to_owned(), path: path.to_owned() });
    };
    let Line::Entry { hash, .. } = Line::parse(text) else {
        return Err(EditError::Malformed { path: path.to_owned(), line: index + 1 });
    };
    let Some(bcrypt) = BcryptHash::parse(hash) else {
        let (user, path) = (user.to_owned(), path.to_owned());
        return Err(EditError::Unsupported { user, path, line: index + 1, kind: kind_of(hash) });
    };
    Ok(if bcrypt.matches(password) { Verdict::Right } else { Verdict::Wrong })
}

fn check_user(user: &str) -> Result<(), EditError> {
    let problem = if user.is_empty() {
        "it is empty"
    } else if user.contains(':') {
        "it has a `:`, which ends the name in the file"
    } else if user.chars().any(char::is_control) {
        "it has a control character"
    } else if user.starts_with('#') {
        "it starts with `#`, which starts a comment in the file"
    } else if user.trim() != user {
        "it starts or ends with a blank"
    } else if user.len() > MAX_USER_BYTES {
        "it is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(EditError::User { user: user.to_owned(), problem })
}

fn check_password(password: &[u8]) -> Result<(), EditError> {
    let problem = if password.is_empty() {
        "it is empty"
    } else if password.len() > MAX_PASSWORD_BYTES {
        "bcrypt takes 72 bytes and would ignore the rest: choose a shorter one"
    } else if password.contains(&0) {
        "it has a zero byte, where other programs would cut it"
    } else if TokenSecret::parse(password).is_some() {
        "it has the form of an access token's secret (`spn_…`), as which the registry would read it at a login: choose another one"
    } else {
        return Ok(());
    };
    Err(EditError::Password(problem))
}

/// Splits the file at newlines; joining the pieces with newlines restores it.
fn read(path: &Path) -> Result<Vec<Vec<u8>>, EditError> {
    let content = read_regular_file(path, MAX_BYTES)
        .map_err(|error| EditError::Read { path: path.to_owned(), source: error.into() })?;
    let lines: Vec<Vec<u8>> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    match lines.iter().position(|line| matches!(Line::parse(line), Line::Malformed)) {
        Some(index) => Err(EditError::Malformed { path: path.to_owned(), line: index + 1 }),
        None => Ok(lines),
    }
}

fn write(path: &Path, lines: &[Vec<u8>]) -> Result<(), EditError> {
    let failed = |source| EditError::Write { path: path.to_owned(), source };
    let mut content = lines.join(&b'\n');
    // End the last line, so that `>>` appends a new one.
    if !content.is_empty() && !content.ends_with(b"\n") {
        content.push(b'\n');
    }
    if content.len() as u64 > MAX_BYTES {
        let too_large = "it would be longer than 16 MiB, which no registry reads";
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, too_large)));
    }
    write_atomically(path, &content, 0o600, Existing::Replace).map_err(failed)
}

fn is_of(line: &[u8], user: &str) -> bool {
    matches!(Line::parse(line), Line::Entry { user: other, .. } if other == user.as_bytes())
}

#[cfg(test)]
#[path = "htpasswd_file_tests.rs"]
mod tests;
