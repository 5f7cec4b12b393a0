//! `Holdings`: what a registry has, as sorted lines of text to carry over the gap in the other direction.
//!
//! `sha256:… SIZE REPOSITORY` is data, `REPOSITORY:TAG sha256:…` a tag.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use futures::TryStreamExt;
use sampan_bundle::Plan;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};

use crate::{Result, Selector, Source, StoreSource};

/// What the far side has.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    data: HashMap<Digest, Vec<RepositoryName>>,
    tags: HashMap<RepositoryName, HashMap<Tag, Digest>>,
    bases: Vec<Digest>,
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

/// The longest line of an inventory, in bytes: a tag of the longest name has half of it.
const MAX_LINE_BYTES: u64 = 1 << 10;

impl Holdings {
    /// Adds the lines of an [inventory]. Keeps one line at a time in memory, and at most 1 KiB of it.
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
                let (digest, _): (Digest, u64) = (digest.parse().ok()?, size.parse().ok()?);
                self.data.entry(digest).or_default().push(repository.parse().ok()?);
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
            let repositories = self.data.entry(content.digest.clone()).or_default();
            repositories.extend(near.into_iter().flatten().cloned());
        }
        for presumed in &plan.presumed {
            let repositories = self.data.entry(presumed.digest.clone()).or_default();
            repositories.extend(presumed.repositories.iter().cloned());
        }
        for (repository, image) in plan.images() {
            let tags = self.tags.entry(repository.name.clone()).or_default();
            tags.extend(image.tags.iter().map(|tag| (tag.clone(), image.digest.clone())));
        }
        self.bases.push(name);
    }

    /// The names of the bundles that were added.
    pub fn bases(&self) -> &[Digest] {
        &self.bases
    }

    /// The digest of a tag.
    pub fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Option<&Digest> {
        self.tags.get(repository)?.get(tag)
    }

    /// Whether the far side has the content.
    pub fn has(&self, digest: &Digest) -> bool {
        self.data.contains_key(digest)
    }

    /// The repositories that have the content, as far as they are known; `None` if it is not there.
    pub fn data(&self, digest: &Digest) -> Option<&[RepositoryName]> {
        self.data.get(digest).map(Vec::as_slice)
    }
}

/// The sorted lines of what a store has in the selected repositories: all if `selectors` is empty.
///
/// # Errors
///
/// Any error of the store.
pub async fn inventory(source: &StoreSource, selectors: &[Selector], tags_only: bool) -> Result<Vec<String>> {
    let mut sizes: HashMap<Digest, u64> = HashMap::new();
    if !tags_only {
        let mut data = source.registry().data();
        while let Some((digest, size_bytes)) = data.try_next().await? {
            sizes.insert(digest, size_bytes);
        }
    }
    let mut lines = Vec::new();
    for name in source.repositories().await? {
        let wanted: Vec<&Selector> =
            selectors.iter().filter(|selector| selector.has_repository(&name)).collect();
        if wanted.is_empty() && !selectors.is_empty() {
            continue;
        }
        for tag in source.tags(&name).await? {
            if (wanted.is_empty() || wanted.iter().any(|selector| selector.has_tag(&tag)))
                && let Some(found) = source.manifest(&name, &Reference::Tag(tag.clone())).await?
            {
                lines.push(format!("{name}:{tag} {}", found.digest));
            }
        }
        if tags_only {
            continue;
        }
        let repository = source.registry().repository(name.clone());
        let (manifests, blobs) = (repository.manifests().list(), repository.blobs().list());
        let mut links = futures::stream::select(manifests, blobs);
        while let Some(digest) = links.try_next().await? {
            let size_bytes = match sizes.get(&digest) {
                Some(size_bytes) => Some(*size_bytes),
                None if digest.is_canonical() => None,
                None => source.blob_size(&name, &digest).await?,
            };
            if let Some(size_bytes) = size_bytes {
                lines.push(format!("{digest} {size_bytes} {name}"));
            }
        }
    }
    lines.sort();
    lines.dedup();
    Ok(lines)
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
        assert_eq!(holdings.data(&digest).unwrap().len(), 2);
        assert_eq!(holdings.tag(&"team/app".parse().unwrap(), &"1.0".parse().unwrap()), Some(&digest));
        assert!(!holdings.has(&Digest::sha256_of(b"y")));
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
