//! Writes a data directory of a size that makes collectors sweat, to measure them on.
//!
//! ```sh
//! cargo run --release --example generate-store -- DIRECTORY [TIMES]
//! ```
//!
//! One time is 2,000 repositories of five tags each, 10,000 images of a configuration and ten layers, of which each is in three
//! or four images of other repositories; 50,000 blobs, and about 190,000 files. One layer in twenty is garbage.
//! Files are written plainly, without a driver and its syncs; the content is the same at every run.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for developers, whose output is its purpose"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, RepositoryName};
use serde_json::json;

const REPOSITORIES: u64 = 2_000;
const TAGS: u64 = 5;
const LAYERS_OF_IMAGE: u64 = 10;
const LAYERS: u64 = 30_000;
const WRITERS: u64 = 4;

fn main() {
    let mut args = std::env::args().skip(1);
    let usage = "usage: generate-store DIRECTORY [TIMES]";
    let root = args.next().filter(|root| !root.starts_with('-')).map(PathBuf::from).expect(usage);
    let times: u64 = args.next().map_or(1, |times| times.parse().expect(usage));
    let store = Store { root, layers: LAYERS * times, files: AtomicU64::new(0) };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                for layer in (writer..store.layers).step_by(WRITERS as usize) {
                    store.blob(&layer_content(layer));
                }
                for number in (writer..REPOSITORIES * times).step_by(WRITERS as usize) {
                    store.repository(number);
                }
            });
        }
    });
    let repositories = REPOSITORIES * times;
    println!("{} files: {repositories} repositories, {} tags", store.files.into_inner(), repositories * TAGS);
}

struct Store {
    root: PathBuf,
    layers: u64,
    files: AtomicU64,
}

impl Store {
    fn repository(&self, number: u64) {
        let name: RepositoryName = format!("team-{:02}/project-{number}", number % 40).parse().unwrap();
        for tag in 0..TAGS {
            let image = number * TAGS + tag;
            let config = format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"author\":\"{image}\"}}");
            let config_digest = self.blob(config.as_bytes());
            let mut linked = vec![config_digest.clone()];
            let mut layers = Vec::new();
            for place in 0..LAYERS_OF_IMAGE {
                // A walk through all layers but the twentieth, which no manifest refers to.
                let layer = (image * LAYERS_OF_IMAGE + place) % (self.layers / 20 * 19);
                let content = layer_content(layer / 19 * 20 + layer % 19);
                let digest = Digest::sha256_of(&content);
                layers.push(descriptor(
                    "application/vnd.oci.image.layer.v1.tar+gzip",
                    &digest,
                    content.len(),
                ));
                linked.push(digest);
            }
            for digest in linked {
                self.link(&Entry::LayerLink(name.clone(), digest.clone()), &digest);
            }
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": descriptor("application/vnd.oci.image.config.v1+json", &config_digest, config.len()),
                "layers": layers,
            });
            let digest = self.blob(manifest.to_string().as_bytes());
            self.link(&Entry::RevisionLink(name.clone(), digest.clone()), &digest);
            let tag: sampan_engine::oci::Tag = format!("v{tag}").parse().unwrap();
            self.link(&Entry::TagIndex(name.clone(), tag.clone(), digest.clone()), &digest);
            self.link(&Entry::TagCurrent(name.clone(), tag), &digest);
        }
    }

    fn blob(&self, content: &[u8]) -> Digest {
        let digest = Digest::sha256_of(content);
        self.write(&Entry::Blob(digest.clone()), content);
        digest
    }

    fn link(&self, entry: &Entry, target: &Digest) {
        self.write(entry, target.to_string().as_bytes());
    }

    fn write(&self, entry: &Entry, content: &[u8]) {
        let path = self.root.join(entry.path().as_key());
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, content).unwrap();
        self.files.fetch_add(1, Ordering::Relaxed);
    }
}

fn layer_content(number: u64) -> Vec<u8> {
    format!("the content of layer {number}\n").into_bytes()
}

fn descriptor(media_type: &str, digest: &Digest, size: usize) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size })
}
