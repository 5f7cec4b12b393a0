//! The section `middleware`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ExternalUrl, Secret};

/// What wraps the registry's parts.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MiddlewareConfig {
    /// Around the registry. There is none, here or in Distribution.
    #[serde(default)]
    pub registry: Vec<Middleware>,
    /// Around repositories. There is none, here or in Distribution.
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
    /// Which one, such as `cloudfront`.
    pub name: Option<String>,
    /// Whether the entry is to be passed over.
    pub disabled: bool,
    /// Its own settings, keys among them.
    #[serde(default)]
    pub options: BTreeMap<String, Secret<serde_json::Value>>,
}

/// What an entry of `middleware.storage` asks for.
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
    /// Clients fetch a blob from its path below this URL.
    pub baseurl: ExternalUrl,
}

/// The options of `rewrite`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct RewriteOptions {
    /// The scheme that the driver's URL gets.
    pub scheme: Option<String>,
    /// The host that it gets.
    pub host: Option<String>,
    /// What its path loses at the beginning.
    pub trimpathprefix: String,
}

impl Middleware {
    /// What a storage entry asks for; nothing if it is disabled.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn as_storage(&self) -> Result<Option<StorageMiddleware>, String> {
        if self.disabled {
            return Ok(None);
        }
        match self.name.as_deref() {
            Some("redirect") => Ok(Some(StorageMiddleware::Redirect(self.read()?))),
            Some("rewrite") => Ok(Some(StorageMiddleware::Rewrite(self.read()?))),
            Some("cloudfront") => {
                Err("`cloudfront` is not served: nothing here makes its signatures; use `redirect` with the \
                                       `baseurl` of a distribution that needs none, or set `disabled: true`"
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
