//! The manifests of a repository: their own data, and the lengths and links of what they need.

use std::sync::Arc;

use bytes::Bytes;
use sampan_driver::{DriverError, DriverPath, ErrorKind, StorageDriver, StorageDriverExt};

use super::Result;
use super::data::{self, check_twice, with_cause};
use super::outage::{Answer, ask};
use super::problem::{Problem, ProblemKind};
use super::repository::Check;
use super::sizes::{Hash, digest};
use crate::layout::Entry;
use crate::oci::{Descriptor, Digest, LARGEST_BYTES, Manifest};
use crate::validation::lives_elsewhere;

/// The state of the data of a manifest.
pub(super) enum Content {
    Bytes(Bytes),
    /// They are too long to be a manifest.
    TooLong,
    Missing,
    Unreadable(String),
}

impl Content {
    pub(super) async fn read(
        driver: &Arc<dyn StorageDriver>,
        hash: &Hash,
        size_bytes: Option<u64>,
    ) -> Result<Self> {
        if size_bytes.is_some_and(|size_bytes| size_bytes > LARGEST_BYTES) {
            return Ok(Self::TooLong);
        }
        match driver.get_content_if_any(&Entry::Blob(digest(hash)).path()).await {
            Ok(Some(bytes)) => Ok(Self::Bytes(bytes)),
            Ok(None) => Ok(Self::Missing),
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(error.into()),
            Err(error) => Ok(Self::Unreadable(with_cause(&error))),
        }
    }
}

impl Check<'_> {
    /// Reads the data of a manifest again, which the store did not give.
    pub(super) async fn read_again(&self, hash: &Hash) -> Result<Content> {
        let (driver, size_bytes) = (self.driver(), self.checker.sizes.get(hash));
        let again = || Content::read(driver, hash, size_bytes);
        Ok(match ask(driver, self.checker.pace, again).await? {
            Answer::Given(content) => content,
            Answer::Refused(error) => Content::Unreadable(with_cause(&error)),
        })
    }

    pub(super) async fn take_manifest(&mut self, hash: Hash, content: Content) -> Result<()> {
        let path = Entry::Blob(digest(&hash)).path();
        let bytes = match content {
            Content::Bytes(bytes) if Digest::sha256_of(&bytes) == digest(&hash) => bytes,
            Content::Bytes(_) => {
                let state = check_twice(&**self.driver(), &digest(&hash), Some(self.checker.pace)).await?;
                if let Some(problem) = data::problem(&hash, state) {
                    self.add(problem, Some(hash));
                }
                return Ok(());
            }
            Content::TooLong => return Ok(()),
            // Deleted meanwhile, or never there.
            Content::Missing if !self.is_revision(&hash).await? => return Ok(()),
            Content::Missing => {
                self.add(Problem::new(&path, ProblemKind::Missing, Some(digest(&hash))), Some(hash));
                return Ok(());
            }
            Content::Unreadable(error) => {
                let kind = ProblemKind::Unreadable { error };
                self.add(Problem::new(&path, kind, Some(digest(&hash))), Some(hash));
                return Ok(());
            }
        };
        for alias in self.manifest_aliases.remove(&hash).unwrap_or_default() {
            if let Entry::RevisionLink(_, expected) = &alias
                && Digest::of(expected.algorithm(), &bytes) != *expected
            {
                let kind = ProblemKind::LinkDamaged { content: digest(&hash).to_string() };
                self.add(Problem::new(&alias.path(), kind, None), None);
            }
        }
        // Distribution stored manifests of other kinds, too; nothing is known of what they need.
        let Ok(manifest) = Manifest::parse(&bytes, None) else { return Ok(()) };
        let mut needs_gone = Vec::new();
        if let Some(config) = &manifest.config {
            needs_gone.extend(self.check_blob(&hash, config, true).await?);
        }
        for layer in &manifest.layers {
            let is_required = !lives_elsewhere(manifest.kind, layer);
            needs_gone.extend(self.check_blob(&hash, layer, is_required).await?);
        }
        for child in &manifest.manifests {
            self.check_child(&hash, child).await?;
        }
        // A manifest that was deleted meanwhile needs nothing.
        if !needs_gone.is_empty() && self.is_revision(&hash).await? {
            needs_gone.into_iter().for_each(|problem| self.add(problem, Some(hash)));
        }
        Ok(())
    }

    /// Checks a configuration or layer. One that is not required and has no link was never pushed to the repository, so it is no
    /// matter of the repository what another one has under that digest.
    async fn check_blob(
        &mut self,
        manifest: &Hash,
        descriptor: &Descriptor,
        is_required: bool,
    ) -> Result<Option<Problem>> {
        let known = descriptor.digest.canonical_hash();
        let Some(hash) = known.or_else(|| self.blob_aliases.get(&descriptor.digest).copied()) else {
            // An alias without a link: the content may be anywhere.
            let link = Entry::LayerLink(self.listing.name.clone(), descriptor.digest.clone()).path();
            return Ok(is_required.then(|| Problem::new(&link, ProblemKind::Missing, None)));
        };
        if !is_required && !self.listing.layers.contains(&hash) {
            return Ok(None);
        }
        if self.checker.wanted.contains(&hash) {
            self.users.push((hash, *manifest));
            self.required.extend(is_required.then_some(hash));
        }
        let (blob, path) = (digest(&hash), Entry::Blob(digest(&hash)).path());
        let mut size_bytes = self.checker.sizes.get(&hash);
        if size_bytes != Some(descriptor.size) {
            size_bytes = match self.stat(&path).await? {
                Answer::Given(data) => data.map(|data| data.size_bytes),
                Answer::Refused(error) => return Ok(Some(unreadable(&path, &error, blob))),
            };
        }
        let Some(size_bytes) = size_bytes else {
            return Ok(Some(Problem::new(&path, ProblemKind::Missing, Some(blob))));
        };
        if size_bytes != descriptor.size {
            // A descriptor may be wrong, too; then no data are damaged.
            let state = self.checker.verdicts.state(&hash, self.driver(), self.checker.pace).await?;
            if let Some(problem) = data::problem(&hash, state) {
                return Ok(Some(problem));
            }
        }
        if !self.listing.layers.contains(&hash) {
            let link = Entry::LayerLink(self.listing.name.clone(), blob.clone());
            let found = match self.stat(&link.path()).await? {
                Answer::Given(found) => found,
                Answer::Refused(error) => return Ok(Some(unreadable(&link.path(), &error, blob))),
            };
            if found.is_none_or(|found| found.size_bytes == 0) {
                return Ok(Some(Problem::new(&link.path(), ProblemKind::LinkMissing, Some(blob))));
            }
        }
        Ok(None)
    }

    /// Checks a child of an index, which need not be there.
    async fn check_child(&mut self, index: &Hash, child: &Descriptor) -> Result<()> {
        let Some(hash) = child.digest.canonical_hash() else { return Ok(()) };
        if self.checker.wanted.contains(&hash) {
            self.users.push((hash, *index));
        }
        let is_there = self.listing.revisions.contains(&hash)
            || self.listing.layers.contains(&hash)
            || self.is_revision(&hash).await?;
        match is_there {
            true => self.parents.entry(hash).or_default().push(*index),
            false => self.absent_children += 1,
        }
        Ok(())
    }
}

fn unreadable(path: &DriverPath, error: &DriverError, digest: Digest) -> Problem {
    Problem::new(path, ProblemKind::Unreadable { error: with_cause(error) }, Some(digest))
}
