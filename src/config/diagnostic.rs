//! `Diagnostic`: a mistake or an oddity at one place of the configuration.

use std::fmt;

use super::Origin;

/// A message for the author of the configuration: the place, the key and the remedy.
///
/// In a [`ConfigError`](super::ConfigError) it keeps the registry from starting; in [`Loaded::warnings`](super::Loaded) it
/// goes to the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// The file and line, or the environment variable.
    pub origin: Origin,
    /// The key, as in `http.tls.clientcas[0]`; empty when there is none.
    pub path: String,
    /// The problem and its remedy.
    pub message: String,
}

impl Diagnostic {
    /// A diagnostic about the key `path`.
    pub(crate) fn new(origin: &Origin, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { origin: origin.clone(), path: path.into(), message: message.into() }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// The path of `key` under `path`.
pub(crate) fn child(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
