//! Pushes into ordinary repositories, and deletions.

use axum::body::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sampan_engine::oci::{Digest, media_type};
use serde_json::{Value, json};

use super::expected_state::{Pushed, REPOSITORIES};
use super::steps::Chaos;
use crate::support::image::descriptor;

impl Chaos {
    /// A client pushes an image, whose layers the upstream has, too.
    pub(super) async fn push(&self, place: usize, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let repository = ["team/x", "team/y"][rng.random_range(0..2)].to_owned();
        let number = self.book.next_push();
        let config = Bytes::from(format!(r#"{{"push":{number}}}"#));
        let layers = self.book.some_layers(&mut rng);
        let mut blobs = Vec::new();
        for content in [&config].into_iter().chain(layers.iter().copied()) {
            self.hesitate(&mut rng).await;
            let Some(digest) = self.push_blob(place, &repository, content, &mut rng).await else { return };
            blobs.push(digest);
        }
        self.hesitate(&mut rng).await;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer)).collect::<Value>(),
        });
        let manifest = Bytes::from(manifest.to_string());
        let tag = format!("p{number}");
        let path = format!("/v2/{repository}/manifests/{tag}");
        let call = self.pair.replicas[place].server.call("PUT", &path);
        let call = call.header("content-type", media_type::OCI_MANIFEST).body(manifest.clone());
        let answer = self.sound(call.send().await, &path);
        match answer.status.as_u16() {
            201 => self.book.acknowledge(Pushed { repository, tag, manifest, blobs }),
            503 => {}
            _ => panic!("{path}: {answer:?}"),
        }
    }

    /// Pushes a blob unless it is there or can be mounted; `None` if a collection is in the way.
    async fn push_blob(
        &self,
        place: usize,
        repository: &str,
        content: &Bytes,
        rng: &mut StdRng,
    ) -> Option<Digest> {
        let digest = self.book.add_content(content);
        let server = &self.pair.replicas[place].server;
        if rng.random_bool(0.5) {
            let path = format!("/v2/{repository}/blobs/{digest}");
            let answer = self.sound(server.call("HEAD", &path).send().await, &path);
            match answer.status.as_u16() {
                200 => return Some(digest),
                404 => {}
                _ => panic!("{path}: {answer:?}"),
            }
        }
        if rng.random_bool(0.6) {
            let from = REPOSITORIES[rng.random_range(0..REPOSITORIES.len())];
            let path = format!("/v2/{repository}/blobs/uploads/?mount={digest}&from=up/{from}");
            let answer = self.sound(server.call("POST", &path).send().await, &path);
            match answer.status.as_u16() {
                201 => return Some(digest),
                202 | 503 => {}
                _ => panic!("{path}: {answer:?}"),
            }
        }
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.sound(server.call("POST", &path).body(content.clone()).send().await, &path);
        match answer.status.as_u16() {
            201 => Some(digest),
            503 => None,
            _ => panic!("{path}: {answer:?}"),
        }
    }

    /// A client deletes a tag, a manifest or a blob of the cache, or an image that was pushed.
    pub(super) async fn delete(&self, place: usize, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        self.hesitate(&mut rng).await;
        let image = self.book.some_image(&mut rng);
        let repository = image.repository;
        let path = match rng.random_range(0..4) {
            0 => match self.book.some_tag_of(&image, &mut rng) {
                Some(tag) => format!("/v2/up/{repository}/manifests/{tag}"),
                None => return,
            },
            1 => format!("/v2/up/{repository}/manifests/{}", image.digest),
            2 => format!("/v2/up/{repository}/blobs/{}", image.blobs[rng.random_range(0..image.blobs.len())]),
            _ => match self.book.take_pushed(&mut rng) {
                Some(Pushed { repository, manifest, .. }) => {
                    format!("/v2/{repository}/manifests/{}", Digest::sha256_of(&manifest))
                }
                None => return,
            },
        };
        let answer = self.sound(self.pair.replicas[place].server.call("DELETE", &path).send().await, &path);
        assert!([202, 404, 503].contains(&answer.status.as_u16()), "{path}: {answer:?}");
    }

    /// All of a pushed image.
    pub(super) async fn pull_pushed(&self, place: usize, pushed: &Pushed) {
        let server = &self.pair.replicas[place].server;
        let Pushed { repository, tag, manifest, blobs } = pushed;
        for reference in [tag.clone(), Digest::sha256_of(manifest).to_string()] {
            let path = format!("/v2/{repository}/manifests/{reference}");
            let answer = server.call("GET", &path).send().await;
            assert!(answer.status == 200 && answer.body == *manifest, "{path}: {answer:?}");
        }
        for blob in blobs {
            let path = format!("/v2/{repository}/blobs/{blob}");
            let answer = server.call("GET", &path).send().await;
            assert!(answer.status == 200 && answer.body == self.book.content(blob), "{path}: {answer:?}");
        }
    }
}
