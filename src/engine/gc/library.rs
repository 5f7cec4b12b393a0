//! `Library`: what manifests refer to. Each is read once, whatever the number of repositories and tags that have it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{StorageDriver, StorageDriverExt};
use serde_json::Value;

use super::Result;
use super::ids::{Id, Ids};
use super::inventory::{Data, Inventory, data_path};
use super::pulse::Pulse;
use crate::oci::{Digest, Manifest, ManifestKind};

/// All manifests that were read.
#[derive(Debug, Default)]
pub(super) struct Library {
    readings: HashMap<Id, Reading>,
    /// Children of indexes that say to be manifests.
    children: HashSet<Id>,
}

/// How manifests are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// So many at a time.
    pub(super) concurrency: usize,
    /// Data that were modified later are young.
    pub(super) cutoff: SystemTime,
}

/// What a manifest refers to.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Everything but its subject, as it is written: aliases, too.
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
    pub(super) fn get(&self, id: Id) -> Option<&Reading> {
        self.readings.get(&id)
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
        let paths: Vec<_> = wanted
            .iter()
            .map(|id| (*id, data_path(ids, *id), data.size_bytes(*id), data.is_unknown(*id)))
            .collect();
        let mut contents = stream::iter(paths)
            .map(|(id, path, size_bytes, is_unknown)| {
                let driver = driver.clone();
                async move {
                    let info = if is_unknown { driver.stat_if_any(&path).await? } else { None };
                    let seen = is_unknown.then_some(info);
                    let size_bytes =
                        seen.as_ref().and_then(Option::as_ref).map(|info| info.size_bytes).or(size_bytes);
                    if let Some(size_bytes) = size_bytes.filter(|size_bytes| *size_bytes > LARGEST_BYTES) {
                        return Ok((id, seen, Err(size_bytes)));
                    }
                    Ok::<_, super::Error>((id, seen, Ok(driver.get_content_if_any(&path).await?)))
                }
            })
            .buffered(how.concurrency.max(1));
        while let Some((id, seen, content)) = contents.try_next().await? {
            pulse.beat().await?;
            if let Some(info) = seen {
                data.set(id, info.as_ref(), how.cutoff);
            }
            let reading = match content {
                Ok(Some(bytes)) => self.understand(id, &bytes, ids),
                Ok(None) => Reading::default(),
                Err(size_bytes) => {
                    let reason = format!("it is no manifest: it has {size_bytes} bytes");
                    Reading { state: State::Obscure(reason.into()), ..Reading::default() }
                }
            };
            self.readings.insert(id, reading);
        }
        Ok(())
    }

    fn understand(&mut self, id: Id, bytes: &[u8], ids: &mut Ids) -> Reading {
        let actual = Digest::sha256_of(bytes);
        if actual != ids.digest(id) {
            let reason = format!("its content hashes to {actual}");
            return Reading { state: State::Obscure(reason.into()), ..Reading::default() };
        }
        match Manifest::parse(bytes, None) {
            Ok(manifest) => {
                for child in &manifest.manifests {
                    let kind = ManifestKind::from_media_type(&child.media_type);
                    if kind.is_some() || child.media_type.is_empty() {
                        self.children.insert(ids.intern(&child.digest));
                    }
                }
                let references = manifest.references().map(|digest| ids.intern(digest)).collect();
                let subject = manifest.subject.as_ref().map(|subject| ids.intern(&subject.digest));
                Reading { references, subject, state: State::Understood }
            }
            Err(problem) => match serde_json::from_slice::<Value>(bytes) {
                Ok(json) => {
                    let mut references = Vec::new();
                    guess(&json, ids, &mut references);
                    let state = State::Guessed(problem.to_string().into());
                    Reading { references: references.into(), subject: None, state }
                }
                Err(error) => {
                    let reason = format!("it is no JSON document: {error}");
                    Reading { state: State::Obscure(reason.into()), ..Reading::default() }
                }
            },
        }
    }
}

/// Every text in a document that is a digest.
fn guess(json: &Value, ids: &mut Ids, found: &mut Vec<Id>) {
    match json {
        Value::String(text) => found.extend(text.parse::<Digest>().map(|digest| ids.intern(&digest))),
        Value::Array(values) => values.iter().for_each(|value| guess(value, ids, found)),
        Value::Object(fields) => {
            for (key, value) in fields {
                found.extend(key.parse::<Digest>().map(|digest| ids.intern(&digest)));
                guess(value, ids, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
