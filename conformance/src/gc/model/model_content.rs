//! `ModelContent`: the content of pushes, and its repositories.

use std::sync::Arc;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use sampan_driver::StorageDriver;
use sampan_engine::oci::Digest;

use super::cache::CACHE;
use crate::gc::seed::{Seed, image, index};
use crate::{Failed, data};

pub(super) const REPOSITORIES: [&str; 2] = ["a", "b"];
pub(super) const TAGS: [&str; 2] = ["1", "2"];

/// The content of pushes: small, and much of it shared.
pub(super) struct ModelContent {
    pub(super) blobs: Vec<Bytes>,
    /// Two images that share a layer, a third image, and an artifact attached to the first.
    pub(super) images: Vec<ModelImage>,
    /// An index of the first and the third image.
    pub(super) index: Bytes,
}

#[derive(Clone)]
pub(super) struct ModelImage {
    pub(super) bytes: Bytes,
    pub(super) blobs: Vec<usize>,
}

impl ModelImage {
    pub(super) fn digest(&self) -> Digest {
        Digest::sha256_of(&self.bytes)
    }
}

impl ModelContent {
    pub(super) fn new() -> Self {
        let blobs: Vec<Bytes> = (0..4).map(|number| data::bytes(number, 20)).collect();
        let digest = |number: usize| Digest::sha256_of(&blobs[number]);
        let ware = |layers: &[usize], subject: Option<&Digest>| {
            let digests: Vec<Digest> = layers.iter().map(|layer| digest(*layer)).collect();
            let bytes = image(&digest(0), &digests, subject);
            ModelImage { bytes, blobs: [&[0], layers].concat() }
        };
        let first = ware(&[1, 2], None);
        let images =
            vec![first.clone(), ware(&[2, 3], None), ware(&[3], None), ware(&[1], Some(&first.digest()))];
        let index = index(&[images[0].digest(), images[2].digest()]);
        Self { blobs, images, index }
    }

    /// Content that was there long before.
    pub(super) async fn lay_out(
        &self,
        driver: &Arc<dyn StorageDriver>,
        rng: &mut StdRng,
        evicts: bool,
    ) -> Result<(), Failed> {
        let seed = Seed::new(driver);
        for repository in REPOSITORIES.into_iter().chain(evicts.then_some(CACHE)) {
            for blob in self.blobs.iter().filter(|_| rng.random_bool(0.6)) {
                let digest = seed.blob(blob).await?;
                seed.layer(repository, &digest).await?;
            }
            for ware in &self.images {
                if rng.random_bool(0.7) {
                    continue;
                }
                for blob in &ware.blobs {
                    let digest = seed.blob(&self.blobs[*blob]).await?;
                    seed.layer(repository, &digest).await?;
                }
                let digest = seed.manifest(repository, &ware.bytes).await?;
                if rng.random_bool(0.5) {
                    seed.tag(repository, TAGS[rng.random_range(0..TAGS.len())], &digest).await?;
                }
            }
        }
        Ok(())
    }
}
