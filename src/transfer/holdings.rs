//! `Holdings`: what the far side has, from its [inventory](crate::inventory) or an earlier bundle.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{BufRead, Read};

use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::Plan;
use sampan_engine::oci::{Digest, Manifest, Reference, RepositoryName, Tag, media_type};

use crate::{Error, Result, Source};

/// The content of the far side.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    data: HashMap<Digest, Vec<Holding>>,
    /// The images and referrers of bundles in each repository, with what was left out below them.
    whole: HashMap<RepositoryName, HashMap<Digest, HashSet<Digest>>>,
    tags: HashMap<RepositoryName, HashMap<Tag, Digest>>,
    bases: Vec<Digest>,
}

/// Content in a repository of the far side.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Holding {
    repository: RepositoryName,
    /// `None` if only the near side could say it.
    size_bytes: Option<u64>,
    /// Whether a bundle does not say if the repository has it, or another one.
    is_guess: bool,
}

/// Why an inventory cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// A line is neither data nor a tag.
    #[error(
        "line {number} of the inventory is neither `DIGEST SIZE REPOSITORY` nor `REPOSITORY:TAG DIGEST`: {line:?}"
    )]
    Line {
        /// The number of the line, from 1.
        number: usize,
        /// The begin of the line.
        line: String,
    },
    /// The file could not be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
}

/// How many images are read in parallel.
const CONCURRENT_IMAGES: usize = 8;

/// The longest line of an inventory, in bytes: a tag of the longest name has half of it.
const MAX_LINE_BYTES: u64 = 1 << 10;

impl Holdings {
    /// Adds the lines of an inventory. Keeps one line at a time in memory, and at most 1 KiB of it.
    ///
    /// # Errors
    ///
    /// The first line of another form; any error of the reader.
    pub fn add_lines(&mut self, mut lines: impl BufRead) -> Result<(), InventoryError> {
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            if (&mut lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            let line = String::from_utf8_lossy(&bytes);
            if !line.trim().is_empty() && self.add_line(&line).is_none() {
                return Err(InventoryError::Line { number, line: line.chars().take(160).collect() });
            }
        }
        Ok(())
    }

    fn add_line(&mut self, line: &str) -> Option<()> {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        match fields[..] {
            [digest, size, repository] => {
                let (repository, size_bytes) = (repository.parse().ok()?, Some(size.parse().ok()?));
                let holding = Holding { repository, size_bytes, is_guess: false };
                self.data.entry(digest.parse().ok()?).or_default().push(holding);
            }
            [tag, digest] => {
                let (repository, tag) = tag.split_once(':')?;
                let tags = self.tags.entry(repository.parse().ok()?).or_default();
                tags.insert(tag.parse().ok()?, digest.parse().ok()?);
            }
            _ => return None,
        }
        Some(())
    }

    /// Adds everything that a registry has which imported the bundle with this plan, whose name is `name`.
    pub fn add_plan(&mut self, plan: &Plan, name: Digest) {
        let mut roots: HashMap<&Digest, &RepositoryName> = HashMap::new();
        for (repository, image) in plan.images() {
            roots.entry(&image.digest).or_insert(&repository.name);
        }
        // The content of an image follows its manifest, unless an earlier image has it. If the image is also part of an
        // index of another repository, the rest of that index follows as well.
        let mut near: [Option<&RepositoryName>; 2] = [None; 2];
        for content in &plan.contents {
            if let Some(name) = roots.get(&content.digest).filter(|name| near[0] != Some(**name)) {
                near = [Some(name), near[0]];
            }
            self.guess(&content.digest, content.size_bytes, near.into_iter().flatten());
        }
        for presumed in &plan.presumed {
            self.guess(&presumed.digest, presumed.size_bytes, presumed.repositories.iter());
        }
        for (repository, image) in plan.images() {
            let left_out: HashSet<Digest> = image.left_out.iter().map(|it| it.digest.clone()).collect();
            let whole = self.whole.entry(repository.name.clone()).or_default();
            let attached = image.referrers.iter().map(|referrer| &referrer.digest);
            for digest in attached.chain([&image.digest]) {
                match whole.get_mut(digest) {
                    // What one of several bundles has left out, another has brought.
                    Some(lacking) => lacking.retain(|it| left_out.contains(it)),
                    None => {
                        whole.insert(digest.clone(), left_out.clone());
                    }
                }
            }
            let tags = self.tags.entry(repository.name.clone()).or_default();
            tags.extend(image.tags.iter().map(|tag| (tag.clone(), image.digest.clone())));
        }
        self.bases.push(name);
    }

    fn guess<'a>(
        &mut self,
        digest: &Digest,
        size_bytes: u64,
        repositories: impl Iterator<Item = &'a RepositoryName>,
    ) {
        let holding = |repository: &RepositoryName| Holding {
            repository: repository.clone(),
            size_bytes: Some(size_bytes),
            is_guess: true,
        };
        self.data.entry(digest.clone()).or_default().extend(repositories.map(holding));
    }

    /// Adds the content of tags that came alone, as far as `source` has their manifests in the same repositories.
    ///
    /// # Errors
    ///
    /// Any error of the source, except that a repository may not be read.
    pub async fn expand(&mut self, source: &dyn Source) -> Result<()> {
        let tags = self.tags.iter().flat_map(|(name, tags)| tags.values().map(move |digest| (name, digest)));
        let alone: BTreeSet<(RepositoryName, Digest)> = tags
            .filter(|(name, digest)| !self.is_listed(name, digest) && !self.is_whole(name, digest))
            .map(|(name, digest)| (name.clone(), digest.clone()))
            .collect();
        let found = stream::iter(alone).map(|(name, digest)| async move {
            let content = content_below(source, &name, digest).await?;
            Ok::<_, Error>((name, content))
        });
        let mut found = found.buffered(CONCURRENT_IMAGES);
        while let Some((name, content)) = found.try_next().await? {
            for digest in content {
                if !self.is_listed(&name, &digest) {
                    let holding = Holding { repository: name.clone(), size_bytes: None, is_guess: false };
                    self.data.entry(digest).or_default().push(holding);
                }
            }
        }
        Ok(())
    }

    /// The names of the bundles that were added.
    pub fn bases(&self) -> &[Digest] {
        &self.bases
    }

    /// The digest of a tag.
    pub fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Option<&Digest> {
        self.tags.get(repository)?.get(tag)
    }

    /// Whether the repository has a manifest, which is below the image or referrer `root`, or is that itself.
    pub fn has_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size_bytes: u64,
        root: &Digest,
    ) -> bool {
        let is_brought = || {
            let lacking = self.whole.get(repository).and_then(|whole| whole.get(root));
            lacking.is_some_and(|lacking| !lacking.contains(digest))
        };
        !self.is_damaged(digest, size_bytes) && (self.is_listed(repository, digest) || is_brought())
    }

    /// The repositories that have a blob of this length, as far as they are known; `None` if it is not there.
    pub fn blob(
        &self,
        digest: &Digest,
        size_bytes: u64,
    ) -> Option<impl Iterator<Item = &RepositoryName> + Clone> {
        let copies = self.data.get(digest).filter(|_| !self.is_damaged(digest, size_bytes))?;
        Some(copies.iter().map(|copy| &copy.repository))
    }

    /// Whether some content has another length on the far side.
    fn is_damaged(&self, digest: &Digest, size_bytes: u64) -> bool {
        let mut copies = self.data.get(digest).into_iter().flatten();
        copies.any(|copy| copy.size_bytes.is_some_and(|there| there != size_bytes))
    }

    fn is_listed(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        let mut copies = self.data.get(digest).into_iter().flatten();
        copies.any(|copy| !copy.is_guess && copy.repository == *repository)
    }

    fn is_whole(&self, repository: &RepositoryName, root: &Digest) -> bool {
        self.whole.get(repository).is_some_and(|whole| whole.contains_key(root))
    }
}

/// The content of an image that the far side has whole, as far as the source knows it; the source may lack it.
async fn content_below(source: &dyn Source, name: &RepositoryName, root: Digest) -> Result<HashSet<Digest>> {
    let (mut content, mut pending) = (HashSet::new(), vec![root]);
    while let Some(digest) = pending.pop() {
        let found = match source.manifest(name, &Reference::Digest(digest.clone())).await {
            Ok(found) => found,
            // Without its manifest, the content counts as missing, and is carried.
            Err(Error::Image { .. }) => None,
            Err(Error::Registry(error)) if matches!(error.status(), Some(401 | 403)) => None,
            Err(error) => return Err(error),
        };
        let Some(manifest) = found.and_then(|found| Manifest::parse(&found.bytes, None).ok()) else {
            continue;
        };
        let blobs = manifest.config.iter().chain(&manifest.layers);
        let stored = blobs.filter(|blob| !media_type::is_nondistributable(&blob.media_type));
        content.extend(stored.map(|blob| blob.digest.clone()));
        let children = manifest.manifests.iter().map(|child| child.digest.clone());
        if content.insert(digest) {
            pending.extend(children.filter(|child| !content.contains(child)));
        }
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_data_or_tags() {
        let digest = Digest::sha256_of(b"x");
        let mut holdings = Holdings::default();
        let lines = format!("{digest} 1 team/app\n\n{digest} 1 b\nteam/app:1.0 {digest}\n");
        holdings.add_lines(lines.as_bytes()).unwrap();
        assert_eq!(holdings.blob(&digest, 1).unwrap().count(), 2);
        assert!(holdings.blob(&digest, 2).is_none(), "a blob of another length is damaged");
        let has = |name: &str| holdings.has_manifest(&name.parse().unwrap(), &digest, 1, &digest);
        assert!(has("b") && !has("c"));
        assert_eq!(holdings.tag(&"team/app".parse().unwrap(), &"1.0".parse().unwrap()), Some(&digest));
        assert!(holdings.blob(&Digest::sha256_of(b"y"), 1).is_none());
        for (bad, number) in [
            (format!("a:b {digest}\nrubbish"), 2),
            (format!("{digest} many a"), 1),
            (format!("{digest} 1 A"), 1),
            ("a:b sha256:0".to_owned(), 1),
        ] {
            let error = holdings.add_lines(bad.as_bytes()).unwrap_err();
            assert!(matches!(error, InventoryError::Line { number: found, .. } if found == number), "{bad}");
        }
    }

    #[test]
    fn an_inventory_without_line_feeds_is_not_read_whole() {
        let mut endless = std::io::BufReader::with_capacity(64, std::io::repeat(b'a'));
        let error = Holdings::default().add_lines(&mut endless).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.len() < 400, "{error}");
    }
}
