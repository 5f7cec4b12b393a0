//! The last step of every section: makes a driver of clients and options.

use std::sync::Arc;

use object_store::client::{HttpClient, HttpConnector};
use sampan_driver::{BuildError, StorageDriver, StoreAccess, with_causes};

use super::clients::{ClientKind, Connection};
use crate::ObjectStoreDriver;
use crate::azure::AzureAccount;
use crate::bucket::{Bucket, Raw, budget};
use crate::client::Client;
use crate::conditional::Conditions;
use crate::in_flight::InFlightParts;
use crate::keys::Keys;
use crate::options::Options;
use crate::probe::{list_some, probe};
use crate::recent_misses::RecentMisses;
use crate::requests::ObservedConnector;

/// A section that was read and checked.
pub(crate) struct Plan {
    pub(crate) section: &'static str,
    pub(crate) keys: Keys,
    pub(crate) options: Options,
    pub(crate) redirect: bool,
    /// The clients for control, data, deletions and probe.
    pub(crate) clients: [Client; 4],
    /// The client that signs for the public address, if that differs.
    pub(crate) public: Option<Client>,
    pub(crate) raw: Option<Raw>,
    pub(crate) azure: Option<AzureAccount>,
}

impl Plan {
    /// Opens the store. A process that only reads writes nothing here, and ends no stale uploads later.
    pub(crate) async fn open(self, access: StoreAccess) -> Result<Arc<dyn StorageDriver>, BuildError> {
        let (bucket, probing) = self.bucket();
        match access {
            StoreAccess::ReadOnly => list_some(&bucket, &probing).await?,
            StoreAccess::ReadWrite => probe(&bucket, &probing).await?,
        }
        Ok(Arc::new(ObjectStoreDriver::new(bucket, access)))
    }

    /// The bucket, and the client for its probe. Sends no request.
    pub(crate) fn bucket(self) -> (Bucket, Client) {
        let [control, data, deletion, probing] = self.clients;
        let bucket = Bucket {
            name: self.section,
            control,
            data,
            deletion,
            public: self.public,
            raw: self.raw,
            azure: self.azure,
            keys: self.keys,
            budget: budget(self.options.parts.buffer),
            options: self.options,
            conditions: Conditions::unknown(probing.clone()),
            redirect: self.redirect,
            recent_misses: RecentMisses::default(),
            in_flight: InFlightParts::default(),
        };
        (bucket, probing)
    }
}

/// The keys under the root directory of a section.
pub(crate) fn keys(section: &str, root: Option<&str>) -> Result<Keys, BuildError> {
    Keys::new(root.unwrap_or_default()).map_err(|error| {
        BuildError::new(format!(
            "storage.{section}.rootdirectory makes no keys: it must have neither empty components nor `.` or `..`"
        ))
        .with_source(error)
    })
}

/// One client for each purpose.
pub(crate) fn clients(
    mut build: impl FnMut(ClientKind) -> Result<Client, BuildError>,
) -> Result<[Client; 4], BuildError> {
    Ok([
        build(ClientKind::Control)?,
        build(ClientKind::Data)?,
        build(ClientKind::Deletion)?,
        build(ClientKind::Probe)?,
    ])
}

/// An HTTP client for requests that this driver signs.
pub(crate) fn http_client(
    connection: &Connection,
    watch: &ObservedConnector,
) -> Result<HttpClient, BuildError> {
    let options = connection.options(ClientKind::Data)?;
    watch.connect(&options).map_err(|error| unusable(connection.section, error))
}

/// The error for a section that the `object_store` crate refuses.
pub(crate) fn unusable(section: &str, error: object_store::Error) -> BuildError {
    BuildError::new(format!("storage.{section} cannot be used as configured: {}", with_causes(&error)))
        .with_source(error)
}

/// Checks that a value is within a range.
pub(crate) fn within(
    section: &str,
    key: &str,
    value: Option<u64>,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, BuildError> {
    let value = value.unwrap_or(default);
    match range.contains(&value) {
        true => Ok(value),
        false => Err(BuildError::new(format!(
            "storage.{section}.{key} is {value}, but it must be from {} to {}",
            range.start(),
            range.end()
        ))),
    }
}

/// Requires a key.
pub(crate) fn required(section: &str, key: &str, value: Option<String>) -> Result<String, BuildError> {
    value.ok_or_else(|| BuildError::new(format!("storage.{section}.{key} is missing")))
}
