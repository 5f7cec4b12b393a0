//! The files by which other tools find images in a bundle: `index.json` and `manifest.json`.
//!
//! containerd and docker name an image by `io.containerd.image.name`; skopeo, podman, regctl and oras compare
//! `org.opencontainers.image.ref.name`. Old dockers, podman and crane read `manifest.json`.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use sampan_engine::oci::{Digest, Tag, media_type};
use serde::Serialize;

use crate::content::path_of;
use crate::plan::{IndexScope, is_fallback_tag};
use crate::{Plan, PlannedImage, PlannedRepository};

/// The image that `manifest.json` lists for a tag: one platform.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DockerImage {
    /// The digest of the configuration.
    pub config: Digest,
    /// The digests of the layers.
    pub layers: Vec<Digest>,
}

/// containerd passes over a longer `manifest.json`, in bytes.
pub const MAX_MANIFEST_JSON: usize = 20 << 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u32,
    media_type: &'a str,
    manifests: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    media_type: &'a str,
    digest: &'a Digest,
    size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

/// The file `index.json` (OCI image-spec, `image-layout.md`): an entry for each tag that
/// [`index`](Plan::index) includes, for each untagged image, and for each referrer, which gets no name.
pub fn index_json(plan: &Plan) -> Bytes {
    let sizes: HashMap<&Digest, u64> =
        plan.contents.iter().map(|content| (&content.digest, content.size_bytes)).collect();
    let size = |digest| sizes.get(digest).copied().unwrap_or_default();
    let mut manifests = Vec::new();
    for (repository, image) in plan.images() {
        let entry = |annotations| Entry {
            media_type: &image.media_type,
            digest: &image.digest,
            size: size(&image.digest),
            annotations,
        };
        if image.tags.is_empty() {
            manifests.push(entry(BTreeMap::new()));
        }
        for tag in listed_tags(plan, image) {
            let name = format!("{}:{tag}", repository.name);
            manifests.push(entry(BTreeMap::from([
                ("io.containerd.image.name", format!("{}/{name}", plan.source)),
                ("org.opencontainers.image.ref.name", name),
            ])));
        }
        manifests.extend(image.referrers.iter().map(|referrer| Entry {
            media_type: &referrer.media_type,
            digest: &referrer.digest,
            size: size(&referrer.digest),
            annotations: BTreeMap::from([("io.containerd.manifest.subject", referrer.subject.to_string())]),
        }));
    }
    json(&Index { schema_version: 2, media_type: media_type::OCI_INDEX, manifests })
}

/// The file `manifest.json` of `docker save`: the images of `images`, which maps the digest of a manifest or index to the
/// platform that is chosen for it, under the tags that `index.json` lists. `None` when it is so long that nothing reads it.
pub fn manifest_json(plan: &Plan, images: &HashMap<Digest, DockerImage>) -> Option<Bytes> {
    let item = |(repository, planned): (&PlannedRepository, &PlannedImage)| {
        let image = images.get(&planned.digest)?;
        let repo_tags: Vec<String> = listed_tags(plan, planned)
            .map(|tag| format!("{}/{}:{tag}", plan.source, repository.name))
            .collect();
        (!repo_tags.is_empty()).then(|| Item {
            config: path_of(&image.config),
            repo_tags,
            layers: image.layers.iter().map(path_of).collect(),
        })
    };
    let json = json(&plan.images().filter_map(item).collect::<Vec<_>>());
    (json.len() <= MAX_MANIFEST_JSON).then_some(json)
}

/// The tags of an image that other tools find.
fn listed_tags<'a>(plan: &Plan, image: &'a PlannedImage) -> impl Iterator<Item = &'a Tag> + use<'a> {
    let has_all = plan.index == IndexScope::All;
    image.tags.iter().filter(move |tag| has_all || !is_fallback_tag(tag))
}

fn json(value: &impl Serialize) -> Bytes {
    #[expect(clippy::expect_used, reason = "texts, numbers and lists of them always serialize")]
    let mut json =
        serde_json::to_vec(value).expect("invariant: the value has no maps with other keys than texts");
    json.push(b'\n');
    json.into()
}
