//! The repositories of a registry.

use http::Method;
use sampan_engine::oci::RepositoryName;
use serde::Deserialize;

use crate::auth::Scope;
use crate::connection::Call;
use crate::error::ClientError;
use crate::pages::pages;
use crate::registry::RegistryClient;

#[derive(Deserialize)]
struct Page {
    repositories: Option<Vec<String>>,
}

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
        let pages = pages::<Page>(&self.connection, call, &scope, None).await?;
        Ok(pages.map(|pages| {
            let texts = pages.into_iter().filter_map(|page| page.repositories).flatten();
            let mut names: Vec<RepositoryName> = texts.filter_map(|text| text.parse().ok()).collect();
            names.sort();
            names.dedup();
            names
        }))
    }
}
