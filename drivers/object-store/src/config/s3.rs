//! The sections `s3` and `s3aws`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredentialProvider};
use sampan_driver::{BuildError, DriverConfig, StorageDriver, StoreAccess};
use serde::Deserialize;

use super::clients::{ClientKind, Connection};
use super::endpoint::{BucketLocation, Endpoint};
use super::open::{Plan, clients, http_client, keys, required, unusable, within};
use super::profile::Profile;
use super::values::{self, Secret, variable};
use crate::bucket::Raw;
use crate::client::Client;
use crate::options::{CopyOptions, Options, PartOptions};
use crate::requests::ObservedConnector;

/// The section `s3`: AWS S3 and compatible stores.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs, reason = "the keys are documented in docs/object-stores.md, for those who write them")]
pub struct S3Config {
    #[serde(deserialize_with = "values::text")]
    pub accesskey: Option<String>,
    #[serde(deserialize_with = "values::secret")]
    pub secretkey: Option<Secret>,
    #[serde(deserialize_with = "values::text")]
    pub region: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub regionendpoint: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub redirectendpoint: Option<String>,
    #[serde(deserialize_with = "values::flag")]
    pub forcepathstyle: Option<bool>,
    #[serde(deserialize_with = "values::text")]
    pub bucket: Option<String>,
    #[serde(deserialize_with = "values::flag")]
    pub encrypt: Option<bool>,
    #[serde(deserialize_with = "values::text")]
    pub keyid: Option<String>,
    #[serde(deserialize_with = "values::flag")]
    pub secure: Option<bool>,
    #[serde(deserialize_with = "values::flag")]
    pub skipverify: Option<bool>,
    #[serde(deserialize_with = "values::flag")]
    pub v4auth: Option<bool>,
    #[serde(deserialize_with = "values::number")]
    pub chunksize: Option<u64>,
    #[serde(deserialize_with = "values::number")]
    pub multipartcopychunksize: Option<u64>,
    #[serde(deserialize_with = "values::number")]
    pub multipartcopymaxconcurrency: Option<u64>,
    #[serde(deserialize_with = "values::number")]
    pub multipartcopythresholdsize: Option<u64>,
    #[serde(deserialize_with = "values::text")]
    pub rootdirectory: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub storageclass: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub useragent: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub objectacl: Option<String>,
    #[serde(deserialize_with = "values::flag")]
    pub usedualstack: Option<bool>,
    #[serde(deserialize_with = "values::flag")]
    pub accelerate: Option<bool>,
    #[serde(deserialize_with = "values::flag")]
    pub usefipsendpoint: Option<bool>,
    #[serde(deserialize_with = "values::text")]
    pub loglevel: Option<String>,
    #[serde(deserialize_with = "values::text")]
    pub cafile: Option<String>,
    #[serde(deserialize_with = "values::duration")]
    pub redirectexpiry: Option<Duration>,
    #[serde(deserialize_with = "values::number")]
    pub uploadbuffer: Option<u64>,
}

#[async_trait]
impl DriverConfig for S3Config {
    const NAME: &'static str = "s3";

    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.plan(Self::NAME, variable)?.open(StoreAccess::ReadWrite).await
    }

    async fn build_read_only(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.plan(Self::NAME, variable)?.open(StoreAccess::ReadOnly).await
    }

    fn check(&self, _: StoreAccess) -> Result<(), BuildError> {
        self.clone().plan(Self::NAME, variable).map(drop)
    }
}

/// The section `s3aws`, Distribution's other name for `s3`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct S3AwsConfig(pub S3Config);

#[async_trait]
impl DriverConfig for S3AwsConfig {
    const NAME: &'static str = "s3aws";

    async fn build(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.0.plan(Self::NAME, variable)?.open(StoreAccess::ReadWrite).await
    }

    async fn build_read_only(self) -> Result<Arc<dyn StorageDriver>, BuildError> {
        self.0.plan(Self::NAME, variable)?.open(StoreAccess::ReadOnly).await
    }

    fn check(&self, _: StoreAccess) -> Result<(), BuildError> {
        self.0.clone().plan(Self::NAME, variable).map(drop)
    }
}

impl S3Config {
    /// Resolves the section, without a request to the store.
    fn plan(self, section: &'static str, env: impl Fn(&str) -> Option<String>) -> Result<Plan, BuildError> {
        self.refuse_what_cannot_be(section)?;
        let region = match (&self.region, &self.regionendpoint) {
            // Stores other than AWS mostly take any region.
            (None, Some(_)) => DEFAULT_REGION.to_owned(),
            (region, _) => required(section, "region", region.clone())?,
        };
        let bucket = required(section, "bucket", self.bucket.clone())?;
        let place = BucketLocation {
            section,
            region: &region,
            bucket: &bucket,
            endpoint: self.regionendpoint.as_deref(),
            path_style: self.forcepathstyle.unwrap_or(false),
            secure: self.secure.unwrap_or(true),
            dual_stack: self.usedualstack.unwrap_or(false),
            accelerate: self.accelerate.unwrap_or(false),
            fips: self.usefipsendpoint.unwrap_or(false),
        };
        let endpoint = place.resolve()?;
        let public = match self.redirectendpoint.as_deref() {
            Some(endpoint) => Some(BucketLocation { endpoint: Some(endpoint), ..place }.resolve()?),
            None => None,
        };
        let watch = ObservedConnector::new(None, self.logs_requests(section)?);
        let mut connection = Connection {
            section,
            allow_http: endpoint.is_plain_http(),
            skip_verify: self.skipverify.unwrap_or(false),
            ca_file: self.cafile.clone(),
            user_agent: self.useragent.clone(),
            ..Default::default()
        };
        let mut credentials: Option<AwsCredentialProvider> = None;
        let mut build = |endpoint: &Endpoint, connection: &Connection, purpose| {
            let builder = AmazonS3Builder::new()
                .with_region(&region)
                .with_bucket_name(&bucket)
                .with_endpoint(&endpoint.url)
                .with_virtual_hosted_style_request(endpoint.virtual_hosted)
                // Every reader hashes the bytes; TLS protects them on the way.
                .with_unsigned_payload(!endpoint.is_plain_http())
                .with_client_options(connection.options(purpose)?)
                .with_retry(connection.retries(purpose))
                .with_http_connector(watch.clone());
            let builder = match &credentials {
                Some(shared) => builder.with_credentials(shared.clone()),
                None => self.authorize(section, builder, &env)?,
            };
            let store =
                self.encrypted(section, builder)?.build().map_err(|error| unusable(section, error))?;
            credentials = Some(store.credentials().clone());
            Ok(store)
        };
        let clients = clients(|purpose| Ok(Client::S3(build(&endpoint, &connection, purpose)?)))?;
        let raw = Raw { http: http_client(&connection, &watch)?, bucket: bucket.clone() };
        let public = match public {
            Some(public) => {
                connection.allow_http |= public.is_plain_http();
                Some(Client::S3(build(&public, &connection, ClientKind::Control)?))
            }
            None => None,
        };
        Ok(Plan {
            section,
            keys: keys(section, self.rootdirectory.as_deref())?,
            options: self.options(section)?,
            redirect: true,
            clients,
            public,
            raw: Some(raw),
            azure: None,
        })
    }

    fn options(&self, section: &str) -> Result<Options, BuildError> {
        let defaults = Options::default();
        let limit = |key, value, default, range| within(section, key, value, default, range);
        let parts = PartOptions {
            size: limit("chunksize", self.chunksize, defaults.parts.size, MIN_PART..=MAX_PART)?,
            buffer: self.uploadbuffer.unwrap_or(defaults.parts.buffer),
            ..defaults.parts
        };
        let copies = CopyOptions {
            threshold: limit(
                "multipartcopythresholdsize",
                self.multipartcopythresholdsize,
                defaults.copies.threshold,
                0..=MAX_PART,
            )?,
            part: limit(
                "multipartcopychunksize",
                self.multipartcopychunksize,
                defaults.copies.part,
                MIN_PART..=MAX_PART,
            )?,
            concurrency: usize::try_from(
                limit(
                    "multipartcopymaxconcurrency",
                    self.multipartcopymaxconcurrency,
                    defaults.copies.concurrency as u64,
                    1..=u64::MAX,
                )?
                .min(MAX_COPIES),
            )
            .unwrap_or(defaults.copies.concurrency),
        };
        let storage_class = self.storageclass.as_deref().map(str::to_ascii_uppercase);
        let storage_class = match storage_class {
            Some(class) if ["STANDARD", "NONE"].contains(&class.as_str()) => None,
            Some(class) if !STORAGE_CLASSES.contains(&class.as_str()) => {
                return Err(BuildError::new(format!(
                    "storage.{section}.storageclass is {class:?}, but it must be NONE, STANDARD, {}",
                    STORAGE_CLASSES.join(", ")
                )));
            }
            class => class,
        };
        let redirect_expiry = self.redirectexpiry.unwrap_or(defaults.redirect_expiry);
        if !(Duration::from_secs(1)..=WEEK).contains(&redirect_expiry) {
            return Err(BuildError::new(format!(
                "storage.{section}.redirectexpiry is {redirect_expiry:?}, but signed URLs are good for a second to seven days"
            )));
        }
        Ok(Options { parts, copies, storage_class, redirect_expiry, ..defaults })
    }

    /// Refuses settings that Distribution has and this driver lacks.
    fn refuse_what_cannot_be(&self, section: &str) -> Result<(), BuildError> {
        let refuse = |problem: &str| Err(BuildError::new(format!("storage.{section}.{problem}")));
        if self.v4auth == Some(false) {
            return refuse("v4auth is false, but signatures of version 2 are not supported: remove the key");
        }
        if let Some(acl) = self.objectacl.as_deref().filter(|acl| *acl != "private") {
            return refuse(&format!(
                "objectacl is {acl:?}, but objects are always private: remove the key, and let the bucket's owner own its \
                 objects or write a bucket policy"
            ));
        }
        if self.keyid.is_some() && self.encrypt != Some(true) {
            return refuse(
                "keyid names a key for encryption, which is off: set encrypt: true, or remove the key",
            );
        }
        match (&self.accesskey, &self.secretkey) {
            (Some(_), None) => refuse("accesskey is given without secretkey"),
            (None, Some(_)) => refuse("secretkey is given without accesskey"),
            _ => Ok(()),
        }
    }

    /// Whether to log each request.
    fn logs_requests(&self, section: &str) -> Result<bool, BuildError> {
        match self.loglevel.as_deref().map(str::to_ascii_lowercase).as_deref() {
            // YAML takes `off` without quotes for a flag.
            None | Some("off" | "false") => Ok(false),
            Some("debug" | "debugwithrequestretries" | "debugwithrequesterrors") => Ok(true),
            Some(level) => Err(BuildError::new(format!(
                "storage.{section}.loglevel is {level:?}, but requests are logged without their signatures and bodies: set \
                 it to debug, debugwithrequestretries, debugwithrequesterrors or off"
            ))),
        }
    }

    fn encrypted(&self, section: &str, builder: AmazonS3Builder) -> Result<AmazonS3Builder, BuildError> {
        match (self.encrypt, &self.keyid) {
            (Some(true), Some(key)) => Ok(builder.with_sse_kms_encryption(key)),
            (Some(true), None) => {
                // The crate exports the name of this key only as text.
                let encryption: AmazonS3ConfigKey =
                    "aws_server_side_encryption".parse().map_err(|error| unusable(section, error))?;
                Ok(builder.with_config(encryption, "AES256"))
            }
            (_, None) => Ok(builder),
            (_, Some(_)) => Err(BuildError::new(format!("storage.{section}.keyid needs encrypt: true"))),
        }
    }

    /// The keys of the section, else those of the environment, the shared file, the container, the machine.
    fn authorize(
        &self,
        section: &str,
        builder: AmazonS3Builder,
        env: &impl Fn(&str) -> Option<String>,
    ) -> Result<AmazonS3Builder, BuildError> {
        if let (Some(id), Some(secret)) = (&self.accesskey, &self.secretkey) {
            return Ok(builder.with_access_key_id(id).with_secret_access_key(secret.expose()));
        }
        if let (Some(id), Some(secret)) = (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY")) {
            let builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            return Ok(match env("AWS_SESSION_TOKEN") {
                Some(token) => builder.with_token(token),
                None => builder,
            });
        }
        let web_identity = env("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() && env("AWS_ROLE_ARN").is_some();
        if !web_identity && let Some(profile) = Profile::find(env) {
            return Ok(builder.with_credentials(Arc::new(profile)));
        }
        if let Some(profile) = env("AWS_PROFILE").filter(|_| !web_identity) {
            return Err(BuildError::new(format!(
                "storage.{section}: AWS_PROFILE is {profile:?}, but the shared credentials file has no keys for it \
                 (profiles that name a role or single sign-on are not supported)"
            )));
        }
        Ok(FROM_ENVIRONMENT.iter().fold(builder, |builder, (name, key)| match env(name) {
            Some(value) => builder.with_config(*key, value),
            None => builder,
        }))
    }
}

/// The variables by which a cloud informs its containers and machines. The driver ignores all others: the rest is
/// configuration, which belongs to the file.
const FROM_ENVIRONMENT: [(&str, AmazonS3ConfigKey); 6] = [
    ("AWS_WEB_IDENTITY_TOKEN_FILE", AmazonS3ConfigKey::WebIdentityTokenFile),
    ("AWS_ROLE_ARN", AmazonS3ConfigKey::RoleArn),
    ("AWS_ROLE_SESSION_NAME", AmazonS3ConfigKey::RoleSessionName),
    ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", AmazonS3ConfigKey::ContainerCredentialsRelativeUri),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", AmazonS3ConfigKey::ContainerCredentialsFullUri),
    ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", AmazonS3ConfigKey::ContainerAuthorizationTokenFile),
];

/// The region in signatures for a store that has none.
const DEFAULT_REGION: &str = "us-east-1";

/// The most ranges of a file to copy at a time.
const MAX_COPIES: u64 = 1000;

const STORAGE_CLASSES: [&str; 8] = [
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
    "OUTPOSTS",
    "GLACIER",
    "DEEP_ARCHIVE",
];

const MIN_PART: u64 = 5 << 20;

const MAX_PART: u64 = 5 << 30;

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[cfg(test)]
#[path = "s3_tests.rs"]
mod tests;
