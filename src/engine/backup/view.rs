//! `SnapshotView`: the store of the backups as it would be if it held one snapshot alone. Only reading makes sense.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use sampan_driver::{DriverError, DriverPath, ErrorKind, FileInfo, Operation, Result, StorageDriver};

use super::snapshot::RepositoryState;
use crate::layout::{self, Entry};
use crate::link;
use crate::migrate::RecordedTag;
use crate::oci::{Digest, RepositoryName, Tag};

/// The backups with the repositories, manifests and tags of one snapshot.
#[derive(Debug)]
pub(super) struct SnapshotView {
    backup: Arc<dyn StorageDriver>,
    repositories: Arc<BTreeMap<RepositoryName, RepositoryState>>,
}

impl SnapshotView {
    pub(super) fn new(
        backup: &Arc<dyn StorageDriver>,
        repositories: Arc<BTreeMap<RepositoryName, RepositoryState>>,
    ) -> Self {
        Self { backup: backup.clone(), repositories }
    }

    fn tag(&self, name: &RepositoryName, tag: &Tag) -> Option<&RecordedTag> {
        let tags = &self.repositories.get(name)?.tags;
        tags.binary_search_by(|held| held.tag.cmp(tag)).ok().map(|place| &tags[place])
    }

    /// The content and time of a file that the snapshot decides about, and not the store.
    fn decided(&self, path: &DriverPath) -> Option<Option<(Bytes, SystemTime)>> {
        let link = |digest: &Digest, time| Some((Bytes::from(digest.to_string()), time));
        Some(match Entry::parse(path)? {
            Entry::TagCurrent(name, tag) => {
                self.tag(&name, &tag).and_then(|held| link(&held.digest, held.pushed))
            }
            Entry::TagIndex(name, tag, digest) => {
                let held = self.tag(&name, &tag).filter(|held| held.digest == digest);
                held.and_then(|held| link(&held.digest, held.pushed))
            }
            Entry::TagDigest(name, tag) => {
                self.tag(&name, &tag).and_then(|held| link(held.pushed_as.as_ref()?, held.pushed))
            }
            // The times are in the snapshot.
            Entry::TagDates(_) => None,
            _ => return None,
        })
    }

    fn not_found(&self, operation: Operation, path: &DriverPath) -> DriverError {
        DriverError::new(ErrorKind::NotFound, self.backup.name(), operation, path)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for SnapshotView {
    sampan_driver::forward! { self => self.backup;
        name capabilities put_content put_all reader writer list list_holding rename delete delete_tree delete_all
        sync_deletions check redirect_url
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        match self.decided(path) {
            None => self.backup.get_content(path).await,
            Some(Some((content, _))) => Ok(content),
            Some(None) => Err(self.not_found(Operation::GetContent, path)),
        }
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        match self.decided(path) {
            None => self.backup.stat(path).await,
            Some(Some((content, modified))) => {
                Ok(FileInfo { path: path.clone(), size_bytes: content.len() as u64, modified })
            }
            Some(None) => Err(self.not_found(Operation::Stat, path)),
        }
    }

    /// The repositories show their manifests and tags; layers come with the manifests.
    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        if *path != layout::repositories_root() {
            return self.backup.walk(path, after);
        }
        let mut names: Vec<_> =
            self.repositories.keys().map(|name| (layout::prefix_in_repository(name), name.clone())).collect();
        names.sort_unstable();
        let (repositories, after) = (self.repositories.clone(), after.cloned());
        let files = stream::iter(names).flat_map(move |(_, name)| {
            let files = repositories.get(&name).map(|held| files(&name, held)).unwrap_or_default();
            stream::iter(files)
        });
        let is_after = move |file: &FileInfo| after.as_ref().is_none_or(|after| file.path > *after);
        files.filter(move |file| std::future::ready(is_after(file))).map(Ok).boxed()
    }
}

/// The files of a repository, in the order of their paths.
fn files(name: &RepositoryName, held: &RepositoryState) -> Vec<FileInfo> {
    let mut files = Vec::with_capacity(held.manifests.len() + 2 * held.tags.len());
    let mut add = |entry: Entry, size_bytes, modified| {
        files.push(FileInfo { path: entry.path(), size_bytes, modified });
    };
    for digest in &held.manifests {
        add(Entry::RevisionLink(name.clone(), digest.clone()), link::BYTES, SystemTime::UNIX_EPOCH);
    }
    for RecordedTag { tag, digest, pushed, pushed_as } in &held.tags {
        add(Entry::TagCurrent(name.clone(), tag.clone()), link::BYTES, *pushed);
        add(Entry::TagIndex(name.clone(), tag.clone(), digest.clone()), link::BYTES, *pushed);
        if let Some(digest) = pushed_as {
            let size_bytes = digest.to_string().len() as u64;
            add(Entry::TagDigest(name.clone(), tag.clone()), size_bytes, *pushed);
        }
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    files
}
