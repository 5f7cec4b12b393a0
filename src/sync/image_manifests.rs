//! `ImageManifests`: the manifests of the image being copied.

use std::collections::HashMap;

use sampan_engine::oci::media_type::is_nondistributable;
use sampan_engine::oci::{Digest, Manifest};
use sampan_transfer::FoundManifest;

/// The manifests of an image and the lengths of its blobs, so that each is requested from the upstream once.
#[derive(Debug)]
pub(crate) struct ImageManifests {
    manifests: HashMap<Digest, (FoundManifest, Origin)>,
    /// The lengths of blobs by the manifests that refer to them.
    sizes: HashMap<Digest, u64>,
    /// The bytes of manifests that may still be remembered. A reference takes no more space here than in its manifest.
    left_bytes: usize,
}

/// Where a manifest was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Origin {
    /// In the store.
    Store,
    /// At the upstream alone.
    Upstream,
}

/// The most bytes of manifests that are remembered; the upstream is asked for those beyond again.
const MAX_BYTES: usize = 32 << 20;

impl Default for ImageManifests {
    fn default() -> Self {
        Self { manifests: HashMap::new(), sizes: HashMap::new(), left_bytes: MAX_BYTES }
    }
}

impl ImageManifests {
    pub(crate) fn manifest(&self, digest: &Digest) -> Option<&FoundManifest> {
        self.manifests.get(digest).map(|(found, _)| found)
    }

    /// Whether the store lacked a manifest.
    pub(crate) fn is_new(&self, digest: &Digest) -> bool {
        self.manifests.get(digest).is_some_and(|(_, origin)| *origin == Origin::Upstream)
    }

    /// The length of a blob, as a manifest says it.
    pub(crate) fn blob_size(&self, digest: &Digest) -> Option<u64> {
        self.sizes.get(digest).copied()
    }

    pub(crate) fn learn(&mut self, found: &FoundManifest, origin: Origin) {
        let Some(left_bytes) = self.left_bytes.checked_sub(found.bytes.len()) else { return };
        self.left_bytes = left_bytes;
        if let Ok(manifest) = Manifest::parse(&found.bytes, None) {
            let blobs = manifest.config.iter().chain(&manifest.layers);
            // Whether the upstream has one that need not be distributed, only the upstream knows.
            let blobs = blobs.filter(|blob| !is_nondistributable(&blob.media_type));
            self.sizes.extend(blobs.map(|blob| (blob.digest.clone(), blob.size)));
        }
        self.manifests.insert(found.digest.clone(), (found.clone(), origin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest of this length with as many layers as fit.
    fn manifest(number: usize, len: usize) -> FoundManifest {
        let config = Digest::sha256_of(b"config");
        let begin = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"a/b","digest":"{config}","size":1}},"layers":["#
        );
        let mut text = begin;
        for layer in 0.. {
            let digest = Digest::sha256_of(format!("{number} {layer}").as_bytes());
            let next = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":{layer}}},"#);
            if text.len() + next.len() + 2 > len {
                break;
            }
            text.push_str(&next);
        }
        let text = text.trim_end_matches(',').to_owned() + "]}";
        let bytes = bytes::Bytes::from(text);
        FoundManifest { digest: Digest::sha256_of(&bytes), media_type: String::new(), bytes }
    }

    #[test]
    fn the_largest_manifests_are_remembered_up_to_the_bound() {
        let largest = 4 << 20;
        let mut known = ImageManifests::default();
        let all: Vec<FoundManifest> = (0..12).map(|number| manifest(number, largest)).collect();
        all.iter().for_each(|found| known.learn(found, Origin::Upstream));
        let remembered = all.iter().filter(|found| known.manifest(&found.digest).is_some()).count();
        assert_eq!(remembered, MAX_BYTES / largest);
        // Each layer takes 110 bytes and more in its manifest.
        assert!(known.sizes.len() * 110 <= MAX_BYTES, "{}", known.sizes.len());
    }

    #[test]
    fn what_the_store_lacked_is_new_and_layers_have_the_length_that_a_manifest_says() {
        let (here, there) = (manifest(1, 500), manifest(2, 500));
        let mut known = ImageManifests::default();
        known.learn(&here, Origin::Store);
        known.learn(&there, Origin::Upstream);
        assert!(!known.is_new(&here.digest) && known.is_new(&there.digest));
        assert_eq!(known.blob_size(&Digest::sha256_of(b"1 0")), Some(0));
        assert_eq!(known.blob_size(&Digest::sha256_of(b"config")), Some(1));
        assert_eq!(known.blob_size(&Digest::sha256_of(b"other")), None);
    }
}
