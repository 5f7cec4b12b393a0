//! Changing an htpasswd file: `registry htpasswd add|remove|list|verify`.
//!
//! Comments, order and the lines of other users stay as they are, byte for byte.
//! The file is exchanged as a whole, so a running registry, ours or another, never sees half of it.
//! Two people who change one file at the same moment are not kept apart: one of the changes is lost.
//!
//! Everything here blocks, adding and verifying for a noticeable fraction of a second.

use std::io;
use std::path::{Path, PathBuf};

use super::password_list::{BcryptHash, Line, kind_of};
use super::provision::COST;
use crate::files::{Existing, write_atomically};

/// The longest password all of whose bytes count.
const LONGEST_PASSWORD: usize = 72;

/// The longest user name Apache's tools accept.
const LONGEST_USER: usize = 255;

/// What became of the user that was added.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Added {
    /// The user is new.
    New,
    /// The user was there and has another password now.
    Changed,
}

/// A user of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListedUser {
    /// The user's name; bytes that are no text are replaced.
    pub name: String,
    /// The line of the entry, counted from one.
    pub line: usize,
    /// Whether and how the user can log in.
    pub hash: ListedHash,
}

/// The kind of hash a user has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ListedHash {
    /// The user can log in.
    Bcrypt {
        /// The work one login takes: two to the power of this.
        cost: u32,
    },
    /// The user cannot log in.
    Unsupported {
        /// What the hash is instead.
        kind: &'static str,
    },
    /// A later line for the same user counts instead.
    Superseded,
}

/// What a password is to a user.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is the user's.
    Right,
    /// It is not the user's.
    Wrong,
}

/// Why a file was not changed or looked at.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The user's name cannot be in such a file.
    #[error("user name `{}` cannot be used: {problem}", .user.escape_debug())]
    User {
        /// The name.
        user: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The password cannot be used.
    #[error("this password cannot be used: {0}")]
    Password(&'static str),
    /// Nobody of that name is in the file.
    #[error("there is no user `{user}` in {}", .path.display())]
    NoSuchUser {
        /// The name.
        user: String,
        /// Which file.
        path: PathBuf,
    },
    /// The user's hash is of a kind that is not accepted, so no password is right.
    #[error(
        "line {line} of {} has a hash of user `{user}` that is {kind}; only bcrypt is accepted: \
         set the password anew with `registry htpasswd add`", .path.display()
    )]
    Unsupported {
        /// The name.
        user: String,
        /// Which file.
        path: PathBuf,
        /// Where in it.
        line: usize,
        /// What the hash is instead.
        kind: &'static str,
    },
    /// A line is no entry, comment or blank: perhaps this is no htpasswd file at all.
    #[error("{} is not an htpasswd file, it was left as it is: line {line} has no `:`", .path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        line: usize,
    },
    /// The password could not be hashed.
    #[error("the password could not be hashed")]
    Hash(#[from] bcrypt::BcryptError),
    /// The file could not be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The file could not be written; it is as it was.
    #[error("cannot write {}{}", .path.display(), remedy(.path))]
    Write {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// The commonest reason why a new file cannot be written, if it is that.
fn remedy(path: &Path) -> String {
    match path.parent() {
        Some(above) if !above.as_os_str().is_empty() && !above.exists() => {
            format!(" (make the directory {} first)", above.display())
        }
        _ => String::new(),
    }
}

/// Adds a user or changes the user's password. A missing file is made, readable by its owner alone.
///
/// # Errors
///
/// See [`EditError`]; the file is then as it was.
pub fn add(path: &Path, user: &str, password: &[u8]) -> Result<Added, EditError> {
    check_user(user)?;
    check_password(password)?;
    let mut lines = match read(path) {
        Err(EditError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    let entry = format!("{user}:{}", bcrypt::hash(password, COST)?).into_bytes();
    let mut added = Added::New;
    // The first line of the user takes the new hash, and further ones go: the last would count otherwise.
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
        // The empty piece after the last newline stays the last.
        let end = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.insert(end, entry);
    }
    write(path, &lines)?;
    Ok(added)
}

/// Removes a user, with every line the user has.
///
/// # Errors
///
/// See [`EditError`]; the file is then as it was.
pub fn remove(path: &Path, user: &str) -> Result<(), EditError> {
    let mut lines = read(path)?;
    let before = lines.len();
    lines.retain(|line| !is_of(line, user));
    if lines.len() == before {
        return Err(EditError::NoSuchUser { user: user.to_owned(), path: path.to_owned() });
    }
    write(path, &lines)
}

/// Lists the users in the order of the file.
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
/// When there is no such user, or no password can be right. See [`EditError`].
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
        "a line that starts with `#` is a comment"
    } else if user.trim() != user {
        "it starts or ends with a blank"
    } else if user.len() > LONGEST_USER {
        "it is longer than 255 bytes"
    } else {
        return Ok(());
    };
    Err(EditError::User { user: user.to_owned(), problem })
}

fn check_password(password: &[u8]) -> Result<(), EditError> {
    let problem = if password.is_empty() {
        "it is empty"
    } else if password.len() > LONGEST_PASSWORD {
        "bcrypt takes 72 bytes and would ignore the rest: choose a shorter one"
    } else if password.contains(&0) {
        "it has a zero byte, where other programs would end it"
    } else {
        return Ok(());
    };
    Err(EditError::Password(problem))
}

/// The pieces between newlines; joined again by newlines they are the file.
fn read(path: &Path) -> Result<Vec<Vec<u8>>, EditError> {
    let content = std::fs::read(path).map_err(|source| EditError::Read { path: path.to_owned(), source })?;
    let lines: Vec<Vec<u8>> = content.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    match lines.iter().position(|line| matches!(Line::parse(line), Line::Malformed)) {
        Some(index) => Err(EditError::Malformed { path: path.to_owned(), line: index + 1 }),
        None => Ok(lines),
    }
}

fn write(path: &Path, lines: &[Vec<u8>]) -> Result<(), EditError> {
    let mut content = lines.join(&b'\n');
    // The last line is ended, so that a line appended with `>>` is one of its own.
    if !content.is_empty() && !content.ends_with(b"\n") {
        content.push(b'\n');
    }
    write_atomically(path, &content, 0o600, Existing::Replace)
        .map_err(|source| EditError::Write { path: path.to_owned(), source })
}

fn is_of(line: &[u8], user: &str) -> bool {
    matches!(Line::parse(line), Line::Entry { user: other, .. } if other == user.as_bytes())
}

#[cfg(test)]
#[path = "htpasswd_file_tests.rs"]
mod tests;
