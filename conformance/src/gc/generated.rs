//! `Generated`: a random test store, and a computation of its garbage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use sampan_driver::{DriverPath, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};

use super::seed::{Seed, image, index, name, tag};
use crate::data;
use crate::failed::{Done, located};

/// The references of a generated manifest.
#[derive(Clone, Default)]
struct Document {
    bytes: Bytes,
    references: Vec<Digest>,
    subject: Option<Digest>,
}

/// What a generated repository has.
#[derive(Clone, Default)]
struct Contents {
    revisions: BTreeSet<Digest>,
    layers: BTreeSet<Digest>,
    /// Aliases of layers.
    aliases: BTreeMap<Digest, Digest>,
    tags: BTreeMap<String, Digest>,
    histories: BTreeSet<(String, Digest)>,
}

/// A random store in which every case is somewhat likely: shared layers, indexes of indexes, missing children, artifacts
/// attached to artifacts, aliases, links without data, tags that point at nothing.
pub(super) struct Generated {
    documents: BTreeMap<Digest, Document>,
    data: BTreeSet<Digest>,
    repositories: BTreeMap<&'static str, Contents>,
    blobs: Vec<Bytes>,
}

impl Generated {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = data::rng(seed);
        let blobs: Vec<Bytes> = (0..16).map(|number| data::bytes(seed * 100 + number, 40)).collect();
        let digests: Vec<Digest> = blobs.iter().map(|blob| Digest::sha256_of(blob)).collect();
        let alias = |rng: &mut StdRng| {
            let blob = &blobs[rng.random_range(0..blobs.len())];
            Digest::of(Algorithm::Sha512, blob)
        };
        let mut generated = Self {
            documents: BTreeMap::new(),
            data: BTreeSet::new(),
            repositories: BTreeMap::new(),
            blobs: blobs.clone(),
        };
        let mut made: Vec<Digest> = Vec::new();
        for number in 0..22 {
            let subject = (number > 6 && rng.random_bool(0.4)).then(|| pick(&mut rng, &made));
            let (bytes, references) = if number > 6 && subject.is_none() && rng.random_bool(0.5) {
                let children: Vec<Digest> =
                    (0..rng.random_range(1..4)).map(|_| pick(&mut rng, &made)).collect();
                (index(&children), children)
            } else {
                let mut layers: Vec<Digest> =
                    (0..rng.random_range(1..4)).map(|_| pick(&mut rng, &digests)).collect();
                if rng.random_bool(0.2) {
                    layers.push(alias(&mut rng));
                }
                let config = pick(&mut rng, &digests);
                let bytes = image(&config, &layers, subject.as_ref());
                layers.push(config);
                (bytes, layers)
            };
            let digest = Digest::sha256_of(&bytes);
            generated.documents.insert(digest.clone(), Document { bytes, references, subject });
            made.push(digest);
        }
        for name in ["a", "a-b", "a/b", "a/b/c", "library/x"] {
            generated.repositories.insert(name, Contents::default());
        }
        generated.data = made.iter().chain(&digests).filter(|_| rng.random_bool(0.95)).cloned().collect();
        let documents = generated.documents.clone();
        for contents in generated.repositories.values_mut() {
            for digest in &made {
                if rng.random_bool(0.6) {
                    continue;
                }
                contents.revisions.insert(digest.clone());
                for reference in documents[digest].references.iter().filter(|_| rng.random_bool(0.95)) {
                    if reference.is_canonical() && !documents.contains_key(reference) {
                        contents.layers.insert(reference.clone());
                    }
                }
            }
            contents.layers.extend(digests.iter().filter(|_| rng.random_bool(0.1)).cloned());
            for blob in blobs.iter().filter(|_| rng.random_bool(0.3)) {
                contents.aliases.insert(Digest::of(Algorithm::Sha512, blob), Digest::sha256_of(blob));
            }
            for number in 0..rng.random_range(0..6) {
                let text = format!("t{number}");
                for _ in 0..rng.random_range(0..3) {
                    contents.histories.insert((text.clone(), pick(&mut rng, &made)));
                }
                if rng.random_bool(0.9) {
                    let target = pick(&mut rng, &made);
                    contents.histories.insert((text.clone(), target.clone()));
                    contents.tags.insert(text, target);
                }
            }
        }
        generated
    }

    #[track_caller]
    pub(super) fn write(&self, driver: &Arc<dyn StorageDriver>) -> impl Done<()> {
        located(async move {
            let seed = Seed::new(driver);
            let documents = self.documents.values().map(|document| &document.bytes);
            for content in documents.chain(&self.blobs) {
                if self.data.contains(&Digest::sha256_of(content)) {
                    seed.blob(content).await?;
                }
            }
            for (repository, contents) in &self.repositories {
                for digest in &contents.revisions {
                    seed.revision(repository, digest).await?;
                }
                for digest in &contents.layers {
                    seed.layer(repository, digest).await?;
                }
                for (alias, canonical) in &contents.aliases {
                    seed.link(Entry::LayerLink(name(repository), alias.clone()), canonical).await?;
                }
                for (text, digest) in &contents.histories {
                    seed.history(repository, text, digest).await?;
                }
                for (text, digest) in &contents.tags {
                    seed.link(Entry::TagCurrent(name(repository), tag(text)), digest).await?;
                }
            }
            Ok(())
        })
    }

    /// All garbage.
    pub(super) fn garbage(&self, delete_untagged: bool) -> BTreeSet<DriverPath> {
        let (mut gone, mut live_data) = (BTreeSet::new(), BTreeSet::new());
        for (repository, contents) in &self.repositories {
            let live = self.live(contents, delete_untagged);
            // A live manifest without data may refer to anything.
            if live.iter().any(|digest| contents.revisions.contains(digest) && !self.data.contains(digest)) {
                let kept: BTreeSet<Digest> = live.union(&contents.revisions).cloned().collect();
                live_data.extend(kept.iter().flat_map(|digest| self.references(contents, digest)));
                live_data.extend(kept);
                live_data.extend(contents.layers.iter().cloned());
                continue;
            }
            let needed: BTreeSet<Digest> =
                live.iter().flat_map(|digest| self.references(contents, digest)).collect();
            let entry = |entry: Entry| entry.path();
            let dead = |digests: &BTreeSet<Digest>, live: &BTreeSet<Digest>| -> Vec<Digest> {
                digests.difference(live).cloned().collect()
            };
            gone.extend(
                dead(&contents.revisions, &live)
                    .into_iter()
                    .map(|d| entry(Entry::RevisionLink(name(repository), d))),
            );
            gone.extend(
                dead(&contents.layers, &needed)
                    .into_iter()
                    .map(|d| entry(Entry::LayerLink(name(repository), d))),
            );
            for (alias, canonical) in &contents.aliases {
                if !(contents.layers.contains(canonical) && needed.contains(canonical)) {
                    gone.insert(entry(Entry::LayerLink(name(repository), alias.clone())));
                }
            }
            let is_told = |text: &String, digest: &Digest| match contents.revisions.contains(digest) {
                true => live.contains(digest),
                // Without it the link would look damaged.
                false => contents.tags.get(text) == Some(digest),
            };
            for (text, digest) in contents.histories.iter().filter(|(text, digest)| !is_told(text, digest)) {
                gone.insert(entry(Entry::TagIndex(name(repository), tag(text), digest.clone())));
            }
            live_data.extend(live);
            live_data.extend(needed);
        }
        gone.extend(self.data.difference(&live_data).map(|digest| Entry::Blob(digest.clone()).path()));
        gone
    }

    /// The live manifests of a repository: begins with the roots, and adds what they reach until nothing is new.
    fn live(&self, contents: &Contents, delete_untagged: bool) -> BTreeSet<Digest> {
        // The target of a tag is live even without a link.
        let is_known = |digest: &&Digest| contents.revisions.contains(*digest) || self.data.contains(*digest);
        let mut live: BTreeSet<Digest> = contents.tags.values().filter(is_known).cloned().collect();
        if !delete_untagged {
            // A link without data is meaningless, unless a tag has ever pointed there.
            let is_told = |digest: &Digest| contents.histories.iter().any(|(_, told)| told == digest);
            let stays = |digest: &&Digest| self.data.contains(*digest) || is_told(digest);
            live.extend(contents.revisions.iter().filter(stays).cloned());
        }
        loop {
            let children = live.iter().flat_map(|digest| self.references(contents, digest));
            let mut more: BTreeSet<Digest> =
                children.filter(|digest| contents.revisions.contains(digest)).collect();
            for digest in contents.revisions.iter().filter(|digest| self.data.contains(digest)) {
                if self.documents[digest].subject.as_ref().is_some_and(|subject| live.contains(subject)) {
                    more.insert(digest.clone());
                }
            }
            let before = live.len();
            live.extend(more);
            if live.len() == before {
                return live;
            }
        }
    }

    /// The references of a manifest in a repository, under the digests of its content.
    fn references(&self, contents: &Contents, digest: &Digest) -> Vec<Digest> {
        if !self.data.contains(digest) {
            return Vec::new();
        }
        let references = self.documents.get(digest).map(|document| document.references.clone());
        let resolve = |digest: Digest| match digest.is_canonical() {
            true => Some(digest),
            false => contents.aliases.get(&digest).cloned(),
        };
        references.into_iter().flatten().filter_map(resolve).collect()
    }
}

fn pick(rng: &mut StdRng, digests: &[Digest]) -> Digest {
    digests[rng.random_range(0..digests.len())].clone()
}
