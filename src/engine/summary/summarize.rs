//! `Repository::summary`: makes a summary, or takes the one that was made before.

use std::sync::Arc;

use super::outline::Outline;
use super::{Gap, ImageKind, ImageSummary, config, index};
use crate::oci::{Digest, Manifest, ManifestProblem, Reference, media_type};
use crate::registry::Inner;
use crate::{Error, Repository, Result};

impl Repository {
    /// A summary of the manifest with this digest, from manifest and configuration.
    ///
    /// It emits no event and grants no lease. Content that is missing, damaged or hostile makes a summary that says so in its
    /// [`gaps`](ImageSummary::gaps). The registry keeps a summary whose gaps can never be closed, for this repository alone;
    /// for it the store only confirms that the repository has the manifest, so a child that was deleted later may still count.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`; any error of the store.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.summary", skip_all)]
    pub async fn summary(&self, digest: &Digest) -> Result<Arc<ImageSummary>> {
        let (_, canonical) = self.manifests().resolve(&Reference::Digest(digest.clone())).await?;
        let Inner { summaries, summary_limits, .. } = &*self.registry.inner;
        let key = (self.name.clone(), canonical.clone());
        if let Some(known) = summaries.get(&key) {
            return Ok(known);
        }
        // The semaphore is never closed.
        let _maker = summary_limits.makers.acquire().await.ok();
        // Another request may have made it meanwhile.
        if let Some(known) = summaries.get(&key) {
            return Ok(known);
        }
        let summary = Arc::new(self.summarize(&canonical).await?);
        if summary.is_final() {
            summaries.insert(&key, &summary);
        }
        Ok(summary)
    }

    async fn summarize(&self, canonical: &Digest) -> Result<ImageSummary> {
        let stored = match self.manifests().fetch(&Reference::Digest(canonical.clone())).await {
            Ok(stored) => stored,
            Err(Error::Corrupt(..)) => return Ok(ImageSummary::unknown(Gap::ManifestDamaged)),
            Err(error) => return Err(error),
        };
        let outline = |parsed: std::result::Result<Manifest, ManifestProblem>| match parsed {
            Ok(manifest) => Ok(Outline::of(&manifest)),
            Err(problem) => Err(config::text(&problem.to_string())),
        };
        match self.registry.inner.summary_limits.parse(stored.bytes, outline).await {
            Ok(Outline::Index(summary, family)) => index::summarize(self, summary, *family).await,
            Ok(Outline::Image(image)) => image.complete(self).await,
            Err(reason) => Ok(ImageSummary::unknown(Gap::ManifestUnreadable(reason))),
        }
    }
}

impl ImageSummary {
    fn unknown(gap: Gap) -> Self {
        Self { gaps: vec![gap], ..Self::empty() }
    }

    pub(super) fn empty() -> Self {
        Self {
            kind: ImageKind::Unknown,
            platforms: Vec::new(),
            artifact_type: None,
            size_bytes: 0,
            layers: 0,
            created: None,
            title: None,
            version: None,
            gaps: Vec::new(),
        }
    }
}

impl ImageKind {
    /// The kind of a manifest that is no index. Signatures and attestations may have the configuration of an image, but none
    /// of its layers.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let config = manifest.config.as_ref().map(|config| config.media_type.as_str());
        let has_image_layers = || {
            manifest.layers.is_empty()
                || manifest.layers.iter().any(|layer| media_type::is_image_layer(&layer.media_type))
        };
        match config {
            Some(media_type::DOCKER_IMAGE_CONFIG | media_type::OCI_IMAGE_CONFIG) if has_image_layers() => {
                Self::Image
            }
            Some(media_type::HELM_CONFIG) => Self::Chart,
            _ => Self::Artifact,
        }
    }
}
