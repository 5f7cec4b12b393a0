//! The section `redis`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::Secret;
use super::values::GoDuration;

/// The address and the credentials of a redis server. Keys outside `SERVED` have no effect and cause a
/// warning.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// One server, or the members of a cluster, or the sentinels.
    #[serde(default)]
    pub addrs: Vec<String>,
    /// The name of the connection.
    pub clientname: Option<String>,
    /// The number of the database.
    pub db: Option<i64>,
    /// The version of the protocol.
    pub protocol: Option<i64>,
    /// The user name.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret<String>>,
    /// The user name at the sentinels.
    pub sentinelusername: Option<String>,
    /// The password at the sentinels.
    pub sentinelpassword: Option<Secret<String>>,
    /// The name of the master at the sentinels.
    pub mastername: Option<String>,
    /// How often to repeat a failed command.
    pub maxretries: Option<i64>,
    /// The shortest pause before a repetition.
    #[serde(default, deserialize_with = "some_duration")]
    pub minretrybackoff: Option<Duration>,
    /// The longest pause before a repetition.
    #[serde(default, deserialize_with = "some_duration")]
    pub maxretrybackoff: Option<Duration>,
    /// The timeout for connecting.
    #[serde(default, deserialize_with = "some_duration")]
    pub dialtimeout: Option<Duration>,
    /// The timeout for reads.
    #[serde(default, deserialize_with = "some_duration")]
    pub readtimeout: Option<Duration>,
    /// The timeout for writes.
    #[serde(default, deserialize_with = "some_duration")]
    pub writetimeout: Option<Duration>,
    /// Whether deadlines of requests apply to commands.
    pub contexttimeoutenabled: Option<bool>,
    /// Whether the pool returns the oldest connection first.
    pub poolfifo: Option<bool>,
    /// The size of the pool.
    pub poolsize: Option<i64>,
    /// How long to wait for a connection.
    #[serde(default, deserialize_with = "some_duration")]
    pub pooltimeout: Option<Duration>,
    /// The minimum number of idle connections.
    pub minidleconns: Option<i64>,
    /// The maximum number of idle connections.
    pub maxidleconns: Option<i64>,
    /// The maximum number of active connections.
    pub maxactiveconns: Option<i64>,
    /// How long a connection may be idle.
    #[serde(default, deserialize_with = "some_duration")]
    pub connmaxidletime: Option<Duration>,
    /// The maximum age of a connection.
    #[serde(default, deserialize_with = "some_duration")]
    pub connmaxlifetime: Option<Duration>,
    /// The maximum number of redirects in a cluster.
    pub maxredirects: Option<i64>,
    /// Whether to read from replicas.
    pub readonly: Option<bool>,
    /// Whether to read from the nearest node.
    pub routebylatency: Option<bool>,
    /// Whether to read from a random node.
    pub routerandomly: Option<bool>,
    /// Whether the client omits its library name and version.
    pub disableidentity: Option<bool>,
    /// The suffix of the client's name.
    pub identitysuffix: Option<String>,
    /// Whether to accept unstable answers of protocol 3.
    pub unstableresp3: Option<bool>,
    /// Certificates.
    pub tls: Option<RedisTls>,
}

impl RedisConfig {
    /// The keys that have an effect.
    pub(crate) const SERVED: &[&str] =
        &["addrs", "db", "dialtimeout", "password", "protocol", "readtimeout", "tls", "username"];

    /// The address, if there is exactly one.
    pub fn server(&self) -> Option<&str> {
        match &*self.addrs {
            [address] if self.mastername.is_none() => Some(address),
            _ => None,
        }
    }
}

/// `redis.tls`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RedisTls {
    /// The client's certificate.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Authorities that may sign the server's certificate.
    #[serde(default)]
    pub rootcas: Vec<PathBuf>,
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let duration = Option::<GoDuration>::deserialize(deserializer)?;
    Ok(duration.map(|duration| duration.0))
}
