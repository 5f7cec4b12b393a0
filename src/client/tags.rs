//! The tags of a repository.

use http::Method;
use sampan_engine::oci::Tag;

use crate::auth::Scope;
use crate::error::ClientError;
use crate::pages::list;
use crate::repository::RepositoryClient;

impl RepositoryClient {
    /// All tags, sorted; `None` if the repository does not exist. Leaves out names that are no tags: no request could
    /// contain them (OCI distribution-spec, "Listing Tags").
    ///
    /// # Errors
    ///
    /// As every request; also a list beyond the limits, in a circle, or on another server.
    pub async fn tags(&self) -> Result<Option<Vec<Tag>>, ClientError> {
        let call = self.read(Method::GET, "tags/list?n=1000");
        let scope = Scope::pull(self.name());
        let keep = |text: String| text.parse::<Tag>().ok();
        let tags = list(self.connection(), call, &scope, None, "tags", keep).await?;
        Ok(tags.map(|mut tags| {
            tags.sort();
            tags.dedup();
            tags
        }))
    }
}
