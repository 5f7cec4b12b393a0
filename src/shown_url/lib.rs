//! `ShownUrl`: a URL without its secret parts.

use std::fmt;

use url::Url;

/// A URL without user info, query and fragment: the only form in which logs, errors, names and pages show
/// URLs.
///
/// Text that is not a URL loses the same parts, because it was probably meant to be one: the password in
/// `user:password@host/` is as secret without a scheme.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownUrl {
    text: String,
    is_shortened: bool,
}

impl ShownUrl {
    /// Removes the secret parts of `text`. Leaves all other text unchanged.
    pub fn new(text: &str) -> Self {
        let (scheme, rest) = text.split_at(scheme_length(text));
        let is_url = !scheme.is_empty() && Url::parse(text).is_ok();
        let rest = match is_url {
            true => {
                let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
                rest[..end].rfind('@').map_or(rest, |at| &rest[at + 1..])
            }
            // In a malformed URL, the end of the user info is ambiguous.
            false => rest.rfind('@').map_or(rest, |at| &rest[at + 1..]),
        };
        let shown = rest.split(['?', '#']).next().unwrap_or_default();
        let text_shown = format!("{scheme}{shown}");
        Self { is_shortened: text_shown != text, text: text_shown }
    }

    /// Whether `text` begins with a scheme and `://`.
    pub fn looks_like_one(text: &str) -> bool {
        scheme_length(text) > 0
    }

    /// Whether parts of the URL were removed.
    pub fn is_shortened(&self) -> bool {
        self.is_shortened
    }
}

impl From<&Url> for ShownUrl {
    fn from(url: &Url) -> Self {
        Self::new(url.as_str())
    }
}

impl fmt::Display for ShownUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The length of a leading `scheme://`; 0 without one.
fn scheme_length(text: &str) -> usize {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).map_or(0, |(scheme, _)| scheme.len() + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_query_and_fragment_are_not_shown() {
        for (text, shown) in [
            ("http://svc:hunter2@127.0.0.1:9/health?token=abcd", "http://127.0.0.1:9/health"),
            ("https://hook:s3cr3t@portal.example/events?key=KEYKEY#x", "https://portal.example/events"),
            ("https://user@host", "https://host"),
            ("https://a:b@c@host/", "https://host/"),
            ("https://host/a@b", "https://host/a@b"),
            ("https://host?sig=x@y", "https://host"),
            ("https://[::1]:5000/v2/", "https://[::1]:5000/v2/"),
            ("https://host", "https://host"),
            ("redis://:pa55@host:6379/0", "redis://host:6379/0"),
            // Not URLs, but probably meant to be.
            ("user:hunter2@host/health?token=x", "host/health"),
            ("http://user:hun/ter2@host/", "http://host/"),
            ("http://user:hun#ter2@host/", "http://host/"),
            ("http://user:hun?ter2@host/", "http://host/"),
            ("portal.example.com", "portal.example.com"),
            ("", ""),
        ] {
            let url = ShownUrl::new(text);
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!(url.is_shortened(), text != shown, "{text}");
        }
    }

    #[test]
    fn a_pattern_of_urls_does_not_look_like_one() {
        assert!(ShownUrl::looks_like_one("https://host/?a=b"));
        for text in ["^https?://([^/]+\\.)*example\\.com/", "host:5000", "://x", "/a://b"] {
            assert!(!ShownUrl::looks_like_one(text), "{text}");
        }
    }
}
