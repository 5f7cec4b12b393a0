//! `ExternalUrl`: the URL that clients use for the registry.

use std::str::FromStr;

use url::Url;

use super::value_from_text;
use sampan_shown_url::ShownUrl;

/// A fully qualified `http` or `https` URL with a host, such as `https://registry.example.com`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExternalUrl(Url);

impl ExternalUrl {
    /// The parsed URL.
    pub fn as_url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for ExternalUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Self(url)),
            _ => {
                let found = ShownUrl::new(text);
                Err(format!("expected a full URL such as `https://registry.example.com`, found `{found}`"))
            }
        }
    }
}

value_from_text!(ExternalUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_urls_are_accepted() {
        assert_eq!("https://r.example.com:5000".parse::<ExternalUrl>().unwrap().as_url().port(), Some(5000));
        for text in ["r.example.com", "r.example.com:5000", "//r", "ftp://r", ""] {
            assert!(text.parse::<ExternalUrl>().is_err(), "{text}");
        }
    }
}
