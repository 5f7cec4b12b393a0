//! The section `azure`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::azure::{AzureCredentialProvider, MicrosoftAzureBuilder, split_sas};
use object_store::client::HttpClient;
use sampan_driver::{BuildError, DriverConfig, StorageDriver, StoreAccess};
use serde::Deserialize;
use url::Url;

use super::clients::{ClientKind, Connection};
use super::endpoint::has_user_info;
use super::open::{Plan, clients, http_client, keys, required, unusable};
use super::values::{self, Secret};
use crate::azure::{AzureAccount, SharedKey};
use crate::client::Client;
use crate::options::{DeletionOptions, Options, PartOptions};
use crate::requests::ObservedConnector;

/// The section `azure`: Azure Blob Storage.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the keys are documented in docs/object-stores.md, for those who write them")]
pub struct AzureConfig {
    #[serde(deserialize_with = "values::text")]
    pub accountname: Option<String>,
    #[serde(deserialize_with = "values::secret")]
    pub accountkey: Option<Secret>,
    #[serde(deserialize_with = "values::text")]
    pub container: Option<String>,
    #[serde(deserialize_with = "values::secret")]
    pub connectionstring: Option<Secret>,
    #[serde(deserialize_with = "values::text")]
    pub realm: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub serviceurl: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub rootdirectory: Option<String>,
    pub credentials: Option<AzureCredentials>,
    #[serde(deserialize_with = "values::number")]
    pub max_retries: Option<u64>,
    #[serde(deserialize_with = "values::duration")]
    pub retry_delay: Option<Duration>,
    #[serde(deserialize_with = "values::flag")]
    pub skipverify: Option<bool>,
    #[serde(deserialize_with = "values::text")]
    pub cafile: Option<String>,
    #[serde(deserialize_with = "values::duration")]
    pub redirectexpiry: Option<Duration>,
    #[serde(deserialize_with = "values::number")]
    pub uploadbuffer: Option<u64>,
}

/// The mapping `credentials` of the section.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the keys are documented in docs/object-stores.md, for those who write them")]
pub struct AzureCredentials {
    #[serde(rename = "type", deserialize_with = "values::text")]
    pub kind: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub clientid: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub tenantid: Option<String>,
    #[serde(deserialize_with = "values::secret")]
    pub secret: Option<Secret>,
}

#[async_trait]
impl DriverConfig for AzureConfig {
    const NAME: &'static str = "azure";

    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.plan()?.open(StoreAccess::ReadWrite).await
    }

    async fn build_read_only(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.plan()?.open(StoreAccess::ReadOnly).await
    }

    fn check(&self, _: StoreAccess) -> Result<(), BuildError> {
        self.clone().plan().map(drop)
    }
}

/// The credentials, and the place of the blobs.
struct Account {
    name: String,
    url: String,
    access: Access,
}

enum Access {
    Key(String),
    Sas(String),
    Client {
        id: String,
        tenant: String,
        secret: String,
    },
    /// The values that the environment and the machine provide.
    Ambient,
}

impl Account {
    fn signing(&self, container: &str, http: HttpClient) -> Result<AzureAccount, BuildError> {
        let key = match &self.access {
            Access::Key(key) => SharedKey::parse(key),
            _ => None,
        };
        let container = Url::parse(&format!("{}/{container}", self.url)).map_err(|error| {
            BuildError::new(format!("storage.azure: {}/{container} is not a valid URL", self.url))
                .with_source(error)
        })?;
        Ok(AzureAccount { name: self.name.clone(), container, key, http })
    }
}

impl AzureConfig {
    /// Resolves the section, without a request to the store.
    fn plan(self) -> Result<Plan, BuildError> {
        let container = required(SECTION, "container", self.container.clone())?;
        let account = self.account()?;
        let connection = Connection {
            section: SECTION,
            allow_http: account.url.starts_with("http://"),
            skip_verify: self.skipverify.unwrap_or(false),
            ca_file: self.cafile.clone(),
            user_agent: None,
            max_retries: Some(self.max_retries.unwrap_or(5)),
            retry_delay: self.retry_delay,
        };
        let watch = ObservedConnector::default();
        let mut credentials: Option<AzureCredentialProvider> = None;
        let clients = clients(|purpose: ClientKind| {
            let builder = match &account.access {
                Access::Ambient => MicrosoftAzureBuilder::from_env(),
                _ => MicrosoftAzureBuilder::new(),
            };
            let builder = builder
                .with_account(&account.name)
                .with_container_name(&container)
                .with_endpoint(account.url.clone())
                .with_allow_http(connection.allow_http)
                .with_client_options(connection.options(purpose)?)
                .with_retry(connection.retries(purpose))
                .with_http_connector(watch.clone());
            let builder = match (&credentials, &account.access) {
                (Some(shared), _) => builder.with_credentials(shared.clone()),
                (None, Access::Key(key)) => builder.with_access_key(key),
                (None, Access::Sas(token)) => builder
                    .with_sas_authorization(split_sas(token).map_err(|error| unusable(SECTION, error))?),
                (None, Access::Client { id, tenant, secret }) => {
                    builder.with_client_secret_authorization(id, secret, tenant)
                }
                (None, Access::Ambient) => builder,
            };
            let store = builder.build().map_err(|error| unusable(SECTION, error))?;
            credentials = Some(store.credentials().clone());
            Ok(Client::Azure(store))
        })?;
        // A signature cannot create another one.
        let signs = !matches!(account.access, Access::Sas(_));
        let defaults = Options::default();
        Ok(Plan {
            section: SECTION,
            keys: keys(SECTION, self.rootdirectory.as_deref())?,
            options: Options {
                parts: PartOptions {
                    max_size: 4000 << 20,
                    max_count: 50_000,
                    buffer: self.uploadbuffer.unwrap_or(defaults.parts.buffer),
                    at_target: false,
                    ..defaults.parts
                },
                deletions: DeletionOptions { keys: 256, requests: 4 },
                redirect_expiry: self.redirectexpiry.unwrap_or(defaults.redirect_expiry),
                ..defaults
            },
            redirect: signs,
            clients,
            public: None,
            raw: None,
            azure: signs
                .then(|| account.signing(&container, http_client(&connection, &watch)?))
                .transpose()?,
        })
    }

    fn account(&self) -> Result<Account, BuildError> {
        if let Some(text) = &self.connectionstring {
            return self.account_of_string(text.expose());
        }
        let name = required(SECTION, "accountname", self.accountname.clone())?;
        let url = match &self.serviceurl {
            Some(url) if has_user_info(url) => {
                return Err(BuildError::new(
                    "storage.azure.serviceurl must not have a user or password, which messages would show: use `accountkey`",
                ));
            }
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("https://{name}.blob.{}", self.realm.as_deref().unwrap_or(REALM)),
        };
        Ok(Account { access: self.access()?, name, url })
    }

    fn access(&self) -> Result<Access, BuildError> {
        let key = || self.accountkey.as_ref().map(|key| Access::Key(key.expose().to_owned()));
        let none = AzureCredentials::default();
        let credentials = self.credentials.as_ref().unwrap_or(&none);
        match credentials.kind.as_deref() {
            None => Ok(key().unwrap_or(Access::Ambient)),
            Some("shared_key") => key().ok_or_else(|| {
                BuildError::new("storage.azure.credentials.type is shared_key, which needs accountkey")
            }),
            Some("default_credentials") => Ok(Access::Ambient),
            Some("client_secret") => {
                match (&credentials.clientid, &credentials.tenantid, &credentials.secret) {
                    (Some(id), Some(tenant), Some(secret)) => Ok(Access::Client {
                        id: id.clone(),
                        tenant: tenant.clone(),
                        secret: secret.expose().to_owned(),
                    }),
                    _ => Err(BuildError::new(
                        "storage.azure.credentials.type is client_secret, which needs clientid, tenantid and secret",
                    )),
                }
            }
            Some(kind) => Err(BuildError::new(format!(
                "storage.azure.credentials.type is {kind:?}, but it must be client_secret, shared_key or default_credentials"
            ))),
        }
    }

    fn account_of_string(&self, text: &str) -> Result<Account, BuildError> {
        let field = |name: &str| {
            text.split(';')
                .filter_map(|field| field.split_once('='))
                .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        let lacks = |what: &str| BuildError::new(format!("storage.azure.connectionstring has no {what}"));
        let endpoint = field("BlobEndpoint").map(|url| url.trim_end_matches('/').to_owned());
        let of_endpoint = |url: &String| url.split("://").nth(1)?.split('.').next().map(str::to_owned);
        let name = field("AccountName")
            .or_else(|| self.accountname.clone())
            .or_else(|| endpoint.as_ref().and_then(of_endpoint))
            .ok_or_else(|| lacks("AccountName"))?;
        let url = endpoint.unwrap_or_else(|| {
            let scheme = field("DefaultEndpointsProtocol").unwrap_or_else(|| "https".to_owned());
            let suffix = field("EndpointSuffix").unwrap_or_else(|| REALM.to_owned());
            format!("{scheme}://{name}.blob.{suffix}")
        });
        let access = match (field("AccountKey"), field("SharedAccessSignature")) {
            (Some(key), _) => Access::Key(key),
            (None, Some(token)) => Access::Sas(token),
            (None, None) => return Err(lacks("AccountKey and no SharedAccessSignature")),
        };
        Ok(Account { name, url, access })
    }
}

const SECTION: &str = "azure";

const REALM: &str = "core.windows.net";

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use hmac::{Hmac, KeyInit, Mac};
    use sampan_driver::RedirectRequest;
    use sha2::Sha256;

    use super::*;

    fn parse(text: &str) -> AzureConfig {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn accounts_are_found_where_they_are_written() {
        let account = parse(r#"{"accountname": "acc", "accountkey": "a2V5"}"#).account().unwrap();
        assert_eq!(account.url, "https://acc.blob.core.windows.net");
        assert!(matches!(account.access, Access::Key(_)));
        let text = r#"{"connectionstring": "DefaultEndpointsProtocol=http;AccountName=dev;AccountKey=a2V5==;BlobEndpoint=http://127.0.0.1:10000/dev;"}"#;
        let account = parse(text).account().unwrap();
        assert_eq!((account.name.as_str(), account.url.as_str()), ("dev", "http://127.0.0.1:10000/dev"));
        assert!(matches!(account.access, Access::Key(key) if key == "a2V5=="));
        let text = r#"{"connectionstring": "BlobEndpoint=https://acc.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x"}"#;
        let account = parse(text).account().unwrap();
        assert_eq!(
            (account.name.as_str(), account.url.as_str()),
            ("acc", "https://acc.blob.core.windows.net")
        );
        assert!(matches!(account.access, Access::Sas(_)));
        assert!(matches!(parse(r#"{"accountname": "acc"}"#).account().unwrap().access, Access::Ambient));
    }

    /// A start would make Azure refuse the URLs of a registry whose clock is ahead.
    #[tokio::test]
    async fn urls_of_a_key_have_no_start() {
        let path = "/a_b/c".parse().unwrap();
        for (account, resource) in [
            (r#""accountname": "acc", "accountkey": "a2V5""#, "/blob/acc/c/a_b/c"),
            (
                r#""connectionstring": "AccountName=dev;AccountKey=a2V5;BlobEndpoint=http://127.0.0.1:1/dev""#,
                "/blob/dev/c/a_b/c",
            ),
        ] {
            let (bucket, _) = parse(&format!(r#"{{"container": "c", {account}}}"#)).plan().unwrap().bucket();
            let url = bucket.redirect_url(&path, RedirectRequest::Get).await.unwrap().unwrap();
            let values: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
            assert!(!values.contains_key("st"), "{url}");
            let (version, expiry) = (&values["sv"], &values["se"]);
            let signed = format!("r\n\n{expiry}\n{resource}\n\n\n\n{version}\nb\n\n\n\n\n\n\n");
            let mut mac = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
            mac.update(signed.as_bytes());
            assert_eq!(
                BASE64_STANDARD.decode(&values["sig"]).unwrap(),
                mac.finalize().into_bytes()[..],
                "{url}"
            );
        }
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (text, expected) in [
            (r#"{}"#, "storage.azure.container"),
            (
                r#"{"container": "c", "accountname": "a", "serviceurl": "http://u:p@host"}"#,
                "must not have a user",
            ),
            (r#"{"container": "c"}"#, "storage.azure.accountname"),
            (r#"{"container": "c", "connectionstring": "AccountName=a"}"#, "AccountKey"),
            (
                r#"{"container": "c", "accountname": "a", "credentials": {"type": "client_secret"}}"#,
                "tenantid",
            ),
            (
                r#"{"container": "c", "accountname": "a", "credentials": {"type": "shared_key"}}"#,
                "accountkey",
            ),
            (r#"{"container": "c", "accountname": "a", "credentials": {"type": "magic"}}"#, "magic"),
        ] {
            let error = parse(text).plan().err().unwrap_or_else(|| panic!("{text} was accepted")).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
