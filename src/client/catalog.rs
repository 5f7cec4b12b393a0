//! The repositories of a registry.

use http::Method;
use sampan_engine::oci::RepositoryName;

use crate::auth::Scope;
use crate::connection::Call;
use crate::error::ClientError;
use crate::pages::list;
use crate::registry::RegistryClient;

impl RegistryClient {
    /// All repositories that the login may list, sorted; `None` if the registry has no catalog, as Docker Hub. Leaves out
    /// names that are no names of repositories (Distribution, `docs/spec/api.md`, "Listing Repositories").
    ///
    /// # Errors
    ///
    /// As every request; also a list beyond the limits, in a circle, or on another server.
    pub async fn repositories(&self) -> Result<Option<Vec<RepositoryName>>, ClientError> {
        let scope = Scope::catalog();
        let call = Call::to(Method::GET, "_catalog?n=1000", scope.clone());
        let keep = |text: String| text.parse::<RepositoryName>().ok();
        let names = list(&self.connection, call, &scope, None, "repositories", keep).await?;
        Ok(names.map(|mut names| {
            names.sort();
            names.dedup();
            names
        }))
    }
}
