//! `Secret<T>`: a value that is used and never shown.

use std::fmt;

use serde::Deserialize;

/// What stands in the place of a secret wherever one would be shown.
pub(super) const REDACTED: &str = "***";

/// Parts of key names that mark a secret, for the parameters of drivers, whose keys are not known here.
const TELLTALES: [&str; 9] = [
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

/// A value without `Display`, whose `Debug` prints `***`: it cannot reach a log by accident.
#[derive(Clone, Default, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, for the one place that uses it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// Whether a key with this name holds a secret.
pub(crate) fn is_secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    TELLTALES.iter().any(|telltale| key.contains(telltale))
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
    fn secrets_are_known_by_their_key() {
        for name in ["secretkey", "accesskey", "AccountKey", "password", "private_key_id", "secret"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["bucket", "keyid", "keyfile", "rootdirectory", "accountname"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
