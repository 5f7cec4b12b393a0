//! Pulls from the cache.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sampan_engine::oci::Digest;

use super::expected_state::Image;
use super::steps::Chaos;
use crate::cache::pair::Replica;

impl Chaos {
    /// A client pulls an image of the upstream, or parts of it.
    pub(super) async fn pull(&self, place: usize, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        self.hesitate(&mut rng).await;
        let image = self.book.some_image(&mut rng);
        let tag = self.book.some_tag_of(&image, &mut rng).filter(|_| rng.random_bool(0.5));
        let found = match tag {
            Some(tag) => self.manifest_by_tag(place, &image, tag).await,
            None => {
                let must = self.must_give(&image);
                self.manifest_by_digest(place, &image, must).await
            }
        };
        let Some(image) = found else { return };
        for blob in &image.blobs {
            self.hesitate(&mut rng).await;
            match rng.random_range(0..6) {
                0 => self.leave(place, &image, blob, &mut rng).await,
                1 | 2 => self.range(place, &image, blob, &mut rng).await,
                3 => self.head(place, &image, blob).await,
                _ => self.blob(place, &image, blob).await,
            }
        }
    }

    /// All of an image.
    pub(super) async fn pull_whole(&self, place: usize, image: &Image) {
        self.manifest_by_digest(place, image, true).await;
        for blob in &image.blobs {
            self.blob(place, image, blob).await;
        }
    }

    async fn manifest_by_tag(&self, place: usize, image: &Image, tag: &str) -> Option<Image> {
        let repository = image.repository;
        let meant = self.book.meant_by(repository, tag);
        let must = meant.is_some_and(|meant| self.must_give(&meant));
        let path = format!("/v2/up/{repository}/manifests/{tag}");
        let answer = self.get(self.replica(place), &path, must).await?;
        let digest: Digest = answer.header("docker-content-digest").parse().unwrap();
        assert_eq!(Digest::sha256_of(&answer.body), digest, "{path}");
        assert!(self.book.has_ever_meant(repository, tag, &digest), "{path} never was {digest}");
        self.book.image(repository, &digest)
    }

    async fn manifest_by_digest(&self, place: usize, image: &Image, must: bool) -> Option<Image> {
        let path = format!("/v2/up/{}/manifests/{}", image.repository, image.digest);
        let answer = self.get(self.replica(place), &path, must).await?;
        assert!(answer.body == image.manifest, "{path} has other bytes");
        Some(image.clone())
    }

    async fn blob(&self, place: usize, image: &Image, blob: &Digest) {
        let path = blob_path(image, blob);
        if let Some(answer) = self.get(self.replica(place), &path, self.must_give(image)).await {
            assert!(answer.body == self.book.content(blob), "{path} has other bytes");
        }
    }

    async fn head(&self, place: usize, image: &Image, blob: &Digest) {
        let path = blob_path(image, blob);
        let must = self.must_give(image);
        let answer = self.sound(self.replica(place).server.call("HEAD", &path).send().await, &path);
        assert!(!must || answer.status == 200, "{path}: {answer:?}");
    }

    async fn range(&self, place: usize, image: &Image, blob: &Digest, rng: &mut StdRng) {
        let (path, content) = (blob_path(image, blob), self.book.content(blob));
        let first = rng.random_range(0..content.len());
        let last = rng.random_range(first..content.len());
        let must = self.must_give(image);
        let call = self.replica(place).server.call("GET", &path);
        let answer = call.header("range", &format!("bytes={first}-{last}")).try_send().await;
        let Ok(answer) = answer else {
            assert!(!must, "a range of {path} breaks off");
            return;
        };
        let answer = self.sound(answer, &path);
        assert!(!must || answer.status.is_success(), "{path}: {answer:?}");
        match answer.status.as_u16() {
            // A part that does not reach the end may leave before the digest is known.
            206 if last + 1 < content.len() && self.is_troubled() => {}
            206 => assert!(answer.body == content[first..=last], "{path} has other bytes"),
            200 => assert!(answer.body == content, "{path} has other bytes"),
            _ => {}
        }
    }

    /// The client leaves in the middle, at any rate before the end.
    async fn leave(&self, place: usize, image: &Image, blob: &Digest, rng: &mut StdRng) {
        let (path, content) = (blob_path(image, blob), self.book.content(blob));
        let call = self.replica(place).server.call("GET", &path);
        let (status, read) = call.leave_after(rng.random_range(0..content.len())).await;
        assert_ne!(status, 500, "{path}");
        if status == 200 && (!self.is_troubled() || read.len() == content.len()) {
            assert!(content.starts_with(&read), "{path} has other bytes");
        }
    }

    fn replica(&self, place: usize) -> &Replica {
        &self.pair.replicas[place]
    }
}

fn blob_path(image: &Image, blob: &Digest) -> String {
    format!("/v2/up/{}/blobs/{blob}", image.repository)
}
