//! `Secret<T>`: a value that is never shown.

use std::fmt;

use serde::Deserialize;

/// Replaces a secret in every output.
pub(super) const REDACTED: &str = "***";

/// Parts of key names that mark a secret, for drivers' parameters, whose keys this crate does not know.
const SECRET_MARKS: [&str; 9] = [
    "accesskey",
    "accountkey",
    "connectionstring",
    "passwd",
    "password",
    "private_key",
    "privatekey",
    "secret",
    "token",
];

/// A value without `Display`, whose `Debug` prints `***`, so that it cannot reach a log by accident.
#[derive(Clone, Default, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Whether a key with this name holds a secret. The path of a file with a secret is not a secret.
pub(crate) fn is_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !key.ends_with("file") && SECRET_MARKS.iter().any(|telltale| key.contains(telltale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Some(Secret::new("hunter2"))), "Some(***)");
        assert_eq!(*Secret::new("hunter2").expose(), "hunter2");
    }

    #[test]
    fn the_name_of_a_key_marks_a_secret() {
        for name in ["secretkey", "accesskey", "AccountKey", "password", "private_key_id", "secret"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["bucket", "keyid", "keyfile", "passwordfile", "rootdirectory", "accountname"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
