//! `PasswordList`: the users and password hashes in one state of an htpasswd file.
//!
//! Only bcrypt is accepted, as in Distribution. Users with another hash are left out with a remark, so that
//! the problem shows when the file is loaded and not when a login fails.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Compared for unknown users. It belongs to no password; only the cost matters.
const DUMMY_SALT_AND_DIGEST: &str = "abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzabcde";

/// The cost for unknown users when the file has no user.
const DEFAULT_COST: u32 = 10;

/// The users in one state of the file.
#[derive(Debug)]
pub(super) struct PasswordList {
    users: HashMap<Vec<u8>, Entry>,
    dummy: BcryptHash,
}

/// A user's hash.
#[derive(Debug)]
struct Entry {
    hash: BcryptHash,
    /// Made when it is first asked for, and kept: each request with a bearer token asks.
    id: OnceLock<Box<str>>,
}

/// A well-formed bcrypt hash, `$2y$05$…`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct BcryptHash(Arc<str>);

/// A problem in the file that the administrator should know, but that does not invalidate the file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PasswordFileWarning {
    pub(super) line: usize,
    pub(super) message: String,
}

/// A line that is not an entry, a comment or blank.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line} has no `:` between a user and a hash: write `user:hash`, or start the line with `#`")]
pub struct MalformedLine {
    /// The line, from one.
    pub(super) line: usize,
}

/// One line of an htpasswd file.
pub(super) enum Line<'a> {
    /// A comment or a blank line.
    Nothing,
    /// A user and a hash of any kind.
    Entry { user: &'a [u8], hash: &'a [u8] },
    /// Any other line.
    Malformed,
}

impl PasswordList {
    /// Parses a file's content. Of several lines for one user the last counts.
    pub(super) fn parse(content: &[u8]) -> Result<(Self, Vec<PasswordFileWarning>), MalformedLine> {
        let mut seen: HashMap<Vec<u8>, (usize, Option<BcryptHash>)> = HashMap::new();
        let mut remarks = Vec::new();
        for (index, text) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = index + 1;
            let (user, hash) = match Line::parse(text) {
                Line::Nothing => continue,
                Line::Malformed => return Err(MalformedLine { line }),
                Line::Entry { user, hash } => (user, hash),
            };
            let shown = String::from_utf8_lossy(user).escape_debug().to_string();
            let bcrypt = BcryptHash::parse(hash);
            if bcrypt.is_none() {
                let kind = kind_of(hash);
                remarks.push(PasswordFileWarning {
                    line,
                    message: format!(
                        "user `{shown}` cannot log in: the hash is {kind}, and only bcrypt is accepted; \
                         set the password again with `registry htpasswd add` or `htpasswd -B`"
                    ),
                });
            }
            if let Some((earlier, _)) = seen.insert(user.to_vec(), (line, bcrypt)) {
                let message = format!("user `{shown}` was already in line {earlier}: the later line counts");
                remarks.push(PasswordFileWarning { line, message });
            }
        }
        let entry = |hash| Entry { hash, id: OnceLock::new() };
        let users: HashMap<_, _> =
            seen.into_iter().filter_map(|(user, (_, hash))| Some((user, entry(hash?)))).collect();
        let dummy = BcryptHash::dummy(most_common_cost(users.values().map(|entry| &entry.hash)));
        Ok((Self { users, dummy }, remarks))
    }

    /// The hash of `user`; `None` for an unknown user.
    pub(super) fn hash_of(&self, user: &[u8]) -> Option<&BcryptHash> {
        self.users.get(user).map(|entry| &entry.hash)
    }

    /// Identifies a user's password, the same in every process that reads the same file; `None` for an unknown user.
    pub(super) fn id_of(&self, user: &[u8]) -> Option<&str> {
        let entry = self.users.get(user)?;
        Some(entry.id.get_or_init(|| entry.hash.id().into()))
    }

    /// A hash that no password matches, with the cost of most hashes in the list.
    pub(super) fn dummy(&self) -> &BcryptHash {
        &self.dummy
    }

    /// The number of users that can log in.
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }
}

impl BcryptHash {
    /// Accepts `$2a$`, `$2b$` and `$2y$` with a two-digit cost and a salt and digest of the right length.
    pub(super) fn parse(hash: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(hash).ok()?;
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
        let (cost, salt_and_digest) = rest.split_once('$')?;
        let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
        let well_formed = cost.len() == 2
            && cost.bytes().all(|byte| byte.is_ascii_digit())
            && cost.parse().is_ok_and(|cost: u32| (4..=31).contains(&cost))
            && salt_and_digest.len() == 53
            && salt_and_digest.bytes().all(alphabet);
        well_formed.then(|| Self(Arc::from(text)))
    }

    fn id(&self) -> String {
        URL_SAFE_NO_PAD.encode(&Sha256::digest(self.as_str())[..12])
    }

    fn dummy(cost: u32) -> Self {
        Self(Arc::from(format!("$2b${cost:02}${DUMMY_SALT_AND_DIGEST}")))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The cost of a comparison, as a power of two.
    pub(super) fn cost(&self) -> u32 {
        self.0.get(4..6).and_then(|digits| digits.parse().ok()).unwrap_or(DEFAULT_COST)
    }

    /// Compares, which takes milliseconds to seconds: do not call it on an async thread.
    ///
    /// As with Apache's tools, only the first 72 bytes of a password count.
    pub(super) fn matches(&self, password: &[u8]) -> bool {
        bcrypt::verify(password, &self.0).unwrap_or(false)
    }
}

impl<'a> Line<'a> {
    pub(super) fn parse(text: &'a [u8]) -> Self {
        let text = text.trim_ascii();
        if text.is_empty() || text.starts_with(b"#") {
            return Self::Nothing;
        }
        match text.iter().position(|byte| *byte == b':') {
            Some(colon) => Self::Entry { user: &text[..colon], hash: &text[colon + 1..] },
            None => Self::Malformed,
        }
    }
}

/// The common name of an unsupported hash's kind.
pub(super) fn kind_of(hash: &[u8]) -> &'static str {
    let traditional = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    const KINDS: [(&[u8], &str); 13] = [
        (b"$2x$", "bcrypt of the broken variant 2x"),
        (b"$2", "a damaged or truncated bcrypt hash"),
        (b"$apr1$", "Apache's MD5 (apr1)"),
        (b"$1$", "MD5-crypt"),
        (b"$5$", "SHA-256-crypt"),
        (b"$6$", "SHA-512-crypt"),
        (b"$y$", "yescrypt"),
        (b"$7$", "scrypt"),
        (b"$argon2", "Argon2"),
        (b"$scrypt$", "scrypt"),
        (b"$pbkdf2", "PBKDF2"),
        (b"{SHA}", "unsalted SHA-1"),
        (b"{SSHA}", "salted SHA-1"),
    ];
    for (prefix, kind) in KINDS {
        if hash.starts_with(prefix) {
            return kind;
        }
    }
    if hash.is_empty() {
        "empty"
    } else if hash.len() == 13 && hash.iter().all(traditional) {
        "traditional DES-crypt"
    } else {
        "plain text or of an unknown kind"
    }
}

/// The most common cost; of equally common ones the highest, so that an unknown user never gets a faster
/// response than most known ones.
fn most_common_cost<'a>(hashes: impl Iterator<Item = &'a BcryptHash>) -> u32 {
    let mut counts = [0_usize; 32];
    for hash in hashes {
        if let Some(count) = counts.get_mut(hash.cost() as usize) {
            *count += 1;
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    (4..=31).rev().find(|cost| most > 0 && counts[*cost as usize] == most).unwrap_or(DEFAULT_COST)
}

#[cfg(test)]
#[path = "password_list_tests.rs"]
mod tests;
