//! `Outline`: what a summary needs of a manifest, and the one place that parses manifests for summaries.
//!
//! A parsed manifest may take many times the memory of its bytes. So manifests are parsed one at a time, and only a few
//! texts of each are kept beyond that.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::config::{self, ImageConfig, given};
use super::index::Family;
use super::tally::Tally;
use super::{ImageKind, ImageSummary};
use crate::oci::{Descriptor, Manifest, ManifestProblem};
use crate::{Repository, Result};
use sampan_host::blocking::on_blocking_pool;

/// The parts of a manifest for a summary.
#[derive(Debug)]
pub(super) enum Outline {
    Image(ImageOutline),
    /// The annotations of an index, and its children.
    Index(ImageSummary, Box<Family>),
}

/// The parts of a manifest, which is no index, for a summary.
#[derive(Debug)]
pub(super) struct ImageOutline {
    /// Without what the configuration says.
    pub(super) summary: ImageSummary,
    /// The configuration of an image or a chart, with digest and size alone.
    pub(super) config: Option<Descriptor>,
}

/// Limits the memory that summaries take together.
#[derive(Debug)]
pub(crate) struct SummaryLimits {
    /// A permit for each summary that is being made.
    pub(super) makers: Semaphore,
    /// The permit for parsing a manifest.
    parser: Arc<Semaphore>,
}

/// How many summaries are made at a time.
const CONCURRENT_SUMMARIES: usize = 16;

/// Parsing more bytes than this takes so long that it blocks other requests of the thread.
const MAX_INLINE_BYTES: usize = 64 << 10;

impl Default for SummaryLimits {
    fn default() -> Self {
        Self { makers: Semaphore::new(CONCURRENT_SUMMARIES), parser: Arc::new(Semaphore::new(1)) }
    }
}

impl SummaryLimits {
    /// Parses a manifest and applies `take` to it, while no other manifest is parsed.
    pub(super) async fn parse<T: Send + 'static>(
        &self,
        bytes: Bytes,
        take: impl FnOnce(Result<Manifest, ManifestProblem>) -> T + Send + 'static,
    ) -> T {
        // The semaphore is never closed.
        let permit = self.parser.clone().acquire_owned().await.ok();
        let is_short = bytes.len() <= MAX_INLINE_BYTES;
        let parse = move || {
            // A blocking thread continues when its request is dropped.
            let _permit = permit;
            take(Manifest::parse(&bytes, None))
        };
        match is_short {
            true => parse(),
            false => on_blocking_pool(parse).await,
        }
    }
}

impl Outline {
    pub(super) fn of(manifest: &Manifest) -> Self {
        if !manifest.kind.is_index() {
            return Self::Image(ImageOutline::of(manifest));
        }
        let artifact_type = manifest.artifact_type.as_deref().and_then(given);
        let summary =
            ImageSummary { kind: ImageKind::Index, artifact_type, ..ImageSummary::annotated(manifest) };
        let mut family = Family::default();
        family.take_children(manifest);
        Self::Index(summary, Box::new(family))
    }
}

impl ImageOutline {
    pub(super) fn of(manifest: &Manifest) -> Self {
        let mut tally = Tally::default();
        tally.add(manifest);
        let kind = ImageKind::of(manifest);
        let artifact_type = manifest.effective_artifact_type().filter(|_| kind != ImageKind::Image);
        let summary = ImageSummary {
            kind,
            artifact_type: artifact_type.and_then(given),
            size_bytes: tally.size_bytes(),
            layers: manifest.layers.len() as u64,
            ..ImageSummary::annotated(manifest)
        };
        let config = manifest.config.as_ref();
        let config = config.filter(|_| matches!(kind, ImageKind::Image | ImageKind::Chart)).map(bare);
        Self { summary, config }
    }

    /// Adds what the configuration says.
    pub(super) async fn complete(self, repository: &Repository) -> Result<ImageSummary> {
        let Self { mut summary, config } = self;
        let Some(config) = config else { return Ok(summary) };
        match ImageConfig::read(repository, &config).await? {
            Ok(config) => {
                summary.platforms.extend(config.platform());
                summary.created = summary.created.or_else(|| config.created());
                summary.title = summary.title.or_else(|| config.title());
                summary.version = summary.version.or_else(|| config.version());
            }
            Err(gap) => summary.gaps.push(gap),
        }
        Ok(summary)
    }
}

/// A descriptor without the texts that a client chose.
fn bare(descriptor: &Descriptor) -> Descriptor {
    Descriptor {
        media_type: String::new(),
        digest: descriptor.digest.clone(),
        size: descriptor.size,
        artifact_type: None,
        annotations: BTreeMap::new(),
        urls: Vec::new(),
        platform: None,
    }
}

impl ImageSummary {
    /// The known annotations of a manifest.
    fn annotated(manifest: &Manifest) -> Self {
        let annotation = |key| manifest.annotations.get(key).map(String::as_str);
        Self {
            created: annotation(config::CREATED).and_then(config::time),
            title: annotation(config::TITLE).and_then(given),
            version: annotation(config::VERSION).and_then(given),
            ..Self::empty()
        }
    }
}
