//! The size of each repository, and how much of it is shared with others.

use std::collections::{HashMap, HashSet};

use sampan_engine::oci::{Descriptor, Digest};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::listing::{is_among, is_stored};
use super::source::{LoadedManifest, Source, SourceError};

/// The size of a registry.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Usage {
    /// The repositories, sorted.
    pub repositories: Vec<RepositoryUsage>,
    /// The size of all repositories together, each content counted once.
    pub size_bytes: u64,
    /// The size of content without a reference, which a collection may free; `None` through the API.
    pub unreferenced_bytes: Option<u64>,
    /// Manifests that are not readable or parseable, whose content is therefore not counted.
    pub unreadable: u64,
}

/// The size of a repository.
#[derive(Clone, Debug, Serialize)]
pub struct RepositoryUsage {
    /// The repository's name.
    pub repository: String,
    /// The number of tags.
    pub tags: u64,
    /// The number of manifests; through the API, those reachable from tags.
    pub manifests: u64,
    /// The size of all its content.
    pub size_bytes: u64,
    /// The size of content that no other repository needs.
    pub own_bytes: u64,
    /// The size of content that other repositories need too.
    pub shared_bytes: u64,
}

/// A digest in 32 bytes, whatever its algorithm: a large store has millions.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key([u8; 32]);

impl Key {
    pub(super) fn of(digest: &Digest) -> Self {
        Self(Sha256::digest(digest.to_string()).into())
    }
}

/// A blob's size, and the repository that needs it, if there is only one.
struct Content {
    size_bytes: u64,
    owner: Option<usize>,
}

/// Measures all repositories, and returns those with these names and those below them; all without names.
///
/// # Errors
///
/// The source is not readable.
pub async fn measure(source: &Source, names: &[String]) -> Result<Usage, SourceError> {
    let blobs = match source {
        Source::Store(store) => Some(store.blobs().await?),
        Source::Remote(_) => None,
    };
    let mut usage = Usage::default();
    let mut contents: HashMap<Key, Content> = HashMap::new();
    for (index, repository) in source.repositories().await?.into_iter().enumerate() {
        let tags = source.tags(&repository).await?;
        let mut room = RepositoryBytes { blobs: blobs.as_ref(), seen: HashSet::new(), parts: Vec::new() };
        let mut manifests = 0;
        let roots = match source {
            Source::Store(store) => store.revisions(&repository).await?,
            Source::Remote(_) => tags.clone(),
        };
        let mut pending: Vec<String> = roots;
        let mut read = HashSet::new();
        while let Some(reference) = pending.pop() {
            let Some(mut found) = source.manifest(&repository, &reference).await? else {
                usage.unreadable += 1;
                continue;
            };
            if !read.insert(Key::of(&found.digest)) {
                continue;
            }
            manifests += 1;
            if let Source::Store(store) = source {
                store.make_canonical(&repository, &mut found.manifest).await?;
            }
            room.add(&found);
            // In the store, each child has its own link.
            if blobs.is_none() {
                pending.extend(found.manifest.manifests.iter().map(|child| child.digest.to_string()));
            }
        }
        let size_bytes = room.parts.iter().fold(0, |sum: u64, (_, size)| sum.saturating_add(*size));
        for (key, size_bytes) in room.parts {
            contents
                .entry(key)
                .and_modify(|content| content.owner = None)
                .or_insert(Content { size_bytes, owner: Some(index) });
        }
        let tags = tags.len() as u64;
        usage.repositories.push(RepositoryUsage {
            repository,
            tags,
            manifests,
            size_bytes,
            own_bytes: 0,
            shared_bytes: 0,
        });
    }
    for content in contents.values() {
        usage.size_bytes = usage.size_bytes.saturating_add(content.size_bytes);
        if let Some(owner) = content.owner {
            let own_bytes = &mut usage.repositories[owner].own_bytes;
            *own_bytes = own_bytes.saturating_add(content.size_bytes);
        }
    }
    for repository in &mut usage.repositories {
        repository.shared_bytes = repository.size_bytes.saturating_sub(repository.own_bytes);
    }
    usage.unreferenced_bytes = blobs
        .map(|blobs| blobs.iter().filter(|(key, _)| !contents.contains_key(key)).map(|(_, size)| size).sum());
    usage.repositories.retain(|usage| is_among(&usage.repository, names));
    Ok(usage)
}

/// The content of one repository.
struct RepositoryBytes<'a> {
    blobs: Option<&'a HashMap<Key, u64>>,
    seen: HashSet<Key>,
    parts: Vec<(Key, u64)>,
}

impl RepositoryBytes<'_> {
    fn add(&mut self, found: &LoadedManifest) {
        self.part(&found.digest, found.size_bytes);
        let layers = found.manifest.layers.iter().filter(|layer| is_stored(layer) || self.blobs.is_some());
        let parts: Vec<&Descriptor> = found.manifest.config.iter().chain(layers).collect();
        for part in parts {
            self.part(&part.digest, part.size);
        }
    }

    /// The size in the store counts; through the API there is only the manifest's.
    fn part(&mut self, digest: &Digest, said_bytes: u64) {
        let key = Key::of(digest);
        let size_bytes = match self.blobs {
            None => Some(said_bytes),
            Some(blobs) => blobs.get(&key).copied(),
        };
        if let Some(size_bytes) = size_bytes.filter(|_| self.seen.insert(key)) {
            self.parts.push((key, size_bytes));
        }
    }
}
