//! `RegistryHost`: a host with an optional port, as in names of images.

use std::fmt;
use std::str::FromStr;

use url::Url;

use super::value_from_text;

/// A host with an optional port: `quay.io`, `registry.example:5000`, `[::1]:5000`.
///
/// Parsing makes one spelling of all: lower case, international names in ASCII, no port 443. So the `ns` and the `Host` of a
/// request are compared with those of the configuration after they were parsed, too.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RegistryHost(String);

impl RegistryHost {
    /// The longest text, in bytes: a host name has 253 characters at most, and a port five.
    pub const MAX_LEN: usize = 259;

    /// Host and port, in lower case; an IPv6 address is in brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host without the port; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => host,
            _ => &self.0,
        }
    }

    /// Whether a port other than 443 is named.
    pub fn has_port(&self) -> bool {
        self.host().len() < self.0.len()
    }

    /// A constant of the program, which has the one spelling.
    pub(super) fn of_name(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Host and port of a URL with a host, without the default port of its scheme.
    pub(crate) fn of_url(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let port = url.port().filter(|port| *port != 443);
        Self(port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    }
}

impl fmt::Display for RegistryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RegistryHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = |found: &str| {
            Err(format!("expected a host such as `quay.io` or `registry.example:5000`, found {found}"))
        };
        if text.len() > Self::MAX_LEN {
            return expected(&format!("{} characters", text.len()));
        }
        // The URL's parser would remove blanks, and read the rest of `host/path` as parts of a URL.
        let is_odd = |c: char| !c.is_alphanumeric() && !".-_:[]".contains(c);
        let parsed = Url::parse(&format!("https://{text}")).ok().filter(|_| !text.contains(is_odd));
        match parsed {
            Some(url) if url.has_host() && url.port() != Some(0) => Ok(Self::of_url(&url)),
            _ if text.contains("://") => expected("a URL: write its host only"),
            _ => expected(&format!("`{}`", text.escape_debug())),
        }
    }
}

value_from_text!(RegistryHost);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_a_host_are_one() {
        for (text, expected, host) in [
            ("quay.io", "quay.io", "quay.io"),
            ("QUAY.io", "quay.io", "quay.io"),
            ("quay.io:443", "quay.io", "quay.io"),
            ("registry.example:05000", "registry.example:5000", "registry.example"),
            ("localhost:80", "localhost:80", "localhost"),
            ("bücher.example", "xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("[::1]:5000", "[::1]:5000", "[::1]"),
            ("[0:0::1]:443", "[::1]", "[::1]"),
            ("10.0.0.1:5000", "10.0.0.1:5000", "10.0.0.1"),
            ("my_registry", "my_registry", "my_registry"),
        ] {
            let parsed: RegistryHost = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((parsed.as_str(), parsed.host()), (expected, host), "{text}");
            assert_eq!(parsed.has_port(), expected != host, "{text}");
            assert_eq!(expected.parse(), Ok(parsed), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_without_its_secrets() {
        let long = "a".repeat(300);
        for text in [
            "",
            " quay.io",
            "quay.io/",
            "quay.io/team",
            "https://quay.io",
            "https://user:hunter2@quay.io",
            "a:b:c",
            "quay.io:0",
            "quay.io:99999",
            "::1",
            "quay.io?x",
            "quay.io#x",
            "a\tb",
            "a\0",
            "*",
            "*.example",
            "%41",
            &long,
        ] {
            let problem = text.parse::<RegistryHost>().expect_err(text);
            assert!(problem.starts_with("expected a host such as `quay.io`"), "{text}: {problem}");
            assert!(!problem.contains("hunter2") && problem.len() < 400, "{problem}");
        }
    }

    proptest::proptest! {
        #[test]
        fn parsing_twice_changes_nothing(text in "([a-zA-Z0-9.:_üß-]|\\[|\\]|/|@|%){0,20}") {
            if let Ok(host) = text.parse::<RegistryHost>() {
                assert_eq!(host.as_str().parse(), Ok(host.clone()), "{text}");
                assert!(!host.as_str().contains(|c: char| c.is_uppercase() || c.is_whitespace()));
            }
        }
    }
}
