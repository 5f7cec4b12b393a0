//! `RedisDescriptors`: manifest descriptors in a Redis server, under Distribution's keys
//! (`storage.cache.blobdescriptor: redis`).
//!
//! An entry is the hash `blobs::<digest>` with the fields `digest`, `size` and `mediatype`, and expires. The
//! set of a repository's digests, which Distribution accepts as proof that a blob exists, is neither written
//! nor read: only the store decides that.
//!
//! An unavailable server costs one short wait now and then; the registry reads the store instead.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ClientTlsConfig, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    RedisError, TlsCertificates,
};
use sampan_config::RedisConfig;
use sampan_engine::oci::{Digest, MediaType};
use sampan_engine::{CachedDescriptor, DescriptorCache};
use tokio::time::Instant;

/// Why a Redis server is not usable at all.
#[derive(Debug, thiserror::Error)]
pub enum RedisSetupError {
    /// The address is not valid.
    #[error("redis.addrs: expected `host:port` or the path of a socket, found `{0}`")]
    Address(String),
    /// A file is not readable.
    #[error("redis.tls: cannot read {}", .path.display())]
    File {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Settings that the client refuses.
    #[error("redis")]
    Client(#[from] RedisError),
}

/// A descriptor cache in a Redis server.
pub struct RedisDescriptors {
    address: String,
    connection: ConnectionManager,
    /// The time of the last failure. A plain mutex: held to copy, never across an await.
    resting: Mutex<Option<Instant>>,
    seconds: HistogramVec,
    failures: AtomicU64,
}

/// How long an entry lives after its last use.
const ENTRY_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to avoid a server after a failure.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

/// The default timeout of connecting and of a response: a client waits for it.
const DEFAULT_TIMEOUT: Duration = Duration::from_millis(500);

impl RedisDescriptors {
    /// Creates a cache on `server`, the address in `settings`; it connects at the first use.
    ///
    /// # Errors
    ///
    /// The settings are not valid. An unavailable server is not an error.
    pub async fn new(server: &str, settings: &RedisConfig) -> Result<Self, RedisSetupError> {
        let client = client(server, settings).await?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(settings.dialtimeout.unwrap_or(DEFAULT_TIMEOUT)))
            .set_response_timeout(Some(settings.readtimeout.unwrap_or(DEFAULT_TIMEOUT)))
            .set_number_of_retries(0);
        let options = HistogramOpts::new(
            "registry_storage_cache_redis_seconds",
            "The number of seconds that the Redis server takes.",
        );
        Ok(Self {
            address: server.to_owned(),
            connection: ConnectionManager::new_lazy_with_config(client, config)?,
            resting: Mutex::new(None),
            seconds: HistogramVec::new(options, &["operation"]).map_err(|error| {
                RedisError::from((redis::ErrorKind::InvalidClientConfig, "metrics", error.to_string()))
            })?,
            failures: AtomicU64::new(0),
        })
    }

    /// Pings the server, so that an unavailable one shows in the log before a client needs it.
    pub async fn ping(&self) {
        let mut question = redis::pipe();
        question.cmd("PING").ignore();
        let _: Option<()> = self.ask("ping", &question).await;
    }

    /// The response times, for the metrics page.
    pub fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.seconds.clone())
    }

    /// The number of failures.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Sends a command, unless the server failed a moment ago.
    async fn ask<T: redis::FromRedisValue>(
        &self,
        operation: &'static str,
        question: &redis::Pipeline,
    ) -> Option<T> {
        let resting = *self.resting.lock();
        if resting.is_some_and(|since| since.elapsed() < FAILURE_PAUSE) {
            return None;
        }
        let timer = self.seconds.with_label_values(&[operation]).start_timer();
        let answer = question.query_async(&mut self.connection.clone()).await;
        timer.observe_duration();
        let now_resting = answer.is_err().then(Instant::now);
        *self.resting.lock() = now_resting;
        match answer {
            Ok(answer) => {
                if resting.is_some() {
                    tracing::info!(address = self.address, "the Redis server responds again");
                }
                Some(answer)
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if resting.is_none() {
                    tracing::warn!(
                        address = self.address,
                        %error,
                        "the Redis server is not usable; reading the store instead until it is"
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
        question.cmd("EXPIRE").arg(&key).arg(ENTRY_TTL.as_secs()).ignore();
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

/// Parses an entry; `None` unless it is complete and about a manifest. Distribution keeps entries about blobs
/// there too.
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

async fn client(server: &str, settings: &RedisConfig) -> Result<Client, RedisSetupError> {
    let mut redis = RedisConnectionInfo::default().set_db(settings.db.unwrap_or(0));
    if let Some(username) = settings.username.as_ref().filter(|username| !username.is_empty()) {
        redis = redis.set_username(username);
    }
    if let Some(password) = &settings.password {
        redis = redis.set_password(password.expose());
    }
    if settings.protocol == Some(3) {
        redis = redis.set_protocol(ProtocolVersion::RESP3);
    }
    let info = address(server, settings.tls.is_some())?.into_connection_info()?.set_redis_settings(redis);
    let Some(tls) = &settings.tls else { return Ok(Client::open(info)?) };

    let client_tls = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            Some(ClientTlsConfig { client_cert: read(certificate).await?, client_key: read(key).await? })
        }
        _ => None,
    };
    let mut authorities = Vec::new();
    for path in &tls.rootcas {
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
    fn only_a_complete_entry_about_a_manifest_is_used() {
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
    fn an_address_is_host_and_port_or_a_socket() {
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
