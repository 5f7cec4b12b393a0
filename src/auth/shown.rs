//! `Shown`: a client's text in our log.

use std::fmt;

/// The most letters of it that are shown.
const LONGEST: usize = 100;

/// A client's text in our log: cut, and escaped when it is part of a sentence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Shown(String);

impl Shown {
    pub(super) fn new(text: &str) -> Self {
        let mut shown: String = text.chars().take(LONGEST).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self(shown)
    }

    /// For a field of the log, which escapes it itself.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_debug())
    }
}
