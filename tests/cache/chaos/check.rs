//! The end of a seed: what must be there, and what must be gone.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::TryStreamExt;
use sampan_driver::DriverPath;
use sampan_engine::gc::{self, Options, Report};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, Manifest, RepositoryName};

use super::MAX_BYTES;
use super::steps::Chaos;
use crate::cache::pair::evicting;

const LONG: Duration = Duration::from_secs(3 * 60 * 60);

impl Chaos {
    /// Checks what must be there, collects, and checks that and the store.
    pub(super) async fn end(mut self) {
        self.end_trouble().await;
        self.pair.paced(self.pull_everything()).await;
        self.pair.advance(LONG).await;
        // Repositories that clients have emptied have not vanished.
        let options = Options { confirmed: true, ..evicting(None, Some(MAX_BYTES)) };
        for place in [0, 1] {
            let report = self.collect(place, &options).await;
            self.note(format!("the last collections: {report:?}"));
            if place == 1 {
                assert_found_nothing(&report);
            }
            let bytes = report.caches.last().unwrap().bytes;
            assert!(bytes <= MAX_BYTES, "the caches store {bytes} bytes");
        }
        self.assert_no_garbage().await;
        self.pair.paced(self.pull_everything()).await;
    }

    async fn collect(&self, place: usize, options: &Options) -> Report {
        self.pair.paced(gc::collect(&self.pair.replicas[place].server.registry, options)).await.unwrap()
    }

    async fn pull_everything(&self) {
        for place in [0, 1] {
            for pushed in self.book.pushed() {
                self.pull_pushed(place, &pushed).await;
            }
            for image in self.book.images_there() {
                self.pull_whole(place, &image).await;
            }
        }
    }

    /// Checks the store without the help of a collection.
    async fn assert_no_garbage(&self) {
        let (mut blobs, mut manifests, mut layers) = (Vec::new(), Vec::new(), Vec::new());
        let driver = &self.pair.driver;
        let files = self.pair.paced(driver.walk(&DriverPath::root(), None).try_collect());
        let files: Vec<_> = files.await.unwrap();
        for file in files {
            match Entry::parse(&file.path) {
                Some(Entry::Blob(digest)) => blobs.push((digest, file.size_bytes)),
                Some(Entry::RevisionLink(name, digest)) => manifests.push((name, digest)),
                Some(Entry::LayerLink(name, digest)) => layers.push((name, digest)),
                _ => {}
            }
        }
        let mut needs: BTreeSet<(RepositoryName, Digest)> = BTreeSet::new();
        for (name, digest) in manifests {
            let bytes = driver.get_content(&Entry::Blob(digest.clone()).path()).await.unwrap();
            let manifest = Manifest::parse(&bytes, None).unwrap();
            let references = manifest.config.iter().chain(&manifest.layers);
            needs.extend(references.map(|reference| (name.clone(), reference.digest.clone())));
            needs.insert((name, digest));
        }
        for layer in layers {
            assert!(needs.contains(&layer), "no manifest needs the layer {layer:?}");
        }
        let is_cached = |name: &RepositoryName| name.as_str().starts_with("up/");
        let all: BTreeSet<&Digest> = needs.iter().map(|(_, digest)| digest).collect();
        let others = needs.iter().filter(|(name, _)| !is_cached(name));
        let outside: BTreeSet<&Digest> = others.map(|(_, digest)| digest).collect();
        for (digest, _) in &blobs {
            assert!(all.contains(digest), "nothing needs the data {digest}");
        }
        let only_cached = blobs.iter().filter(|(digest, _)| !outside.contains(digest));
        let bytes: u64 = only_cached.map(|(_, size)| size).sum();
        assert!(bytes <= MAX_BYTES, "the caches have {bytes} bytes on the disk");
    }
}

fn assert_found_nothing(report: &Report) {
    let Report { blobs, uploads, temporary, evicted, .. } = report;
    let found = [blobs.count, uploads.count, temporary.count, evicted.ttl.count, evicted.size.count];
    let links = [report.manifests, report.layer_links, report.tag_entries, report.referrers, evicted.tags];
    assert_eq!((found, links), ([0; 5], [0; 5]), "{report:?}");
}
