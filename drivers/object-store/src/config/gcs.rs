//! The section `gcs`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::gcp::{GcpCredentialProvider, GoogleCloudStorageBuilder};
use sampan_driver::{BuildError, DriverConfig, StorageDriver, StoreAccess};
use serde::Deserialize;

use super::clients::{ClientKind, Connection};
use super::open::{Plan, clients, keys, required, unusable, within};
use super::values::{self, variable};
use crate::client::Client;
use crate::options::{DeletionOptions, Options, PartOptions};
use crate::requests::ObservedConnector;

/// The section `gcs`: Google Cloud Storage.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the keys are documented in docs/object-stores.md, for those who write them")]
pub struct GcsConfig {
    #[serde(deserialize_with = "values::text")]
    pub bucket: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub keyfile: Option<String>,
    pub credentials: Option<serde_json::Value>,
    #[serde(deserialize_with = "values::text")]
    pub rootdirectory: Option<String>,
    #[serde(deserialize_with = "values::number")]
    pub chunksize: Option<u64>,
    #[serde(deserialize_with = "values::number")]
    pub maxconcurrency: Option<u64>,
    #[serde(deserialize_with = "values::text")]
    pub useragent: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub cafile: Option<String>,
    #[serde(deserialize_with = "values::duration")]
    pub redirectexpiry: Option<Duration>,
    #[serde(deserialize_with = "values::number")]
    pub uploadbuffer: Option<u64>,
}

impl std::fmt::Debug for GcsConfig {
    /// Without the credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GcsConfig")
            .field("bucket", &self.bucket)
            .field("keyfile", &self.keyfile)
            .field("rootdirectory", &self.rootdirectory)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl DriverConfig for GcsConfig {
    const NAME: &'static str = "gcs";

    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.plan(variable)?.open(StoreAccess::ReadWrite).await
    }

    async fn build_read_only(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.plan(variable)?.open(StoreAccess::ReadOnly).await
    }

    fn check(&self, _: StoreAccess) -> Result<(), BuildError> {
        self.clone().plan(variable).map(drop)
    }
}

impl GcsConfig {
    /// Resolves the section, without a request to the store.
    fn plan(self, env: impl Fn(&str) -> Option<String>) -> Result<Plan, BuildError> {
        let bucket = required(SECTION, "bucket", self.bucket.clone())?;
        let account = self.service_account()?;
        let concurrency = self.maxconcurrency.unwrap_or(50).max(25);
        let watch =
            ObservedConnector::new(Some(usize::try_from(concurrency).unwrap_or(usize::MAX >> 4)), false);
        let field = |name: &str| account.as_ref().and_then(|account| account.get(name)?.as_str());
        let connection = Connection {
            section: SECTION,
            // The key file names an emulator, which Google's never do.
            allow_http: field("gcs_base_url").is_some_and(|url| url.starts_with("http://")),
            ca_file: self.cafile.clone(),
            user_agent: self.useragent.clone(),
            ..Default::default()
        };
        let mut credentials: Option<GcpCredentialProvider> = None;
        let clients = clients(|purpose: ClientKind| {
            let mut builder = GoogleCloudStorageBuilder::new()
                .with_bucket_name(&bucket)
                .with_client_options(connection.options(purpose)?)
                .with_retry(connection.retries(purpose))
                .with_http_connector(watch.clone());
            if let Some(account) = &account {
                builder = builder.with_service_account_key(account.to_string());
            } else if let Some(shared) = &credentials {
                builder = builder.with_credentials(shared.clone());
            } else if let Some(file) = env(DEFAULT_CREDENTIALS) {
                builder = builder.with_application_credentials(file);
            }
            let store = builder.build().map_err(|error| unusable(SECTION, error))?;
            credentials = Some(store.credentials().clone());
            Ok(Client::Gcs(store))
        })?;
        Ok(Plan {
            section: SECTION,
            keys: keys(SECTION, self.rootdirectory.as_deref())?,
            options: self.options()?,
            // Without a private key, a service of Google's would sign each URL, with one call per pull.
            redirect: field("private_key").is_some_and(|key| !key.is_empty()),
            clients,
            public: None,
            raw: None,
            azure: None,
        })
    }

    fn options(&self) -> Result<Options, BuildError> {
        let defaults = Options::default();
        let size = within(SECTION, "chunksize", self.chunksize, 16 << 20, CHUNK_STEP..=(5 << 30))?;
        if !size.is_multiple_of(CHUNK_STEP) {
            return Err(BuildError::new(format!(
                "storage.gcs.chunksize is {size}, but it must be a multiple of {CHUNK_STEP}"
            )));
        }
        Ok(Options {
            parts: PartOptions {
                // Smaller chunks are those of Distribution's resumable uploads; parts must be larger.
                size: size.max(MIN_PART),
                buffer: self.uploadbuffer.unwrap_or(defaults.parts.buffer),
                ..defaults.parts
            },
            deletions: DeletionOptions { keys: 1, requests: 10 },
            redirect_expiry: self.redirectexpiry.unwrap_or(defaults.redirect_expiry),
            ..defaults
        })
    }

    /// The key of the service account, from the file or from the section itself.
    fn service_account(&self) -> Result<Option<serde_json::Value>, BuildError> {
        match (&self.keyfile, &self.credentials) {
            (Some(_), Some(_)) => {
                Err(BuildError::new("storage.gcs has both keyfile and credentials: remove one of the two"))
            }
            (Some(file), None) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    BuildError::new(format!("storage.gcs.keyfile {file} cannot be read")).with_source(error)
                })?;
                let account = serde_json::from_str(&text).map_err(|error| {
                    BuildError::new(format!("storage.gcs.keyfile {file} is no JSON")).with_source(error)
                })?;
                Ok(Some(account))
            }
            (None, Some(account)) if account.is_object() => Ok(Some(account.clone())),
            (None, Some(_)) => {
                Err(BuildError::new("storage.gcs.credentials is not a mapping with the fields of a key file"))
            }
            (None, None) => Ok(None),
        }
    }
}

const SECTION: &str = "gcs";

/// Names the file of credentials for a section without any, as for all programs that use Google's libraries.
const DEFAULT_CREDENTIALS: &str = "GOOGLE_APPLICATION_CREDENTIALS";

const CHUNK_STEP: u64 = 256 << 10;

const MIN_PART: u64 = 5 << 20;

#[cfg(test)]
mod tests {
    use sampan_driver::with_causes;

    use super::*;

    const EMULATOR: &str = r#"{"gcs_base_url": "http://127.0.0.1:1", "disable_oauth": true, "client_email": "",
                               "private_key": "", "private_key_id": ""}"#;

    fn plan(extra: &str) -> Result<Plan, BuildError> {
        let text = format!(r#"{{"bucket": "reg", "credentials": {EMULATOR}{extra}}}"#);
        serde_json::from_str::<GcsConfig>(&text).unwrap().plan(|_| None)
    }

    #[test]
    fn the_defaults_make_a_plan() {
        let plan = plan("").unwrap();
        assert_eq!(plan.options.parts.size, 16 << 20);
        assert!(!plan.redirect, "there is no private key to sign with");
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for (extra, expected) in [
            (r#", "chunksize": 262143"#, "storage.gcs.chunksize"),
            (r#", "chunksize": 5242881"#, "262144"),
            (r#", "keyfile": "x""#, "keyfile and credentials"),
        ] {
            let error = plan(extra).err().unwrap_or_else(|| panic!("{extra} was accepted")).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let config: GcsConfig = serde_json::from_str("{}").unwrap();
        assert!(config.plan(|_| None).err().unwrap().to_string().contains("storage.gcs.bucket"));
    }

    /// Distribution takes chunks from 256 KiB.
    #[test]
    fn chunks_that_are_too_small_for_parts_are_as_large_as_parts_must_be() {
        assert_eq!(plan(r#", "chunksize": 262144"#).unwrap().options.parts.size, 5 << 20);
        assert_eq!(plan(r#", "chunksize": 5505024"#).unwrap().options.parts.size, 5_505_024);
    }

    #[test]
    fn the_environment_names_the_credentials_of_a_section_without_any() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials.json");
        let env = |name: &str| {
            (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| file.to_str().unwrap().to_owned())
        };
        let plan = |config: &str| serde_json::from_str::<GcsConfig>(config).unwrap().plan(env);
        // A section with credentials does not read it.
        plan(&format!(r#"{{"bucket": "reg", "credentials": {EMULATOR}}}"#)).map(drop).unwrap();
        let missing = plan(r#"{"bucket": "reg"}"#).err().unwrap();
        assert!(with_causes(&missing).contains(file.to_str().unwrap()), "{}", with_causes(&missing));
        let user =
            r#"{"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "t"}"#;
        std::fs::write(&file, user).unwrap();
        assert!(!plan(r#"{"bucket": "reg"}"#).unwrap().redirect, "there is no private key to sign with");
    }
}
