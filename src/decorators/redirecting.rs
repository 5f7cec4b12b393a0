//! `Redirecting`: a driver that redirects clients elsewhere for blobs.

use std::sync::Arc;

use async_trait::async_trait;
use sampan_driver::{Capabilities, DriverPath, RedirectRequest, Result, StorageDriver};
use sampan_shown_url::ShownUrl;
use url::Url;

/// Where clients are redirected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rule {
    /// To the file's path below this URL, such as a content delivery network in front of the store.
    To(Url),
    /// To the driver's own URL with some parts replaced. The signature is unchanged.
    Rewrite {
        /// The new scheme.
        scheme: Option<String>,
        /// The new host, with its port if any.
        host: Option<String>,
        /// A prefix to remove from the path.
        trim_path_prefix: String,
    },
}

/// A rule produced an invalid URL.
#[derive(Debug, thiserror::Error)]
#[error("the rewritten URL `{url}` is not valid: check the options `scheme` and `host`")]
pub struct InvalidRule {
    url: ShownUrl,
    source: url::ParseError,
}

impl Rule {
    /// Checks that the rule produces URLs.
    ///
    /// # Errors
    ///
    /// `scheme` or `host` is not valid in a URL.
    pub fn check(&self) -> std::result::Result<(), InvalidRule> {
        match self {
            Self::To(_) => Ok(()),
            Self::Rewrite { scheme, host, .. } => {
                let (scheme, host) =
                    (scheme.as_deref().unwrap_or("https"), host.as_deref().unwrap_or("localhost"));
                parse(format!("{scheme}://{host}/")).map(drop)
            }
        }
    }

    /// The redirect for `path`; `None` when the registry should send the file.
    fn apply(&self, path: &DriverPath, given: Option<Url>) -> std::result::Result<Option<Url>, InvalidRule> {
        match self {
            Self::To(base) => {
                let mut url = base.clone();
                url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
                Ok(Some(url))
            }
            Self::Rewrite { scheme, host, trim_path_prefix } => {
                let Some(given) = given else { return Ok(None) };
                let scheme = scheme.as_deref().unwrap_or(given.scheme());
                let host =
                    host.as_deref().unwrap_or(&given[url::Position::BeforeHost..url::Position::AfterPort]);
                let path = given.path().strip_prefix(trim_path_prefix.as_str()).unwrap_or(given.path());
                let slash = if path.starts_with('/') { "" } else { "/" };
                let rest = &given[url::Position::AfterPath..];
                parse(format!("{scheme}://{host}{slash}{path}{rest}")).map(Some)
            }
        }
    }
}

fn parse(url: String) -> std::result::Result<Url, InvalidRule> {
    Url::parse(&url).map_err(|source| InvalidRule { url: ShownUrl::new(&url), source })
}

/// A driver with a [`Rule`].
#[derive(Clone, Debug)]
pub struct Redirecting {
    inner: Arc<dyn StorageDriver>,
    rule: Rule,
}

impl Redirecting {
    /// Wraps `inner` with `rule`.
    pub fn new(inner: Arc<dyn StorageDriver>, rule: Rule) -> Self {
        Self { inner, rule }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Redirecting {
    sampan_driver::forward! { self => self.inner;
        name get_content put_content put_all reader writer stat list list_holding walk rename delete delete_tree
        delete_all sync_deletions check
    }

    fn capabilities(&self) -> Capabilities {
        let inner = self.inner.capabilities();
        Capabilities { redirect: inner.redirect || matches!(self.rule, Rule::To(_)), ..inner }
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        let given = match self.rule {
            Rule::To(_) => None,
            Rule::Rewrite { .. } => self.inner.redirect_url(path, request).await?,
        };
        self.rule.apply(path, given).map_err(|source| {
            let operation = sampan_driver::Operation::RedirectUrl;
            sampan_driver::DriverError::new(sampan_driver::ErrorKind::Other, self.name(), operation, path)
                .with_source(source)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(rule: &Rule, given: Option<&str>) -> Option<String> {
        let path: DriverPath = "/docker/registry/v2/blobs/sha256/ab/abc/data".parse().unwrap();
        let given = given.map(|url| url.parse().unwrap());
        rule.apply(&path, given).unwrap().map(|url| url.to_string())
    }

    #[test]
    fn a_file_is_below_the_base_url() {
        for base in
            ["https://cdn.example.com", "https://cdn.example.com/", "https://cdn.example.com:8443/images/"]
        {
            let sent = sent(&Rule::To(base.parse().unwrap()), None).unwrap();
            let base = base.trim_end_matches('/');
            assert_eq!(sent, format!("{base}/docker/registry/v2/blobs/sha256/ab/abc/data"));
        }
    }

    #[test]
    fn parts_of_the_drivers_url_are_replaced_but_not_its_signature() {
        let given = Some("https://store.example:9000/bucket/a/b?X-Amz-Signature=a%2Fb%3D&x=1");
        let rewrite = |scheme: Option<&str>, host: Option<&str>, trim: &str| Rule::Rewrite {
            scheme: scheme.map(str::to_owned),
            host: host.map(str::to_owned),
            trim_path_prefix: trim.to_owned(),
        };
        let query = "?X-Amz-Signature=a%2Fb%3D&x=1";
        for (rule, expected) in [
            (rewrite(None, None, ""), "https://store.example:9000/bucket/a/b"),
            (rewrite(Some("http"), None, ""), "http://store.example:9000/bucket/a/b"),
            (rewrite(None, Some("cdn.example"), "/bucket"), "https://cdn.example/a/b"),
            (rewrite(None, Some("cdn.example:81"), "/bucket/"), "https://cdn.example:81/a/b"),
            (rewrite(None, None, "/other"), "https://store.example:9000/bucket/a/b"),
        ] {
            assert_eq!(sent(&rule, given), Some(format!("{expected}{query}")), "{rule:?}");
        }
        assert_eq!(sent(&rewrite(Some("http"), None, ""), None), None);
    }

    #[test]
    fn a_rule_that_produces_no_url_is_detected() {
        let host = |host: &str| Rule::Rewrite {
            scheme: None,
            host: Some(host.to_owned()),
            trim_path_prefix: String::new(),
        };
        assert!(host("cdn.example:81").check().is_ok());
        assert!(host("cdn.example:port").check().unwrap_err().to_string().contains("cdn.example:port"));
    }
}
