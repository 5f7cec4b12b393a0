//! `Material`: the content of each server before the measurements, the same for both.

use serde_json::json;

use crate::content::{Blob, Source};
use crate::options::Options;
use crate::registry::MANIFEST;
use crate::workload::Workload;

/// The bytes of all large blobs together, so that they are several.
const LARGE_VOLUME: u64 = 512 << 20;

/// The number of small blobs.
const SMALL_BLOBS: usize = 256;

/// The number of images, each with a tag.
const IMAGES: usize = 5;

/// The number of layers of an image.
pub(crate) const LAYERS: usize = 5;

/// The bytes of a layer.
const LAYER: u64 = 1 << 20;

/// The number of further repositories in the catalogue.
pub(crate) const REPOSITORIES: usize = 9;

/// Content for all works of a run.
pub(crate) struct Material {
    /// Large blobs.
    pub(crate) large: Vec<Blob>,
    /// Small blobs.
    pub(crate) small: Vec<Blob>,
    /// Images.
    pub(crate) images: Vec<Image>,
    /// Whether the work needs further repositories.
    pub(crate) repositories: bool,
    /// The source of new large blobs.
    pub(crate) large_source: Source,
    /// The source of new small blobs.
    pub(crate) small_source: Source,
    /// The source of new layers.
    pub(crate) layer_source: Source,
}

/// A manifest and its content.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// The manifest.
    pub(crate) manifest: Blob,
    /// The config.
    pub(crate) config: Blob,
    /// The layers.
    pub(crate) layers: Vec<Blob>,
}

impl Material {
    /// Makes the content for the works of a run.
    pub(crate) fn new(options: &Options) -> Self {
        let needs = |works: &[Workload]| options.works.iter().any(|work| works.contains(work));
        let large_source = Source::new(options.large);
        let small_source = Source::new(options.small);
        let layer_source = Source::new(LAYER);
        let large =
            if needs(&[Workload::PullLarge]) { (LARGE_VOLUME / options.large).clamp(1, 16) } else { 0 };
        let small = if needs(&[Workload::PullSmall, Workload::Mixed]) { SMALL_BLOBS } else { 0 };
        let images = if options.works.iter().all(|work| {
            matches!(
                work,
                Workload::PushMonolithic
                    | Workload::PushStreamed
                    | Workload::PushChunked
                    | Workload::PushSmall
                    | Workload::PushImage
                    | Workload::PullLarge
                    | Workload::PullSmall
            )
        }) {
            0
        } else {
            IMAGES
        };
        Self {
            large: (0..large).map(|_| large_source.blob()).collect(),
            small: (0..small).map(|_| small_source.blob()).collect(),
            images: (0..images).map(|_| Image::new(&layer_source, LAYERS)).collect(),
            repositories: needs(&[Workload::Catalog]),
            large_source,
            small_source,
            layer_source,
        }
    }
}

impl Image {
    /// A new, unique image.
    pub(crate) fn new(layers: &Source, count: usize) -> Self {
        let layers: Vec<_> = (0..count).map(|_| layers.blob()).collect();
        let diffs: Vec<_> = layers.iter().map(|layer| &layer.digest).collect();
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {"Labels": {"serial": format!("{:032x}", rand::random::<u128>())}},
            "rootfs": {"type": "layers", "diff_ids": diffs},
        });
        let config = Blob::of(config.to_string());
        let describe = |blob: &Blob, media_type: &str| json!({"mediaType": media_type, "digest": blob.digest, "size": blob.size});
        let layer_type = "application/vnd.oci.image.layer.v1.tar";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": describe(&config, "application/vnd.oci.image.config.v1+json"),
            "layers": layers.iter().map(|layer| describe(layer, layer_type)).collect::<Vec<_>>(),
        });
        Self { manifest: Blob::of(manifest.to_string()), config, layers }
    }

    /// All blobs of the manifest.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}
