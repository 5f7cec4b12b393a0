//! `Tally`: the blobs of manifests, each counted once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::oci::{Descriptor, Digest, Manifest};

/// Distinct blobs.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Whether each blob that was met counts as a layer.
    met: HashMap<Digest, bool>,
    size_bytes: u64,
    layers: u64,
}

impl Tally {
    /// Counts the configuration and the layers of a manifest.
    pub(super) fn add(&mut self, manifest: &Manifest) {
        manifest.config.iter().for_each(|config| self.add_blob(config, false));
        manifest.layers.iter().for_each(|layer| self.add_blob(layer, true));
    }

    /// Counts a blob, unless it was counted before.
    pub(super) fn add_blob(&mut self, blob: &Descriptor, is_layer: bool) {
        match self.met.entry(blob.digest.clone()) {
            Entry::Vacant(place) => {
                place.insert(is_layer);
                self.size_bytes = self.size_bytes.saturating_add(blob.size);
                self.layers += u64::from(is_layer);
            }
            Entry::Occupied(mut place) if is_layer && !*place.get() => {
                place.insert(true);
                self.layers += 1;
            }
            Entry::Occupied(_) => {}
        }
    }

    /// The length of all of them, in bytes.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The number of distinct layers.
    pub(super) fn layers(&self) -> u64 {
        self.layers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(content: &[u8], size: u64) -> Descriptor {
        let json = format!(r#"{{"digest":"{}","size":{size}}}"#, Digest::sha256_of(content));
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_blob_counts_once_whatever_it_is_used_for() {
        let mut tally = Tally::default();
        tally.add_blob(&blob(b"config", 10), false);
        tally.add_blob(&blob(b"layer", 100), true);
        tally.add_blob(&blob(b"layer", 100), true);
        tally.add_blob(&blob(b"layer", 7), false);
        assert_eq!((tally.size_bytes(), tally.layers()), (110, 1));
        tally.add_blob(&blob(b"config", 10), true);
        assert_eq!((tally.size_bytes(), tally.layers()), (110, 2));
        tally.add_blob(&blob(b"huge", u64::MAX), true);
        assert_eq!(tally.size_bytes(), u64::MAX, "a client cannot make the sum overflow");
    }
}
