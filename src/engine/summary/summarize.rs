//! `Repository::summary`: makes a summary, or takes the one that was made before.

use std::sync::Arc;

use super::config::{self, ImageConfig, given};
use super::tally::Tally;
use super::{Gap, ImageKind, ImageSummary, index};
use crate::oci::{Digest, Manifest, Reference, media_type};
use crate::{Error, Repository, Result};

impl Repository {
    /// A summary of the manifest with this digest, from manifest and configuration.
    ///
    /// It emits no event and grants no lease. Content that is missing, damaged or hostile makes a summary that says so in its
    /// [`gaps`](ImageSummary::gaps). The registry keeps a summary whose gaps can never be closed; for it the store only
    /// confirms that the repository has the manifest, so a child that was deleted later may still count.
    ///
    /// # Errors
    ///
    /// `ManifestUnknown`; any error of the store.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.summary", skip_all)]
    pub async fn summary(&self, digest: &Digest) -> Result<Arc<ImageSummary>> {
        let (_, canonical) = self.manifests().resolve(&Reference::Digest(digest.clone())).await?;
        let summaries = &self.registry.inner.summaries;
        if let Some(known) = summaries.get(&canonical) {
            return Ok(known);
        }
        let summary = Arc::new(self.summarize(&canonical).await?);
        if summary.is_final() {
            summaries.insert(&canonical, &summary);
        }
        Ok(summary)
    }

    async fn summarize(&self, canonical: &Digest) -> Result<ImageSummary> {
        let stored = match self.manifests().fetch(&Reference::Digest(canonical.clone())).await {
            Ok(stored) => stored,
            Err(Error::Corrupt(..)) => return Ok(ImageSummary::unknown(Gap::ManifestDamaged)),
            Err(error) => return Err(error),
        };
        match Manifest::parse(&stored.bytes, None) {
            Ok(manifest) if manifest.kind.is_index() => index::summarize(self, &manifest).await,
            Ok(manifest) => ImageSummary::of_image(self, &manifest).await,
            Err(problem) => {
                let reason = config::text(&problem.to_string());
                Ok(ImageSummary::unknown(Gap::ManifestUnreadable(reason)))
            }
        }
    }
}

impl ImageSummary {
    /// The summary of an image, chart or artifact.
    pub(super) async fn of_image(repository: &Repository, manifest: &Manifest) -> Result<Self> {
        let mut tally = Tally::default();
        tally.add(manifest);
        let kind = ImageKind::of(manifest);
        let artifact_type = manifest.effective_artifact_type().filter(|_| kind != ImageKind::Image);
        let mut summary = Self {
            kind,
            platforms: Vec::new(),
            artifact_type: artifact_type.and_then(given),
            size_bytes: tally.size_bytes(),
            layers: manifest.layers.len() as u64,
            ..Self::annotated(manifest)
        };
        let config = manifest.config.as_ref();
        if let Some(config) = config.filter(|_| matches!(kind, ImageKind::Image | ImageKind::Chart)) {
            match ImageConfig::read(repository, config).await? {
                Ok(config) => {
                    summary.platforms.extend(config.platform());
                    summary.created = summary.created.or_else(|| config.created());
                    summary.title = summary.title.or_else(|| config.title());
                    summary.version = summary.version.or_else(|| config.version());
                }
                Err(gap) => summary.gaps.push(gap),
            }
        }
        Ok(summary)
    }

    /// What the annotations of a manifest say.
    pub(super) fn annotated(manifest: &Manifest) -> Self {
        let annotation = |key| manifest.annotations.get(key).map(String::as_str);
        Self {
            created: annotation(config::CREATED).and_then(config::time),
            title: annotation(config::TITLE).and_then(given),
            version: annotation(config::VERSION).and_then(given),
            ..Self::empty()
        }
    }

    fn unknown(gap: Gap) -> Self {
        Self { gaps: vec![gap], ..Self::empty() }
    }

    fn empty() -> Self {
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
