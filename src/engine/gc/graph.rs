//! `ReferenceGraph`: which manifest refers to what. It reads each manifest once, however many repositories and tags have
//! it.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{ByteRange, DriverError, DriverPath, ErrorKind, StorageDriver, with_causes};

use super::Result;
use super::interner::{DigestInterner, DigestRef, Id, IdHashSet, IdMap};
use super::inventory::{Data, History, Inventory};
use super::mentions::{self, Scope};
use super::pacer::Pacer;
use super::parallelism::Parallelism;
use crate::layout::Entry;
use crate::oci::{Algorithm, Digest, LARGEST_BYTES, Manifest};

/// The references of all manifests that were read.
#[derive(Debug, Default)]
pub(super) struct ReferenceGraph {
    readings: IdMap<ManifestRefs>,
    /// Children of indexes whose descriptors say that they are manifests.
    children: IdHashSet,
}

/// How to read manifests.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadOptions {
    /// How many are read at a time.
    pub(super) concurrency: usize,
    pub(super) parallelism: Parallelism,
}

/// The references of a manifest.
#[derive(Debug, Default)]
pub(super) struct ManifestRefs {
    /// Every digest in the manifest except its subject and those in annotations, as written: aliases, too. No digest
    /// appears twice.
    pub(super) references: Box<[Id]>,
    pub(super) subject: Option<Id>,
    pub(super) state: State,
}

/// How well a manifest could be read.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) enum State {
    /// Its data are gone.
    #[default]
    Missing,
    /// It was parsed in full.
    Parsed,
    /// It is of an unknown kind, but everything in it that looks like a reference is known.
    Heuristic(Box<str>),
    /// It may refer to anything.
    Unreadable(Box<str>),
}

impl ReferenceGraph {
    /// A graph that has read these manifests.
    #[cfg(test)]
    pub(super) fn with(readings: impl IntoIterator<Item = (Id, ManifestRefs)>) -> Self {
        Self { readings: readings.into_iter().collect(), children: IdHashSet::default() }
    }

    /// Takes the references of a manifest that was read before, so that it is not read again.
    pub(super) fn know(&mut self, id: Id, references: Box<[Id]>) {
        self.readings.insert(id, ManifestRefs { references, subject: None, state: State::Parsed });
    }

    /// The references of a manifest, if it was parsed in full.
    pub(super) fn parsed(&self, id: Id) -> Option<&[Id]> {
        let reading = self.readings.get(&id).filter(|reading| reading.state == State::Parsed)?;
        Some(&reading.references)
    }

    pub(super) fn get(&self, id: Id) -> Option<&ManifestRefs> {
        self.readings.get(&id)
    }

    /// Whether not a single manifest could be read.
    pub(super) fn is_blank(&self) -> bool {
        self.readings.values().all(|reading| reading.state == State::Missing)
    }

    pub(super) fn len(&self) -> usize {
        self.readings.values().filter(|reading| reading.state != State::Missing).count()
    }

    /// Reads those manifests of the inventory that were not read before.
    pub(super) async fn read(
        &mut self,
        driver: &Arc<dyn StorageDriver>,
        inventory: &Inventory,
        data: &mut Data,
        ids: &mut DigestInterner,
        how: ReadOptions,
        pacer: &mut Pacer,
    ) -> Result<()> {
        let revisions = inventory.repositories.iter().flat_map(|contents| &contents.revisions);
        let mut wanted: Vec<Id> = revisions.map(|link| link.id).collect();
        let tags = inventory.repositories.iter().flat_map(|contents| &contents.tags);
        // A tag keeps its manifest alive even without a link.
        wanted.extend(tags.flat_map(History::targets).filter(|id| !id.is_alias() && data.is_there(*id)));
        while !wanted.is_empty() {
            wanted.retain(|id| self.readings.get(id).is_none_or(|reading| reading.state == State::Missing));
            wanted.sort_unstable();
            wanted.dedup();
            self.read_these(driver, &wanted, data, ids, how, pacer).await?;
            // Very old registries linked manifests like layers; such a child appears only in its index.
            let mut children: Vec<Id> = self.children.drain().collect();
            children.sort_unstable();
            wanted = children;
            wanted.retain(|id| !id.is_alias() && !self.readings.contains_key(id) && data.is_there(*id));
        }
        Ok(())
    }

    /// Takes manifests whose data were moved aside for unreadable ones: a push brings them back, and with them their references.
    pub(super) fn expect_back(&mut self, moved_aside: &[Id]) {
        for id in moved_aside {
            if let Some(reading) = self.readings.get_mut(id)
                && reading.state == State::Missing
            {
                reading.state = State::Unreadable("its data were damaged, and moved aside".into());
            }
        }
    }

    async fn read_these(
        &mut self,
        driver: &Arc<dyn StorageDriver>,
        wanted: &[Id],
        data: &mut Data,
        ids: &mut DigestInterner,
        how: ReadOptions,
        pacer: &mut Pacer,
    ) -> Result<()> {
        let wanted = wanted.iter().map(|id| (*id, *ids.hash(*id), data.size_bytes(*id))).collect();
        let read = |piece| read_all(driver.clone(), piece);
        let mut words = how.parallelism.run_all(how.parallelism.chunks(wanted).map(read), how.concurrency);
        while let Some(words) = words.try_next().await? {
            pacer.tick().await?;
            for (id, words) in words {
                if words.state == State::Missing {
                    data.remove(id);
                }
                self.file(id, words, ids);
            }
        }
        Ok(())
    }

    fn file(&mut self, id: Id, words: ParsedManifest, ids: &mut DigestInterner) {
        self.children.extend(words.children.iter().map(|child| ids.intern_mention(child)));
        let references = words.references.iter().map(|reference| ids.intern_mention(reference));
        let mut met = IdHashSet::default();
        let references = references.filter(|id| met.insert(*id)).collect();
        let subject = words.subject.map(|subject| ids.intern_mention(&subject));
        self.readings.insert(id, ManifestRefs { references, subject, state: words.state });
    }
}

/// The content of a manifest whose digests have no ids yet.
#[derive(Debug, Default)]
struct ParsedManifest {
    references: Vec<DigestRef>,
    subject: Option<DigestRef>,
    /// Those references whose descriptors say that they are manifests.
    children: Vec<DigestRef>,
    state: State,
}

/// Reads manifests whose sizes may be known.
async fn read_all(
    driver: Arc<dyn StorageDriver>,
    wanted: Vec<(Id, [u8; 32], Option<u64>)>,
) -> Result<Vec<(Id, ParsedManifest)>> {
    let mut read = Vec::with_capacity(wanted.len());
    for (id, hash, size_bytes) in wanted {
        let digest = Digest::from_hash(Algorithm::Sha256, &hash);
        read.push((id, read_one(&*driver, &digest, size_bytes).await?));
    }
    Ok(read)
}

async fn read_one(
    driver: &dyn StorageDriver,
    digest: &Digest,
    size_bytes: Option<u64>,
) -> Result<ParsedManifest> {
    match content(driver, &Entry::Blob(digest.clone()).path(), size_bytes).await {
        Ok(Content::Whole(bytes)) => Ok(ParsedManifest::of(&bytes, digest)),
        Ok(Content::TooLarge(size_bytes)) => {
            Ok(ParsedManifest::obscure(format!("it is no manifest: it has {size_bytes} bytes")))
        }
        // A store of which a part is away may answer so.
        Err(error) if error.is_not_found() && size_bytes.is_some() => {
            Ok(ParsedManifest::obscure("the store lists it, but does not have it".to_owned()))
        }
        Err(error) if error.is_not_found() => Ok(ParsedManifest::default()),
        Err(error) if is_of_this_file(&error) => Ok(ParsedManifest::obscure(with_causes(&error).to_string())),
        Err(error) => Err(error.into()),
    }
}

enum Content {
    Whole(Bytes),
    /// No manifest is so large; with its bytes.
    TooLarge(u64),
}

/// Reads a file whose length may be known.
async fn content(
    driver: &dyn StorageDriver,
    path: &DriverPath,
    size_bytes: Option<u64>,
) -> sampan_driver::Result<Content> {
    match size_bytes {
        Some(size_bytes) if size_bytes > LARGEST_BYTES => Ok(Content::TooLarge(size_bytes)),
        Some(_) => driver.get_content(path).await.map(Content::Whole),
        // Opens the file once, to learn its size and to read it.
        None => {
            let reader = driver.reader(path, ByteRange::ALL).await?;
            if reader.size_bytes() > LARGEST_BYTES {
                return Ok(Content::TooLarge(reader.size_bytes()));
            }
            let chunks: Vec<Bytes> = reader.into_stream().try_collect().await?;
            Ok(Content::Whole(chunks.concat().into()))
        }
    }
}

/// Whether an error is about one file, as of a damaged sector or lost permissions, and not about the whole store.
pub(super) fn is_of_this_file(error: &DriverError) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unseen | ErrorKind::Other)
}

impl ParsedManifest {
    fn of(bytes: &[u8], digest: &Digest) -> Self {
        let actual = Digest::sha256_of(bytes);
        if actual != *digest {
            return Self::obscure(format!("its content hashes to {actual}"));
        }
        match Manifest::parse(bytes, None) {
            Ok(manifest) => {
                let children = manifest.manifests.iter().filter(|child| child.may_be_manifest());
                // No client reads anything as a reference that is nested too deeply for this parser.
                let (mentions, _) = mentions::find(bytes, Scope::Manifest);
                Self {
                    references: manifest.references().map(DigestRef::of).chain(mentions).collect(),
                    subject: manifest.subject.as_ref().map(|subject| DigestRef::of(&subject.digest)),
                    children: children.map(|child| DigestRef::of(&child.digest)).collect(),
                    state: State::Parsed,
                }
            }
            Err(problem) => match mentions::find(bytes, Scope::Document) {
                (references, Ok(())) => Self {
                    references,
                    state: State::Heuristic(problem.to_string().into()),
                    ..Self::default()
                },
                (_, Err(error)) => Self::obscure(format!("it is no JSON document: {error}")),
            },
        }
    }

    fn obscure(reason: String) -> Self {
        Self { state: State::Unreadable(reason.into()), ..Self::default() }
    }
}
