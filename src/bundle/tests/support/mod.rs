//! Bundles of random content in memory.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{HashMap, HashSet};
use std::path::Path;

use bytes::Bytes;
use futures::{StreamExt, stream};
use proptest::prelude::*;
use sampan_bundle::{
    BoxError, Bundle, ContentKind, ContentSource, ContentStream, DockerImage, FileOutput, ImageWalk,
    OutputOptions, Plan, PlannedContent, PlannedImage, PlannedRepository, Role, Written, index_json,
    manifest_json,
};
use sampan_engine::oci::{Algorithm, Digest, Manifest, media_type};
use serde_json::json;

/// Content in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents(pub(crate) HashMap<Digest, Bytes>);

impl Contents {
    pub(crate) fn add(&mut self, algorithm: Algorithm, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(algorithm, &bytes);
        self.0.insert(digest.clone(), bytes);
        digest
    }

    /// Adds an image with a configuration and these layers.
    pub(crate) fn image(&mut self, algorithm: Algorithm, layers: &[Bytes]) -> Digest {
        let descriptor = |digest: &Digest, len: usize, media_type: &str| json!({ "mediaType": media_type, "digest": digest, "size": len });
        let config = format!("{{\"layers\":{}}}", layers.len());
        let config = (self.add(algorithm, config.clone()), config.len());
        let layers: Vec<_> = layers
            .iter()
            .map(|layer| {
                let digest = self.add(algorithm, layer.clone());
                descriptor(&digest, layer.len(), "application/vnd.oci.image.layer.v1.tar")
            })
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor(&config.0, config.1, media_type::OCI_IMAGE_CONFIG),
            "layers": layers,
        });
        self.add(algorithm, manifest.to_string())
    }

    /// Adds an index of manifests.
    pub(crate) fn index(&mut self, children: &[Digest]) -> Digest {
        let children: Vec<_> = children
            .iter()
            .map(|child| {
                json!({ "mediaType": media_type::OCI_MANIFEST, "digest": child, "size": self.0[child].len() })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children });
        self.add(Algorithm::Sha256, index.to_string())
    }

    /// Adds an index of manifests that are nowhere.
    pub(crate) fn absent_index(&mut self, count: usize) -> Digest {
        let children: Vec<_> = (0..count)
            .map(|number| {
                let digest = Digest::sha256_of(&number.to_be_bytes());
                json!({ "mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 1 })
            })
            .collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children });
        self.add(Algorithm::Sha256, index.to_string())
    }

    /// The bundle of these images, each with its repository and tag.
    pub(crate) fn bundle(&self, images: &[(&str, &str, Digest)]) -> Bundle {
        let mut plan = Plan {
            source: "near.example:5000".to_owned(),
            docker_platform: "linux/amd64".to_owned(),
            ..Plan::default()
        };
        let mut seen = HashSet::new();
        let mut docker = HashMap::new();
        for (repository, tag, root) in images {
            let mut walk = ImageWalk::new(root);
            while let Some(digest) = walk.next() {
                let manifest = Manifest::parse(&self.0[&digest], None).unwrap();
                if let Some(config) = &manifest.config {
                    let layers = manifest.layers.iter().map(|layer| layer.digest.clone()).collect();
                    docker
                        .entry(root.clone())
                        .or_insert(DockerImage { config: config.digest.clone(), layers });
                }
                walk.add(&digest, &manifest, |child| match child.media_type.as_str() {
                    media_type::OCI_MANIFEST => Role::Manifest,
                    _ => Role::Blob,
                });
            }
            let manifests = walk.manifests().iter().map(|digest| (digest, ContentKind::Manifest));
            let blobs = walk.blobs().iter().map(|blob| (&blob.digest, ContentKind::Blob));
            for (digest, kind) in manifests.chain(blobs).filter(|(digest, _)| seen.insert((*digest).clone()))
            {
                let size_bytes = self.0[digest].len() as u64;
                plan.contents.push(PlannedContent { digest: digest.clone(), size_bytes, kind });
            }
            let image = PlannedImage {
                digest: root.clone(),
                tags: vec![tag.parse().unwrap()],
                media_type: media_type::OCI_MANIFEST.to_owned(),
                left_out: Vec::new(),
                referrers: Vec::new(),
            };
            let name = repository.parse().unwrap();
            match plan.repositories.iter_mut().find(|it| it.name == name) {
                Some(repository) => match repository.images.iter_mut().find(|it| it.digest == *root) {
                    Some(image) => image.tags.push(tag.parse().unwrap()),
                    None => repository.images.push(image),
                },
                None => {
                    plan.repositories.push(PlannedRepository { name, complete: true, images: vec![image] });
                }
            }
        }
        let (index, manifest) = (index_json(&plan), manifest_json(&plan, &docker));
        Bundle::assemble(plan, index, manifest, None).unwrap()
    }
}

impl ContentSource for Contents {
    async fn open(&self, content: &PlannedContent) -> Result<ContentStream, BoxError> {
        let bytes = self.0.get(&content.digest).ok_or("there is no such content")?.clone();
        let pieces: Vec<_> = bytes.chunks(700).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(stream::iter(pieces).boxed())
    }
}

/// A small bundle with an index, an image of sha512 digests, and a layer that two images share.
pub(crate) fn small() -> (Contents, Bundle) {
    let mut contents = Contents::default();
    let (one, two) = (Bytes::from_static(b"first layer"), Bytes::from(vec![7; 1500]));
    let first = contents.image(Algorithm::Sha256, &[one.clone(), two]);
    let second = contents.image(Algorithm::Sha256, std::slice::from_ref(&one));
    let long = contents.image(Algorithm::Sha512, &[one]);
    let index = contents.index(&[first, second.clone()]);
    let images = [("team/app", "1.0", index), ("team/app", "old", second), ("b", "latest", long)];
    let bundle = contents.bundle(&images);
    (contents, bundle)
}

/// A bundle with one image.
pub(crate) fn tiny() -> (Contents, Bundle) {
    let mut contents = Contents::default();
    let image = contents.image(Algorithm::Sha512, &[Bytes::from_static(b"layer")]);
    let bundle = contents.bundle(&[("a", "b", image)]);
    (contents, bundle)
}

/// Random images over a few layers.
pub(crate) fn random() -> impl Strategy<Value = (Contents, Bundle)> {
    let layers = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..5);
    let images = prop::collection::vec(
        (0..3usize, prop::collection::vec(any::<prop::sample::Index>(), 0..4), any::<bool>()),
        1..6,
    );
    (layers, images).prop_map(|(layers, images)| {
        let mut contents = Contents::default();
        let mut named = Vec::new();
        for (number, (repository, picks, is_long)) in images.into_iter().enumerate() {
            let picked: Vec<Bytes> =
                picks.iter().map(|pick| Bytes::from(pick.get(&layers).clone())).collect();
            let algorithm = if is_long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let mut root = contents.image(algorithm, &picked);
            if number % 2 == 1 {
                root = contents.index(&[root]);
            }
            named.push((["a", "team/b", "team/c"][repository], format!("v{number}"), root));
        }
        let images: Vec<_> =
            named.iter().map(|(repository, tag, root)| (*repository, tag.as_str(), root.clone())).collect();
        let bundle = contents.bundle(&images);
        (contents, bundle)
    })
}

/// All bytes of a bundle.
pub(crate) async fn bytes(bundle: &Bundle, contents: &Contents) -> Vec<u8> {
    range(bundle, contents, 0..bundle.layout().len_bytes()).await
}

/// Some bytes of a bundle.
pub(crate) async fn range(bundle: &Bundle, contents: &Contents, range: std::ops::Range<u64>) -> Vec<u8> {
    let mut output = Vec::new();
    bundle.write(range, contents, &mut output).await.unwrap();
    output
}

/// Writes a bundle to files, from `start` on.
pub(crate) async fn write(
    bundle: &Bundle,
    contents: &Contents,
    path: &Path,
    split_bytes: Option<u64>,
    range: std::ops::Range<u64>,
) -> Written {
    let options = OutputOptions {
        path: path.to_owned(),
        split_bytes,
        len_bytes: bundle.layout().len_bytes(),
        start: range.start,
    };
    let mut output = FileOutput::new(options);
    bundle.write(range, contents, &mut output).await.unwrap();
    output.finish().await.unwrap()
}

/// A pipe with these bytes, which come in small pieces.
pub(crate) fn pipe(bytes: Vec<u8>) -> impl tokio::io::AsyncRead + Send + 'static {
    let (mut near, far) = tokio::io::duplex(333);
    tokio::spawn(async move {
        // The reader may stop early.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await;
    });
    far
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
