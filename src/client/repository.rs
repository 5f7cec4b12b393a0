//! `RepositoryClient`: a repository, through its registry's API.

use http::Method;
use sampan_engine::oci::RepositoryName;

use crate::auth::Scope;
use crate::connection::{Call, Connection};
use crate::registry::RegistryClient;
use crate::retry::{Attempts, RetryPolicy};

/// A repository of a registry. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RepositoryClient {
    registry: RegistryClient,
    name: RepositoryName,
    /// `None`: the registry's.
    retry: Option<RetryPolicy>,
}

impl RepositoryClient {
    pub(crate) fn new(registry: RegistryClient, name: RepositoryName) -> Self {
        Self { registry, name, retry: None }
    }

    /// The registry.
    pub fn registry(&self) -> &RegistryClient {
        &self.registry
    }

    /// The repository's name.
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// The same repository, whose requests are repeated by another policy than the registry's.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.registry.connection
    }

    /// A request to read below the repository.
    pub(crate) fn read(&self, method: Method, path: &str) -> Call {
        Call::to(method, format!("{}/{path}", self.name), Scope::pull(&self.name)).retried(self.retry)
    }

    /// The attempts of a request.
    pub(crate) fn attempts(&self) -> Attempts {
        self.connection().attempts(self.retry)
    }

    /// A request to write below the repository.
    pub(crate) fn write(&self, method: Method, path: &str) -> Call {
        Call::to(method, format!("{}/{path}", self.name), Scope::push(&self.name))
    }

    /// A request to delete below the repository.
    pub(crate) fn delete(&self, path: &str) -> Call {
        Call::to(Method::DELETE, format!("{}/{path}", self.name), Scope::delete(&self.name))
    }
}
