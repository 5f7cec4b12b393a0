//! The section `redis`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::Secret;
use super::values::GoDuration;

/// How a redis server is reached. Its other keys have no effect, of which a warning tells.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// One server, or the members of a cluster, or the sentinels.
    #[serde(default)]
    pub addrs: Vec<String>,
    /// The name that the connection carries.
    pub clientname: Option<String>,
    /// The number of the database.
    pub db: Option<i64>,
    /// The version of the protocol.
    pub protocol: Option<i64>,
    /// The account.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<Secret<String>>,
    /// The account at the sentinels.
    pub sentinelusername: Option<String>,
    /// Its password.
    pub sentinelpassword: Option<Secret<String>>,
    /// The name that sentinels know the master by.
    pub mastername: Option<String>,
    /// How often a command is tried again.
    pub maxretries: Option<i64>,
    /// The shortest pause before that.
    #[serde(default, deserialize_with = "some_duration")]
    pub minretrybackoff: Option<Duration>,
    /// The longest pause before that.
    #[serde(default, deserialize_with = "some_duration")]
    pub maxretrybackoff: Option<Duration>,
    /// How long connecting may take.
    #[serde(default, deserialize_with = "some_duration")]
    pub dialtimeout: Option<Duration>,
    /// How long reading may take.
    #[serde(default, deserialize_with = "some_duration")]
    pub readtimeout: Option<Duration>,
    /// How long writing may take.
    #[serde(default, deserialize_with = "some_duration")]
    pub writetimeout: Option<Duration>,
    /// Whether deadlines of requests apply to commands.
    pub contexttimeoutenabled: Option<bool>,
    /// Whether the pool hands out the oldest connection.
    pub poolfifo: Option<bool>,
    /// How many connections the pool holds.
    pub poolsize: Option<i64>,
    /// How long to wait for one.
    #[serde(default, deserialize_with = "some_duration")]
    pub pooltimeout: Option<Duration>,
    /// The fewest that are kept.
    pub minidleconns: Option<i64>,
    /// The most that rest.
    pub maxidleconns: Option<i64>,
    /// The most that work.
    pub maxactiveconns: Option<i64>,
    /// How long one may rest.
    #[serde(default, deserialize_with = "some_duration")]
    pub connmaxidletime: Option<Duration>,
    /// How long one may live.
    #[serde(default, deserialize_with = "some_duration")]
    pub connmaxlifetime: Option<Duration>,
    /// How many redirects in a cluster are followed.
    pub maxredirects: Option<i64>,
    /// Whether replicas are read.
    pub readonly: Option<bool>,
    /// Whether the nearest is read.
    pub routebylatency: Option<bool>,
    /// Whether any is read.
    pub routerandomly: Option<bool>,
    /// Whether the client names itself.
    pub disableidentity: Option<bool>,
    /// What it adds to its name.
    pub identitysuffix: Option<String>,
    /// Whether unstable answers of protocol 3 are taken.
    pub unstableresp3: Option<bool>,
    /// Certificates.
    pub tls: Option<RedisTls>,
}

impl RedisConfig {
    /// The keys that mean something here.
    pub(crate) const SERVED: &[&str] =
        &["addrs", "db", "dialtimeout", "password", "protocol", "readtimeout", "tls", "username"];

    /// The one server, if it is one.
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
    /// Authorities that may sign the server's.
    #[serde(default)]
    pub rootcas: Vec<PathBuf>,
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let duration = Option::<GoDuration>::deserialize(deserializer)?;
    Ok(duration.map(|duration| duration.0))
}
