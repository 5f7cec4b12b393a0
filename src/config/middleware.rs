//! The section `middleware`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::findings::Findings;
use super::key::{Key, Kind, Unserved};
use super::section::section;
use super::unserved::any_enabled;
use super::{Diagnostic, ExternalUrl};

/// Neither this registry nor Distribution has any.
const UNSERVED: Key = Key::new("", Kind::List(&Kind::Section(Middleware::KEYS)))
    .meaning("error if one is enabled (there is none in Distribution either)")
    .unserved(Unserved {
        below: "",
        asks: any_enabled,
        message: "there is no middleware of this kind in this registry or in Distribution; remove the entries",
    });

section! {
    /// Wrappers around parts of the registry.
    pub struct MiddlewareConfig {
        key Key { yaml: "registry", ..UNSERVED },
        key Key { yaml: "repository", ..UNSERVED },
        /// Around the storage driver, the first one innermost.
        pub storage: Vec<Middleware>,
    }
}

section! {
    /// An entry of `middleware.storage`; [`load`](super::Config::load) has accepted its name and options.
    pub struct Middleware {
        /// `redirect` or `rewrite`; `cloudfront` is an error.
        pub name: Option<String>; default_meaning("required"),
        /// Ignores the entry.
        pub disabled: bool = "false",
        /// `redirect`: `baseurl`, below which a blob is at its path in the store. `rewrite`: `scheme`, `host` (with a port, if
        /// any) and `trimpathprefix`, which are replaced in the URL that the store signed.
        pub options: BTreeMap<String, serde_json::Value>,
    }
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
            Some("redirect") => Ok(Some(StorageMiddleware::Redirect(self.read_options()?))),
            Some("rewrite") => Ok(Some(StorageMiddleware::Rewrite(self.read_options()?))),
            Some("cloudfront") => Err("`cloudfront` is not supported: this registry cannot sign its URLs; use `redirect` with \
                                       the `baseurl` of a distribution that needs none, or set `disabled: true`"
                .to_owned()),
            Some(name) => {
                Err(format!("there is no storage middleware `{name}`; there are `redirect` and `rewrite`"))
            }
            None => Err("has no `name`; it may be `redirect` or `rewrite`".to_owned()),
        }
    }

    fn read_options<T: DeserializeOwned>(&self) -> Result<T, String> {
        let options = self.options.clone();
        serde_json::from_value(options.into_iter().collect::<serde_json::Map<_, _>>().into())
            .map_err(|error| format!("options: {error}"))
    }
}

impl MiddlewareConfig {
    /// Checks that each entry is supported and has valid options.
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        for (index, entry) in self.storage.iter().enumerate() {
            if let Err(message) = entry.as_storage() {
                let node = found.tree.at("middleware.storage").and_then(|list| list.items().get(index));
                let origin = &node.unwrap_or(found.tree).origin;
                let path = format!("middleware.storage[{index}]");
                found.mistakes.push(Diagnostic::new(origin, path, message));
            }
        }
    }
}
