//! The referrers of a manifest.

use http::Method;
use sampan_engine::oci::media_type::OCI_INDEX;
use sampan_engine::oci::{Descriptor, Digest};

use crate::auth::Scope;
use crate::error::{ClientError, Problem};
use crate::pages::list;
use crate::repository::RepositoryClient;

/// A manifest that is attached to another one, as the list describes it.
pub type Referrer = Descriptor;

impl RepositoryClient {
    /// The manifests that are attached to `subject`, sorted by digest; all of them, or those of one artifact type. Asks the
    /// referrers API, and where there is none, the fallback tag (OCI distribution-spec, "Listing Referrers").
    ///
    /// # Errors
    ///
    /// As every request; also a list beyond the limits, in a circle, or on another server.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>, ClientError> {
        let call = self.read(Method::GET, &format!("referrers/{subject}"));
        let scope = Scope::pull(self.name());
        let keep = Some::<Descriptor>;
        let listed = match list(self.connection(), call, &scope, Some(OCI_INDEX), "manifests", keep).await {
            // Registries without the API answer what they answer to any unknown path.
            Err(error)
                if matches!(error.problem(), Problem::Status { status: 400 | 405 | 406 | 501, .. }) =>
            {
                None
            }
            listed => listed?,
        };
        let mut referrers = match listed {
            Some(listed) => listed,
            None => self.fallback_referrers(subject).await?,
        };
        if let Some(wanted) = artifact_type {
            // The filter of the registry is optional.
            referrers.retain(|referrer| referrer.artifact_type.as_deref() == Some(wanted));
        }
        referrers.sort_by(|one, other| one.digest.cmp(&other.digest));
        referrers.dedup_by(|one, other| one.digest == other.digest);
        Ok(referrers)
    }
}
