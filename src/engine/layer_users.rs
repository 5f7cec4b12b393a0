//! `LayerUsers`: which manifests of the store refer to which content, for pages that show what images share.
//!
//! A walk makes it between collections, and it stays in memory. It is a hint, never proof: it is as old as it says, and a client
//! may see a part of it alone, which the caller decides by the repositories.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::Registry;
use crate::oci::{Algorithm, Digest, RepositoryName};

/// Which manifests refer to which content.
#[derive(Eq, PartialEq)]
pub struct LayerUsers {
    as_of: SystemTime,
    /// In the order of their names.
    repositories: Vec<RepositoryName>,
    /// In the order of their repositories, and then of their digests.
    manifests: Vec<Linked>,
    /// The references of manifests, in order.
    content: Vec<Hash>,
    /// Where the manifests of each content begin in `users`, and the end of the last one.
    starts: Vec<u32>,
    /// Positions in `manifests`.
    users: Vec<u32>,
    left_out: u64,
}

/// A manifest that refers to some content. The name is no permission to show it to a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LayerUser<'a> {
    /// The repository that links the manifest.
    pub repository: &'a RepositoryName,
    /// The position of the repository among all that have manifests.
    pub place: usize,
    hash: &'a Hash,
}

/// The binary value of a canonical digest.
type Hash = [u8; 32];

#[derive(Clone, Copy, Eq, PartialEq)]
struct Linked {
    repository: u32,
    hash: Hash,
}

/// The memory for all manifests and references, in bytes: those of some 37,000 images.
const MAX_BYTES: usize = 16 << 20;

/// The memory that a reference takes at most, in bytes.
const REFERENCE_BYTES: usize = size_of::<Hash>() + 2 * size_of::<u32>();

impl LayerUsers {
    /// When the walk began.
    pub fn as_of(&self) -> SystemTime {
        self.as_of
    }

    /// The number of manifests for which there was no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The number of repositories that have manifests.
    pub fn repositories(&self) -> usize {
        self.repositories.len()
    }

    /// The manifests that refer to a canonical digest, in the order of their repositories' names and their digests.
    pub fn of(&self, content: &Digest) -> impl Iterator<Item = LayerUser<'_>> {
        let place = content.canonical_hash().and_then(|hash| self.content.binary_search(&hash).ok());
        let users = place.map_or(&[][..], |place| self.users_at(place));
        users.iter().filter_map(|user| {
            let Linked { repository, hash } = self.manifests.get(*user as usize)?;
            let place = *repository as usize;
            Some(LayerUser { repository: self.repositories.get(place)?, place, hash })
        })
    }

    /// Each manifest with what it refers to.
    pub(crate) fn manifests(&self) -> impl Iterator<Item = (&Hash, Vec<&Hash>)> {
        let mut references = vec![Vec::new(); self.manifests.len()];
        for (place, content) in self.content.iter().enumerate() {
            for user in self.users_at(place) {
                references[*user as usize].push(content);
            }
        }
        let mut met = HashSet::new();
        let all = self.manifests.iter().zip(references);
        all.filter(move |(it, _)| met.insert(it.hash)).map(|(it, references)| (&it.hash, references))
    }

    fn users_at(&self, place: usize) -> &[u32] {
        let range = self.starts.get(place).zip(self.starts.get(place + 1));
        range.and_then(|(start, end)| self.users.get(*start as usize..*end as usize)).unwrap_or_default()
    }
}

impl LayerUser<'_> {
    /// The digest of the manifest.
    pub fn digest(&self) -> Digest {
        Digest::from_hash(Algorithm::Sha256, self.hash)
    }
}

/// Collects manifests, repository by repository.
#[derive(Default)]
pub(crate) struct LayerUsersBuilder {
    repositories: Vec<RepositoryName>,
    manifests: Vec<Linked>,
    /// The number of a content, and the position of a manifest that refers to it.
    references: Vec<(u32, u32)>,
    bytes: usize,
    left_out: u64,
}

impl LayerUsersBuilder {
    /// Begins a repository; they come in the order of their names.
    pub(crate) fn begin(&mut self, name: &RepositoryName) {
        self.repositories.push(name.clone());
    }

    /// Adds a manifest of the repository that was begun last, in the order of digests, with the numbers of what it refers to,
    /// each once.
    pub(crate) fn add(&mut self, hash: &Hash, references: &[u32]) {
        let bytes = size_of::<Linked>() + references.len() * REFERENCE_BYTES;
        if self.bytes + bytes > MAX_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += bytes;
        // Both fit, since what they count has a bound.
        let place = u32::try_from(self.manifests.len()).unwrap_or(u32::MAX);
        let repository = u32::try_from(self.repositories.len().saturating_sub(1)).unwrap_or(u32::MAX);
        self.manifests.push(Linked { repository, hash: *hash });
        self.references.extend(references.iter().map(|content| (*content, place)));
    }

    /// Ends; `hash_of` gives the digest of a number.
    pub(crate) fn build(mut self, as_of: SystemTime, hash_of: impl Fn(u32) -> Hash) -> LayerUsers {
        self.references.sort_unstable();
        let mut groups: Vec<(Hash, &[(u32, u32)])> = self
            .references
            .chunk_by(|(a, _), (b, _)| a == b)
            .map(|group| (hash_of(group[0].0), group))
            .collect();
        groups.sort_unstable_by_key(|(hash, _)| *hash);
        let (mut content, mut starts) =
            (Vec::with_capacity(groups.len()), Vec::with_capacity(groups.len() + 1));
        let mut users: Vec<u32> = Vec::with_capacity(self.references.len());
        let end = |users: &[u32]| u32::try_from(users.len()).unwrap_or(u32::MAX);
        for (hash, group) in groups {
            content.push(hash);
            starts.push(end(&users));
            users.extend(group.iter().map(|(_, place)| *place));
        }
        starts.push(end(&users));
        let Self { repositories, manifests, left_out, .. } = self;
        LayerUsers { as_of, repositories, manifests, content, starts, users, left_out }
    }
}

impl Registry {
    /// Which manifests refer to which content, as the last walk of this process found it; `None` before the first.
    pub fn layer_users(&self) -> Option<Arc<LayerUsers>> {
        self.inner.layer_users.lock().clone()
    }

    /// Keeps the result of a walk for [`layer_users`](Self::layer_users).
    pub fn keep_layer_users(&self, users: LayerUsers) {
        *self.inner.layer_users.lock() = Some(Arc::new(users));
    }
}

impl fmt::Debug for LayerUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerUsers")
            .field("as_of", &self.as_of)
            .field("manifests", &self.manifests.len())
            .field("content", &self.content.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u32) -> Hash {
        Digest::sha256_of(&number.to_be_bytes()).canonical_hash().unwrap()
    }

    fn digest(number: u32) -> Digest {
        Digest::sha256_of(&number.to_be_bytes())
    }

    fn users(users: &LayerUsers, content: u32) -> Vec<(String, Digest)> {
        users.of(&digest(content)).map(|user| (user.repository.to_string(), user.digest())).collect()
    }

    #[test]
    fn the_users_of_a_content_are_found_by_its_digest() {
        let mut builder = LayerUsersBuilder::default();
        builder.begin(&"a".parse().unwrap());
        builder.add(&hash(100), &[1, 2]);
        builder.add(&hash(101), &[]);
        builder.begin(&"b".parse().unwrap());
        builder.add(&hash(100), &[2, 1]);
        builder.add(&hash(102), &[2, 3]);
        let built = builder.build(SystemTime::UNIX_EPOCH, hash);
        let of = |name: &str, manifest| (name.to_owned(), digest(manifest));
        assert_eq!(users(&built, 1), [of("a", 100), of("b", 100)]);
        assert_eq!(users(&built, 2), [of("a", 100), of("b", 100), of("b", 102)]);
        assert_eq!(users(&built, 3), [of("b", 102)]);
        assert_eq!((users(&built, 4), users(&built, 100)), (Vec::new(), Vec::new()));
        assert_eq!(built.of(&digest(3)).next().unwrap().place, 1);
        let mut manifests: Vec<(Hash, usize)> =
            built.manifests().map(|(hash, it)| (*hash, it.len())).collect();
        manifests.sort_unstable();
        let mut expected = [(hash(100), 2), (hash(101), 0), (hash(102), 2)];
        expected.sort_unstable();
        assert_eq!(manifests, expected);
    }

    #[test]
    fn manifests_beyond_the_room_are_counted() {
        let mut builder = LayerUsersBuilder::default();
        builder.begin(&"a".parse().unwrap());
        let references: Vec<u32> = (0..100_000).collect();
        let fit = MAX_BYTES / (size_of::<Linked>() + references.len() * REFERENCE_BYTES);
        for number in 0..fit as u32 + 3 {
            builder.add(&hash(number), &references);
        }
        let built = builder.build(SystemTime::UNIX_EPOCH, |number| {
            let mut hash = [0; 32];
            hash[..4].copy_from_slice(&number.to_be_bytes());
            hash
        });
        assert_eq!((built.left_out(), built.manifests.len()), (3, fit));
    }
}
