//! A client that retries, and records the answers of the registry.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow};

use crate::client::{Answer, Client, manifest_path};
use crate::content::{Library, digest};
use crate::look::{Findings, Key, StoreComparison};

/// Effects that the registry has acknowledged, and requested effects that may have happened.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Expected {
    /// Blobs and manifests.
    pub(crate) present: BTreeSet<Key>,
    /// Content that a client has deleted; a power failure may restore it.
    pub(crate) deleted: BTreeSet<Key>,
    /// Digests at which a tag may point; `None` is no tag.
    pub(crate) tags: BTreeMap<Key, BTreeSet<Option<String>>>,
}

/// One effect of a request.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Add(Key),
    Delete(Key),
    /// The tag and its new digest.
    Tag(Key, Option<String>),
}

impl Expected {
    /// Records a requested effect: from now on it may have happened.
    fn attempt(&mut self, effect: &Effect) {
        match effect {
            Effect::Add(key) => {
                self.deleted.remove(key);
            }
            Effect::Delete(key) => {
                self.present.remove(key);
            }
            Effect::Tag(tag, digest) => {
                let states = self.tags.entry(tag.clone()).or_insert_with(|| BTreeSet::from([None]));
                states.insert(digest.clone());
            }
        }
    }

    /// Records an acknowledged effect.
    fn acknowledge(&mut self, effect: &Effect) {
        match effect {
            Effect::Add(key) => {
                self.present.insert(key.clone());
            }
            Effect::Delete(key) => {
                self.deleted.insert(key.clone());
            }
            Effect::Tag(tag, digest) => {
                self.tags.insert(tag.clone(), BTreeSet::from([digest.clone()]));
            }
        }
    }

    /// Makes deletions uncertain, as a power failure does: they are not synced.
    pub(crate) fn after_power_failure(&self, before: &Self) -> Self {
        let mut expected = self.clone();
        expected.deleted.clear();
        for (tag, states) in &mut expected.tags {
            if states.contains(&None) {
                states.extend(before.tags.get(tag).cloned().unwrap_or_default());
            }
        }
        expected
    }
}

/// The error of a request that failed twice: the client has to start again.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

/// A client of one registry.
pub(crate) struct Actor<'a> {
    pub(crate) client: &'a Client,
    pub(crate) library: &'a Library,
    pub(crate) expected: &'a mut Expected,
}

impl Actor<'_> {
    /// Makes a request, and repeats it if it fails.
    pub(crate) fn step(
        &mut self,
        effects: &[Effect],
        mut request: impl FnMut(&Client) -> Result<Answer>,
    ) -> Result<Answer, Refused> {
        effects.iter().for_each(|effect| self.expected.attempt(effect));
        let mut outcome = request(self.client);
        if !outcome.as_ref().is_ok_and(Answer::is_success) {
            outcome = request(self.client);
        }
        let answer = outcome.and_then(|answer| answer.expect("asked twice"));
        let answer = answer.map_err(|error| Refused(format!("{error:#}")))?;
        effects.iter().for_each(|effect| self.expected.acknowledge(effect));
        Ok(answer)
    }

    /// Adds a chunk. If that fails, asks for the offset of the upload and continues from there.
    pub(crate) fn chunk(
        &mut self,
        location: &mut String,
        bytes: &[u8],
        range: std::ops::Range<usize>,
    ) -> Result<(), Refused> {
        let first = self.client.patch(location, range.start, &bytes[range.clone()]);
        let outcome = match first {
            Ok(answer) if answer.is_success() => Ok(answer),
            _ => self.client.get(location).and_then(|status| {
                let status = status.expect("asking for an upload")?;
                let offset = status.offset();
                if offset >= range.end {
                    return Ok(status);
                }
                self.client.patch(location, offset, &bytes[offset..range.end])
            }),
        };
        let answer = outcome
            .and_then(|answer| answer.expect("PATCH"))
            .map_err(|error| Refused(format!("{error:#}")))?;
        if let Some(next) = answer.location {
            *location = next;
        }
        Ok(())
    }

    /// A push in the order of real clients.
    pub(crate) fn push(&mut self, repository: &str, image: &str, tag: &str) -> Result<(), Refused> {
        let Some(manifest) = self.library.manifest(image).cloned() else { return Ok(()) };
        for blob in &manifest.blobs {
            if self.client.has_blob(repository, blob).unwrap_or(false) {
                continue;
            }
            let key = (repository.to_owned(), blob.clone());
            let bytes = self.library.bytes(blob);
            self.step(&[Effect::Add(key)], |client| {
                client.push_blob(repository, blob, &bytes, crate::client::Way::Put)
            })?;
        }
        let key = (repository.to_owned(), image.to_owned());
        let tagged = Effect::Tag((repository.to_owned(), tag.to_owned()), Some(image.to_owned()));
        self.step(&[Effect::Add(key), tagged], |client| {
            client.put_manifest(repository, tag, &manifest.text, &manifest.media_type)
        })?;
        Ok(())
    }
}

/// Compares the served content with the expected content.
pub(crate) fn verify(client: &Client, library: &Library, expected: &Expected, findings: &mut Findings) {
    let mut look = StoreComparison { client, library, served: BTreeMap::new(), findings };
    for key in expected.present.clone() {
        if !look.serves(&key) {
            look.findings.add("acknowledged, and not there", format!("{}@{}", key.0, key.1));
        }
    }
    for key in &expected.deleted {
        if look.serves(key) {
            look.findings.add("deleted, and still there", format!("{}@{}", key.0, key.1));
        }
    }
    let repositories: BTreeSet<&String> =
        expected.present.iter().chain(expected.tags.keys()).map(|(repository, _)| repository).collect();
    for repository in repositories {
        for image in library.manifests() {
            let key = (repository.clone(), image.clone());
            if look.serves(&key) {
                look.is_complete(&key, "a manifest is served that is incomplete");
            }
        }
    }
    for ((repository, tag), states) in &expected.tags {
        let found = match client.get(&manifest_path(repository, tag)) {
            Ok(answer) if answer.status == 200 => Ok(Some(digest(&answer.body))),
            Ok(answer) if answer.status == 404 => Ok(None),
            Ok(answer) => Err(anyhow!("{}", answer.status)),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) if states.contains(&found) => {
                if let Some(image) = found {
                    look.is_complete(&(repository.clone(), image), "a tag points at what is incomplete");
                }
            }
            Ok(found) => {
                let what = format!("{repository}:{tag} is {found:?}, which is none of {states:?}");
                look.findings.add("a tag points elsewhere", what);
            }
            Err(error) => look.findings.add("error", format!("{repository}:{tag}: {error:#}")),
        }
    }
}
