//! `RegistryClient`: a registry, through its API.

use std::sync::Arc;

use http::Method;
use sampan_engine::oci::RepositoryName;

use crate::address::RegistryAddress;
use crate::auth::Scope;
use crate::connection::{Call, Connection};
use crate::error::ClientError;
use crate::http_client::HttpClientError;
use crate::options::ClientOptions;
use crate::rate_limit::RateLimit;
use crate::repository::RepositoryClient;

/// A registry with a login. Clones share connections and tokens.
#[derive(Clone, Debug)]
pub struct RegistryClient {
    pub(crate) connection: Arc<Connection>,
    address: RegistryAddress,
}

impl RegistryClient {
    /// Creates a client. It sends nothing yet; it blocks to read certificates.
    ///
    /// # Errors
    ///
    /// A certificate of the options cannot be used.
    pub fn new(address: RegistryAddress, options: ClientOptions) -> Result<Self, HttpClientError> {
        let connection = Arc::new(Connection::new(address.clone(), options)?);
        Ok(Self { connection, address })
    }

    /// The registry's address.
    pub fn address(&self) -> &RegistryAddress {
        &self.address
    }

    /// How many pulls the registry still allows, as it said last; `None` if it never said.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.connection.rate_limit.get()
    }

    /// Checks that the registry speaks this API and accepts the login (OCI distribution-spec, "Determining Support").
    ///
    /// # Errors
    ///
    /// As every request; also a status other than 200.
    pub async fn ping(&self) -> Result<(), ClientError> {
        let answer = self.connection.call(&Call::to(Method::GET, "", Scope::default())).await?;
        match answer.status() {
            200 => Ok(()),
            _ => Err(self.connection.error(answer).await),
        }
    }

    /// A repository of the registry, whether or not it exists.
    pub fn repository(&self, name: RepositoryName) -> RepositoryClient {
        RepositoryClient::new(self.clone(), name)
    }
}
