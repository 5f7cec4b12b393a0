//! The section `middleware`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ExternalUrl, Secret};

/// Wrappers around parts of the registry.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MiddlewareConfig {
    /// Around the registry; neither this registry nor Distribution has any.
    #[serde(default)]
    pub registry: Vec<Middleware>,
    /// Around repositories; neither this registry nor Distribution has any.
    #[serde(default)]
    pub repository: Vec<Middleware>,
    /// Around the storage driver, the first one innermost.
    #[serde(default)]
    pub storage: Vec<Middleware>,
}

/// An entry of one of the lists.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Middleware {
    /// The name, such as `cloudfront`.
    pub name: Option<String>,
    /// Whether to ignore the entry.
    pub disabled: bool,
    /// The options, which may hold keys.
    #[serde(default)]
    pub options: BTreeMap<String, Secret<serde_json::Value>>,
}

/// A middleware of storage, with its options.
#[derive(Clone, Debug, PartialEq)]
pub enum StorageMiddleware {
    /// `redirect`
    Redirect(RedirectOptions),
    /// `rewrite`
    Rewrite(RewriteOptions),
}

/// The options of `redirect`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RedirectOptions {
    /// The base URL; clients fetch a blob from its path below this URL.
    pub baseurl: ExternalUrl,
}

/// The options of `rewrite`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RewriteOptions {
    /// The new scheme of the driver's URL.
    pub scheme: Option<String>,
    /// The new host of the driver's URL.
    pub host: Option<String>,
    /// The prefix to cut from the path of the driver's URL.
    pub trimpathprefix: String,
}

impl Middleware {
    /// The middleware that the entry configures; `None` if it is disabled.
    ///
    /// # Errors
    ///
    /// If the name is unknown or the options are wrong; the message says which.
    pub fn as_storage(&self) -> Result<Option<StorageMiddleware>, String> {
        if self.disabled {
            return Ok(None);
        }
        match self.name.as_deref() {
            Some("redirect") => Ok(Some(StorageMiddleware::Redirect(self.read()?))),
            Some("rewrite") => Ok(Some(StorageMiddleware::Rewrite(self.read()?))),
            Some("cloudfront") => {
                Err("`cloudfront` is not supported: this registry cannot sign its URLs; use `redirect` with the `baseurl` \
                                       of a distribution that needs none, or set `disabled: true`"
                    .to_owned())
            }
            Some(name) => {
                Err(format!("there is no storage middleware `{name}`; there are `redirect` and `rewrite`"))
            }
            None => Err("has no `name`; it may be `redirect` or `rewrite`".to_owned()),
        }
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        let options = self.options.iter().map(|(key, value)| (key.clone(), value.expose().clone()));
        serde_json::from_value(options.collect::<serde_json::Map<_, _>>().into())
            .map_err(|error| format!("options: {error}"))
    }
}
