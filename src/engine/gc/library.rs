//! `Library`: what manifests refer to. Each is read once, whatever the number of repositories and tags that have it.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{ByteRange, FileReader, StorageDriver, StorageDriverExt};

use super::Result;
use super::hands::Hands;
use super::ids::{Id, IdHashSet, IdMap, Ids, Mention};
use super::inventory::{Data, History, Inventory};
use super::mentions::{self, Scope};
use super::pulse::Pulse;
use crate::layout::Entry;
use crate::oci::{Algorithm, Descriptor, Digest, Manifest, ManifestKind};

/// All manifests that were read.
#[derive(Debug, Default)]
pub(super) struct Library {
    readings: IdMap<Reading>,
    /// Children of indexes that say to be manifests.
    children: IdHashSet,
}

/// How manifests are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// So many at a time.
    pub(super) concurrency: usize,
    pub(super) hands: Hands,
}

/// What a manifest refers to.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Every digest in it but its subject and what annotations tell, as it is written: aliases, too. None twice.
    pub(super) references: Box<[Id]>,
    pub(super) subject: Option<Id>,
    pub(super) state: State,
}

/// How well a manifest could be read.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) enum State {
    /// Its data are gone.
    #[default]
    Gone,
    /// Whole.
    Understood,
    /// Not one of the kinds we know, but all that looks like a reference is known.
    Guessed(Box<str>),
    /// It may refer to anything.
    Obscure(Box<str>),
}

/// More is no manifest, and not worth the memory. Distribution takes 4 MiB.
const LARGEST_BYTES: u64 = 64 << 20;

impl Library {
    /// One that has read these.
    #[cfg(test)]
    pub(super) fn with(readings: impl IntoIterator<Item = (Id, Reading)>) -> Self {
        Self { readings: readings.into_iter().collect(), children: IdHashSet::default() }
    }

    pub(super) fn get(&self, id: Id) -> Option<&Reading> {
        self.readings.get(&id)
    }

    /// Whether not one manifest could be read.
    pub(super) fn is_blank(&self) -> bool {
        self.readings.values().all(|reading| reading.state == State::Gone)
    }

    pub(super) fn len(&self) -> usize {
        self.readings.values().filter(|reading| reading.state != State::Gone).count()
    }

    /// Reads the manifests of the inventory that were not read before.
    pub(super) async fn read(
        &mut self,
        driver: &Arc<dyn StorageDriver>,
        inventory: &Inventory,
        data: &mut Data,
        ids: &mut Ids,
        how: How,
        pulse: &mut Pulse,
    ) -> Result<()> {
        let revisions = inventory.repositories.iter().flat_map(|contents| &contents.revisions);
        let mut wanted: Vec<Id> = revisions.map(|link| link.id).collect();
        let tags = inventory.repositories.iter().flat_map(|contents| &contents.tags);
        // What a tag points at lives also without a link.
        wanted.extend(tags.flat_map(History::targets).filter(|id| !id.is_alias() && data.is_there(*id)));
        while !wanted.is_empty() {
            wanted.retain(|id| self.readings.get(id).is_none_or(|reading| reading.state == State::Gone));
            wanted.sort_unstable();
            wanted.dedup();
            self.read_these(driver, &wanted, data, ids, how, pulse).await?;
            // Very old registries linked manifests like layers; such a child is met in its index alone.
            let mut children: Vec<Id> = self.children.drain().collect();
            children.sort_unstable();
            wanted = children;
            wanted.retain(|id| !id.is_alias() && !self.readings.contains_key(id) && data.is_there(*id));
        }
        Ok(())
    }

    async fn read_these(
        &mut self,
        driver: &Arc<dyn StorageDriver>,
        wanted: &[Id],
        data: &mut Data,
        ids: &mut Ids,
        how: How,
        pulse: &mut Pulse,
    ) -> Result<()> {
        let wanted = wanted.iter().map(|id| (*id, *ids.hash(*id), data.size_bytes(*id))).collect();
        let read = |piece| read_all(driver.clone(), piece);
        let mut words = how.hands.share(how.hands.pieces(wanted).map(read), how.concurrency);
        while let Some(words) = words.try_next().await? {
            pulse.beat().await?;
            for (id, words) in words {
                if words.state == State::Gone {
                    data.remove(id);
                }
                self.file(id, words, ids);
            }
        }
        Ok(())
    }

    fn file(&mut self, id: Id, words: Words, ids: &mut Ids) {
        self.children.extend(words.children.iter().map(|child| ids.intern_mention(child)));
        let references = words.references.iter().map(|reference| ids.intern_mention(reference));
        let mut met = IdHashSet::default();
        let references = references.filter(|id| met.insert(*id)).collect();
        let subject = words.subject.map(|subject| ids.intern_mention(&subject));
        self.readings.insert(id, Reading { references, subject, state: words.state });
    }
}

/// What a manifest says, while the digests in it have no numbers.
#[derive(Debug, Default)]
struct Words {
    references: Vec<Mention>,
    subject: Option<Mention>,
    /// Those of the references that say to be manifests.
    children: Vec<Mention>,
    state: State,
}

/// Reads some manifests, of which the lengths are known, or not.
async fn read_all(
    driver: Arc<dyn StorageDriver>,
    wanted: Vec<(Id, [u8; 32], Option<u64>)>,
) -> Result<Vec<(Id, Words)>> {
    let mut read = Vec::with_capacity(wanted.len());
    for (id, hash, size_bytes) in wanted {
        let digest = Digest::from_hash(Algorithm::Sha256, &hash);
        read.push((id, read_one(&*driver, &digest, size_bytes).await?));
    }
    Ok(read)
}

async fn read_one(driver: &dyn StorageDriver, digest: &Digest, size_bytes: Option<u64>) -> Result<Words> {
    let path = Entry::Blob(digest.clone()).path();
    let too_large = |size_bytes| Words::obscure(format!("it is no manifest: it has {size_bytes} bytes"));
    let content = match size_bytes {
        Some(size_bytes) if size_bytes > LARGEST_BYTES => return Ok(too_large(size_bytes)),
        Some(_) => driver.get_content_if_any(&path).await?,
        // Opened once, to see how long it is and to read it.
        None => match driver.reader(&path, ByteRange::ALL).await {
            Ok(reader) if reader.size_bytes() > LARGEST_BYTES => return Ok(too_large(reader.size_bytes())),
            Ok(reader) => Some(whole(reader).await?),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        },
    };
    Ok(content.map_or_else(Words::default, |bytes| Words::of(&bytes, digest)))
}

async fn whole(reader: FileReader) -> Result<Bytes> {
    let chunks: Vec<Bytes> = reader.into_stream().try_collect().await?;
    Ok(chunks.concat().into())
}

impl Words {
    fn of(bytes: &[u8], digest: &Digest) -> Self {
        let actual = Digest::sha256_of(bytes);
        if actual != *digest {
            return Self::obscure(format!("its content hashes to {actual}"));
        }
        match Manifest::parse(bytes, None) {
            Ok(manifest) => {
                let may_be_manifest = |child: &&Descriptor| {
                    ManifestKind::from_media_type(&child.media_type).is_some() || child.media_type.is_empty()
                };
                let children = manifest.manifests.iter().filter(may_be_manifest);
                // What is nested more deeply than can be read here, no client reads as a reference.
                let (mentions, _) = mentions::find(bytes, Scope::Manifest);
                Self {
                    references: manifest.references().map(Mention::of).chain(mentions).collect(),
                    subject: manifest.subject.as_ref().map(|subject| Mention::of(&subject.digest)),
                    children: children.map(|child| Mention::of(&child.digest)).collect(),
                    state: State::Understood,
                }
            }
            Err(problem) => match mentions::find(bytes, Scope::Document) {
                (references, Ok(())) => {
                    Self { references, state: State::Guessed(problem.to_string().into()), ..Self::default() }
                }
                (_, Err(error)) => Self::obscure(format!("it is no JSON document: {error}")),
            },
        }
    }

    fn obscure(reason: String) -> Self {
        Self { state: State::Obscure(reason.into()), ..Self::default() }
    }
}
