//! The tags of a repository.

use http::Method;
use sampan_engine::oci::Tag;
use serde::Deserialize;

use crate::auth::Scope;
use crate::error::ClientError;
use crate::pages::pages;
use crate::repository::RepositoryClient;

#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
}

impl RepositoryClient {
    /// All tags, sorted; `None` if the repository does not exist. Leaves out names that are no tags: no request could
    /// contain them (OCI distribution-spec, "Listing Tags").
    ///
    /// # Errors
    ///
    /// As every request; also a list beyond the limits, in a circle, or on another server.
    pub async fn tags(&self) -> Result<Option<Vec<Tag>>, ClientError> {
        let call = self.read(Method::GET, "tags/list?n=1000");
        let pages = pages::<Page>(self.connection(), call, &Scope::pull(self.name()), None).await?;
        Ok(pages.map(|pages| {
            let texts = pages.into_iter().filter_map(|page| page.tags).flatten();
            let mut tags: Vec<Tag> = texts.filter_map(|text| text.parse().ok()).collect();
            tags.sort();
            tags.dedup();
            tags
        }))
    }
}
