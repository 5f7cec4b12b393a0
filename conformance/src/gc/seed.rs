//! `Seed`: a test store written file by file, and a computation of its garbage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use sampan_driver::{DriverPath, PutMode, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest, RepositoryName, Tag};
use serde_json::{Value, json};

use crate::data;
use crate::failed::{Done, located};

/// A store in the making.
#[derive(Clone)]
pub(super) struct Seed {
    driver: Arc<dyn StorageDriver>,
}

impl Seed {
    pub(super) fn new(driver: &Arc<dyn StorageDriver>) -> Self {
        Self { driver: driver.clone() }
    }

    /// Writes a file.
    #[track_caller]
    pub(super) fn put(&self, path: &DriverPath, content: impl Into<Bytes>) -> impl Done<()> {
        located(async move { Ok(self.driver.put_content(path, content.into(), PutMode::Overwrite).await?) })
    }

    /// Writes a link of the layout.
    #[track_caller]
    pub(super) fn link(&self, entry: Entry, target: &Digest) -> impl Done<DriverPath> {
        located(async move {
            let path = entry.path();
            self.put(&path, target.to_string()).await?;
            Ok(path)
        })
    }

    /// Writes data without a link.
    #[track_caller]
    pub(super) fn blob(&self, content: &Bytes) -> impl Done<Digest> {
        located(async move {
            let digest = Digest::sha256_of(content);
            self.put(&Entry::Blob(digest.clone()).path(), content.clone()).await?;
            Ok(digest)
        })
    }

    #[track_caller]
    pub(super) fn layer(&self, repository: &str, digest: &Digest) -> impl Done<DriverPath> {
        located(async move { self.link(Entry::LayerLink(name(repository), digest.clone()), digest).await })
    }

    #[track_caller]
    pub(super) fn revision(&self, repository: &str, digest: &Digest) -> impl Done<DriverPath> {
        located(async move { self.link(Entry::RevisionLink(name(repository), digest.clone()), digest).await })
    }

    /// A tag with one entry in its history.
    #[track_caller]
    pub(super) fn tag(&self, repository: &str, text: &str, digest: &Digest) -> impl Done<()> {
        located(async move {
            self.history(repository, text, digest).await?;
            self.link(Entry::TagCurrent(name(repository), tag(text)), digest).await?;
            Ok(())
        })
    }

    #[track_caller]
    pub(super) fn history(&self, repository: &str, text: &str, digest: &Digest) -> impl Done<DriverPath> {
        located(async move {
            self.link(Entry::TagIndex(name(repository), tag(text), digest.clone()), digest).await
        })
    }

    /// A manifest with its link; in a cache, with the mark that it was fetched.
    #[track_caller]
    pub(super) fn manifest(&self, repository: &str, manifest: &Bytes) -> impl Done<Digest> {
        located(async move {
            let digest = self.blob(manifest).await?;
            self.revision(repository, &digest).await?;
            if is_cache(repository) {
                self.link(Entry::Fetched(name(repository), digest.clone()), &digest).await?;
            }
            Ok(digest)
        })
    }

    /// Deletes a file.
    #[track_caller]
    pub(super) fn remove(&self, entry: Entry) -> impl Done<()> {
        located(async move { Ok(self.driver.delete(&entry.path()).await?) })
    }

    /// An image of a configuration and two layers, all of which differ from those of other numbers.
    #[track_caller]
    pub(super) fn image(&self, repository: &str, number: u64) -> impl Done<Image> {
        located(async move {
            let mut blobs = Vec::new();
            for part in 0..3 {
                let digest = self.blob(&data::bytes(number * 3 + part, 100)).await?;
                self.layer(repository, &digest).await?;
                blobs.push(digest);
            }
            let bytes = image(&blobs[0], &blobs[1..], None);
            Ok(Image { manifest: self.manifest(repository, &bytes).await?, bytes, blobs })
        })
    }
}

/// Whether the repository is a cache in the seeded stores.
fn is_cache(repository: &str) -> bool {
    ["hub/", "quay/"].iter().any(|prefix| repository.starts_with(prefix))
}

/// A written image.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) manifest: Digest,
    pub(super) bytes: Bytes,
    pub(super) blobs: Vec<Digest>,
}

impl Image {
    /// Every file of the image in a repository, its data included.
    pub(super) fn files(&self, repository: &str) -> Vec<DriverPath> {
        let mut files = vec![
            Entry::RevisionLink(name(repository), self.manifest.clone()).path(),
            Entry::Blob(self.manifest.clone()).path(),
        ];
        if is_cache(repository) {
            files.push(Entry::Fetched(name(repository), self.manifest.clone()).path());
        }
        for blob in &self.blobs {
            files.push(Entry::LayerLink(name(repository), blob.clone()).path());
            files.push(Entry::Blob(blob.clone()).path());
        }
        files
    }
}

pub(super) fn image(config: &Digest, layers: &[Digest], subject: Option<&Digest>) -> Bytes {
    let layers: Vec<Value> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
    let mut json = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": layers,
    });
    if let Some(subject) = subject {
        json["subject"] = descriptor(MANIFEST, subject);
    }
    json.to_string().into()
}

pub(super) fn index(children: &[Digest]) -> Bytes {
    let children: Vec<Value> = children.iter().map(|child| descriptor(MANIFEST, child)).collect();
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children }).to_string().into()
}

fn descriptor(media_type: &str, digest: &Digest) -> Value {
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": 1 })
}

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

#[track_caller]
pub(super) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
pub(super) fn tag(text: &str) -> Tag {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// The references of a generated manifest.
#[derive(Clone, Default)]
struct Document {
    bytes: Bytes,
    references: Vec<Digest>,
    subject: Option<Digest>,
}

/// A generated repository.
#[derive(Clone, Default)]
struct Room {
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
    rooms: BTreeMap<&'static str, Room>,
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
            rooms: BTreeMap::new(),
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
            generated.rooms.insert(name, Room::default());
        }
        generated.data = made.iter().chain(&digests).filter(|_| rng.random_bool(0.95)).cloned().collect();
        let documents = generated.documents.clone();
        for room in generated.rooms.values_mut() {
            for digest in &made {
                if rng.random_bool(0.6) {
                    continue;
                }
                room.revisions.insert(digest.clone());
                for reference in documents[digest].references.iter().filter(|_| rng.random_bool(0.95)) {
                    if reference.is_canonical() && !documents.contains_key(reference) {
                        room.layers.insert(reference.clone());
                    }
                }
            }
            room.layers.extend(digests.iter().filter(|_| rng.random_bool(0.1)).cloned());
            for blob in blobs.iter().filter(|_| rng.random_bool(0.3)) {
                room.aliases.insert(Digest::of(Algorithm::Sha512, blob), Digest::sha256_of(blob));
            }
            for number in 0..rng.random_range(0..6) {
                let text = format!("t{number}");
                for _ in 0..rng.random_range(0..3) {
                    room.histories.insert((text.clone(), pick(&mut rng, &made)));
                }
                if rng.random_bool(0.9) {
                    let target = pick(&mut rng, &made);
                    room.histories.insert((text.clone(), target.clone()));
                    room.tags.insert(text, target);
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
            for (repository, room) in &self.rooms {
                for digest in &room.revisions {
                    seed.revision(repository, digest).await?;
                }
                for digest in &room.layers {
                    seed.layer(repository, digest).await?;
                }
                for (alias, canonical) in &room.aliases {
                    seed.link(Entry::LayerLink(name(repository), alias.clone()), canonical).await?;
                }
                for (text, digest) in &room.histories {
                    seed.history(repository, text, digest).await?;
                }
                for (text, digest) in &room.tags {
                    seed.link(Entry::TagCurrent(name(repository), tag(text)), digest).await?;
                }
            }
            Ok(())
        })
    }

    /// All garbage.
    pub(super) fn garbage(&self, delete_untagged: bool) -> BTreeSet<DriverPath> {
        let (mut gone, mut live_data) = (BTreeSet::new(), BTreeSet::new());
        for (repository, room) in &self.rooms {
            let live = self.live(room, delete_untagged);
            // A live manifest without data may refer to anything.
            if live.iter().any(|digest| room.revisions.contains(digest) && !self.data.contains(digest)) {
                let kept: BTreeSet<Digest> = live.union(&room.revisions).cloned().collect();
                live_data.extend(kept.iter().flat_map(|digest| self.references(room, digest)));
                live_data.extend(kept);
                live_data.extend(room.layers.iter().cloned());
                continue;
            }
            let needed: BTreeSet<Digest> =
                live.iter().flat_map(|digest| self.references(room, digest)).collect();
            let entry = |entry: Entry| entry.path();
            let dead = |digests: &BTreeSet<Digest>, live: &BTreeSet<Digest>| -> Vec<Digest> {
                digests.difference(live).cloned().collect()
            };
            gone.extend(
                dead(&room.revisions, &live)
                    .into_iter()
                    .map(|d| entry(Entry::RevisionLink(name(repository), d))),
            );
            gone.extend(
                dead(&room.layers, &needed).into_iter().map(|d| entry(Entry::LayerLink(name(repository), d))),
            );
            for (alias, canonical) in &room.aliases {
                if !(room.layers.contains(canonical) && needed.contains(canonical)) {
                    gone.insert(entry(Entry::LayerLink(name(repository), alias.clone())));
                }
            }
            let is_told = |text: &String, digest: &Digest| match room.revisions.contains(digest) {
                true => live.contains(digest),
                // Without it the link would look damaged.
                false => room.tags.get(text) == Some(digest),
            };
            for (text, digest) in room.histories.iter().filter(|(text, digest)| !is_told(text, digest)) {
                gone.insert(entry(Entry::TagIndex(name(repository), tag(text), digest.clone())));
            }
            live_data.extend(live);
            live_data.extend(needed);
        }
        gone.extend(self.data.difference(&live_data).map(|digest| Entry::Blob(digest.clone()).path()));
        gone
    }

    /// The live manifests of a repository: begins with the roots, and adds what they reach until nothing is new.
    fn live(&self, room: &Room, delete_untagged: bool) -> BTreeSet<Digest> {
        // The target of a tag is live even without a link.
        let is_known = |digest: &&Digest| room.revisions.contains(*digest) || self.data.contains(*digest);
        let mut live: BTreeSet<Digest> = room.tags.values().filter(is_known).cloned().collect();
        if !delete_untagged {
            // A link without data is meaningless, unless a tag has ever pointed there.
            let is_told = |digest: &Digest| room.histories.iter().any(|(_, told)| told == digest);
            let stays = |digest: &&Digest| self.data.contains(*digest) || is_told(digest);
            live.extend(room.revisions.iter().filter(stays).cloned());
        }
        loop {
            let children = live.iter().flat_map(|digest| self.references(room, digest));
            let mut more: BTreeSet<Digest> =
                children.filter(|digest| room.revisions.contains(digest)).collect();
            for digest in room.revisions.iter().filter(|digest| self.data.contains(digest)) {
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
    fn references(&self, room: &Room, digest: &Digest) -> Vec<Digest> {
        if !self.data.contains(digest) {
            return Vec::new();
        }
        let references = self.documents.get(digest).map(|document| document.references.clone());
        let resolve = |digest: Digest| match digest.is_canonical() {
            true => Some(digest),
            false => room.aliases.get(&digest).cloned(),
        };
        references.into_iter().flatten().filter_map(resolve).collect()
    }
}

fn pick(rng: &mut StdRng, digests: &[Digest]) -> Digest {
    digests[rng.random_range(0..digests.len())].clone()
}
