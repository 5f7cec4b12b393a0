//! `Shown`: a client's text for our log.

use std::fmt;

/// The longest shown text, in characters.
const MAX_CHARS: usize = 100;

/// A client's text for our log: truncated, and escaped when part of a sentence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Shown(String);

impl Shown {
    pub(super) fn new(text: &str) -> Self {
        let mut shown: String = text.chars().take(MAX_CHARS).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Self(shown)
    }

    /// The text for a log field, which escapes it itself.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_debug())
    }
}
