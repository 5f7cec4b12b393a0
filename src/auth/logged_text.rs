//! `LoggedText`: a client's text for our log and the audit record, which never has the secret of an access token.

use std::borrow::Cow;
use std::fmt;

use super::token_secret::{PREFIX, TokenSecret};

/// The longest shown text, in characters.
const MAX_CHARS: usize = 100;

/// A client's text for our log: without secrets, truncated, and escaped when part of a sentence.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LoggedText(String);

impl LoggedText {
    pub(super) fn new(text: &str) -> Self {
        let text = without_secrets(text);
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

impl fmt::Display for LoggedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0.escape_debug())
    }
}

/// The text with `spn_ID_…` in the place of each secret of an access token: clients send it as a user name, or in a scope.
pub(super) fn without_secrets(text: &str) -> Cow<'_, str> {
    let (mut shown, mut rest) = (String::new(), text);
    let mut search = 0;
    while let Some(found) = rest[search..].find(PREFIX) {
        let start = search + found;
        // A secret is ASCII and has one length.
        let end = start + TokenSecret::LEN;
        match rest.as_bytes().get(start..end).and_then(TokenSecret::parse) {
            Some(secret) => {
                shown.push_str(&rest[..start]);
                shown.push_str(&format!("{PREFIX}{}_…", secret.id()));
                (rest, search) = (&rest[end..], 0);
            }
            None => search = start + PREFIX.len(),
        }
    }
    match shown.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(shown + rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_wherever_they_are() {
        let (one, two) = (TokenSecret::random(), TokenSecret::random());
        let (a, b) = (one.reveal(), two.reveal());
        let (x, y) = (format!("spn_{}_…", one.id()), format!("spn_{}_…", two.id()));
        for (text, expected) in [
            (a.clone(), x.clone()),
            (format!("é{a}é{b}"), format!("é{x}é{y}")),
            (format!("{a}{b}"), format!("{x}{y}")),
            (format!("spn_{a}x"), format!("spn_{x}x")),
            (format!("repository:{a}:pull"), format!("repository:{x}:pull")),
            (a[..20].to_owned(), a[..20].to_owned()),
            (format!("spn_{}é", "a".repeat(59)), format!("spn_{}é", "a".repeat(59))),
            (String::new(), String::new()),
        ] {
            assert_eq!(without_secrets(&text), expected);
        }
        // Text is cut only when it has no secrets any more.
        let cut = LoggedText::new(&format!("{}{a}", "x".repeat(60)));
        assert_eq!(cut.as_str(), format!("{}{x}", "x".repeat(60)));
    }
}
