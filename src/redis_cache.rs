//! Descriptors of manifests in a Redis server, under Distribution's keys: `storage.cache.blobdescriptor: redis`.
//!
//! An entry is the hash `blobs::<digest>` with the fields `digest`, `size` and `mediatype`, and expires. The set of a
//! repository's digests, which Distribution takes for proof that a blob is there, is neither written nor read: existence is
//! asked of the store.
//!
//! A server that is away costs nothing but one short wait now and then; the store is asked instead.

use std::fmt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    RedisError, TlsCertificates,
};
use sampan_engine::oci::{Digest, MediaType};
use sampan_engine::{CachedDescriptor, DescriptorCache};
use tokio::time::Instant;

/// How a Redis server is reached.
#[derive(Clone, Default)]
pub struct RedisSettings {
    /// `host:port`, or the path of a socket.
    pub address: String,
    /// The account, if it is not the default one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// The number of the database.
    pub database: i64,
    /// Whether version 3 of the protocol is spoken.
    pub resp3: bool,
    /// How long connecting may take.
    pub connect_timeout: Option<Duration>,
    /// How long an answer may take.
    pub response_timeout: Option<Duration>,
    /// With TLS: the client's certificate and key, and whom it trusts instead of the system's authorities.
    pub tls: Option<RedisTlsSettings>,
}

/// The files of a TLS connection, all in PEM.
#[derive(Clone, Debug, Default)]
pub struct RedisTlsSettings {
    /// The client's certificate, with its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Authorities that may sign the server's certificate.
    pub authorities: Vec<PathBuf>,
}

/// Why a Redis server cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum RedisSetupError {
    /// An address that is none.
    #[error("redis.addrs: expected `host:port` or the path of a socket, found `{0}`")]
    Address(String),
    /// A file that cannot be read.
    #[error("redis.tls: {} cannot be read", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Settings that the client refuses.
    #[error("redis")]
    Client(#[from] RedisError),
}

/// Descriptors in a Redis server.
pub struct RedisDescriptors {
    address: String,
    connection: ConnectionManager,
    /// When it failed last. A plain mutex: it is held to copy, never across an await.
    resting: Mutex<Option<Instant>>,
    seconds: HistogramVec,
    failures: AtomicU64,
}

/// How long an entry is kept after it was last seen.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a server that failed is left alone.
const REST: Duration = Duration::from_secs(5);

/// How long connecting and an answer may take when nothing is configured: a client waits for it.
const PATIENCE: Duration = Duration::from_millis(500);

impl RedisDescriptors {
    /// A cache in that server, which is connected to when it is first asked.
    ///
    /// # Errors
    ///
    /// When the settings cannot be right; not when the server is away.
    pub async fn new(settings: &RedisSettings) -> Result<Self, RedisSetupError> {
        let client = client(settings).await?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(settings.connect_timeout.unwrap_or(PATIENCE)))
            .set_response_timeout(Some(settings.response_timeout.unwrap_or(PATIENCE)))
            .set_number_of_retries(0);
        let options = HistogramOpts::new(
            "registry_storage_cache_redis_seconds",
            "The number of seconds that the Redis server takes.",
        );
        Ok(Self {
            address: settings.address.clone(),
            connection: ConnectionManager::new_lazy_with_config(client, config)?,
            resting: Mutex::new(None),
            seconds: HistogramVec::new(options, &["operation"]).map_err(|error| {
                RedisError::from((redis::ErrorKind::InvalidClientConfig, "metrics", error.to_string()))
            })?,
            failures: AtomicU64::new(0),
        })
    }

    /// Asks whether the server is there, so that one that is not is told before a client needs it.
    pub async fn greet(&self) {
        let mut question = redis::pipe();
        question.cmd("PING").ignore();
        let _: Option<()> = self.ask("ping", &question).await;
    }

    /// How long the server takes, for the page of metrics.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.seconds.clone())
    }

    /// How often the server failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Asks the server, unless it failed a moment ago.
    async fn ask<T: redis::FromRedisValue>(
        &self,
        operation: &'static str,
        question: &redis::Pipeline,
    ) -> Option<T> {
        let resting = *self.resting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if resting.is_some_and(|since| since.elapsed() < REST) {
            return None;
        }
        let timer = self.seconds.with_label_values(&[operation]).start_timer();
        let answer = question.query_async(&mut self.connection.clone()).await;
        timer.observe_duration();
        let now_resting = answer.is_err().then(Instant::now);
        *self.resting.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = now_resting;
        match answer {
            Ok(answer) => {
                if resting.is_some() {
                    tracing::info!(address = self.address, "the Redis server answers again");
                }
                Some(answer)
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if resting.is_none() {
                    tracing::warn!(
                        address = self.address,
                        %error,
                        "the Redis server cannot be used; the store is asked instead, until it can"
                    );
                }
                None
            }
        }
    }
}

#[async_trait]
impl DescriptorCache for RedisDescriptors {
    async fn get(&self, digest: &Digest) -> Option<CachedDescriptor> {
        let mut question = redis::pipe();
        question.cmd("HMGET").arg(key(digest)).arg(&["digest", "size", "mediatype"]);
        let (fields,): ((Option<String>, Option<String>, Option<String>),) =
            self.ask("get", &question).await?;
        descriptor(digest, fields)
    }

    async fn put(&self, digest: &Digest, descriptor: CachedDescriptor) {
        let key = key(digest);
        let mut question = redis::pipe();
        question
            .cmd("HSET")
            .arg(&key)
            .arg(&["digest", &digest.to_string()])
            .arg(&["size", &descriptor.size_bytes.to_string()])
            .arg(&["mediatype", descriptor.media_type.as_str()])
            .ignore();
        question.cmd("EXPIRE").arg(&key).arg(KEPT.as_secs()).ignore();
        let _: Option<()> = self.ask("put", &question).await;
    }
}

impl fmt::Debug for RedisDescriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisDescriptors").field("failures", &self.failures).finish_non_exhaustive()
    }
}

fn key(digest: &Digest) -> String {
    format!("blobs::{digest}")
}

/// What an entry says, if it is about a manifest and whole. Distribution keeps entries about blobs there, too.
fn descriptor(
    digest: &Digest,
    (named, size, media_type): (Option<String>, Option<String>, Option<String>),
) -> Option<CachedDescriptor> {
    if named? != digest.to_string() {
        return None;
    }
    let media_type = MediaType::named(&media_type?)?;
    Some(CachedDescriptor { media_type, size_bytes: size?.parse().ok()? })
}

async fn client(settings: &RedisSettings) -> Result<Client, RedisSetupError> {
    let mut redis = RedisConnectionInfo::default().set_db(settings.database);
    if let Some(username) = &settings.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = &settings.password {
        redis = redis.set_password(password);
    }
    if settings.resp3 {
        redis = redis.set_protocol(ProtocolVersion::RESP3);
    }
    let address = address(&settings.address, settings.tls.is_some())?;
    let info = address.into_connection_info()?.set_redis_settings(redis);
    let Some(tls) = &settings.tls else { return Ok(Client::open(info)?) };

    let client_tls = match &tls.client {
        None => None,
        Some((certificate, key)) => {
            Some(ClientTlsConfig { client_cert: read(certificate).await?, client_key: read(key).await? })
        }
    };
    let mut authorities = Vec::new();
    for path in &tls.authorities {
        authorities.extend(read(path).await?);
        authorities.push(b'\n');
    }
    let root_cert = (!authorities.is_empty()).then_some(authorities);
    Ok(Client::build_with_tls(info, TlsCertificates { client_tls, root_cert })?)
}

fn address(text: &str, tls: bool) -> Result<ConnectionAddr, RedisSetupError> {
    if text.starts_with('/') {
        return Ok(ConnectionAddr::Unix(text.into()));
    }
    let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = parts.filter(|(host, _)| !host.is_empty()) else {
        return Err(RedisSetupError::Address(text.to_owned()));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(match tls {
        true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        false => ConnectionAddr::Tcp(host, port),
    })
}

async fn read(path: &PathBuf) -> Result<Vec<u8>, RedisSetupError> {
    tokio::fs::read(path).await.map_err(|source| RedisSetupError::File { path: path.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_entry_about_a_manifest_is_believed() {
        let digest = Digest::sha256_of(b"manifest");
        let entry = |named: &str, size: &str, media_type: &str| {
            descriptor(&digest, (Some(named.to_owned()), Some(size.to_owned()), Some(media_type.to_owned())))
        };
        let (named, index) = (digest.to_string(), "application/vnd.oci.image.index.v1+json");
        let media_type = MediaType::named(index).unwrap();
        assert_eq!(entry(&named, "7", index), Some(CachedDescriptor { media_type, size_bytes: 7 }));
        assert_eq!(entry(&Digest::sha256_of(b"other").to_string(), "7", index), None);
        assert_eq!(entry(&named, "-7", index), None);
        assert_eq!(entry(&named, "7", "application/octet-stream"), None);
        assert_eq!(descriptor(&digest, (None, None, None)), None);
    }

    #[test]
    fn an_address_has_a_host_and_a_port_or_is_a_socket() {
        assert_eq!(address("redis:6379", false).unwrap(), ConnectionAddr::Tcp("redis".to_owned(), 6379));
        assert_eq!(address("[::1]:6379", false).unwrap(), ConnectionAddr::Tcp("::1".to_owned(), 6379));
        assert_eq!(
            address("/run/redis.sock", false).unwrap(),
            ConnectionAddr::Unix("/run/redis.sock".into())
        );
        for text in ["", "redis", ":6379", "redis:port"] {
            assert!(address(text, true).is_err(), "{text}");
        }
    }
}
