//! `BundleStore` as a storage driver.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use sampan_driver::{
    ByteRange, Capabilities, Condition, Deadline, DirEntry, DriverConfig, DriverError, DriverPath, ErrorKind,
    FileInfo, FileReader, FileWriter, Operation, PutMode, RedirectRequest, Result, StorageDriver, WriteMode,
};
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use url::Url;

use crate::checks::Unreadable;
use crate::config::BundleConfig;
use crate::contents::ContentIndex;
use crate::manifests::check_len;
use crate::reading::Piece;
use crate::store::{BundleStore, Inner};

/// Content of this length and less is read at once, in bytes.
const SMALL_BYTES: u64 = 64 << 10;

/// The content of a file of the layout.
enum Content {
    /// The bytes of a manifest or blob.
    Data(ContentIndex),
    /// The text of a link.
    Text(Bytes),
    /// The link of a blob that the plan names by another algorithm than the engine: its text is the canonical digest, which only
    /// the bytes say.
    Alias(ContentIndex),
}

/// The length of a link: `sha256:` and 64 digits.
const LINK_BYTES: u64 = 71;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for BundleStore {
    fn name(&self) -> &'static str {
        BundleConfig::NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_rename: false,
            durable: false,
            flat: true,
            redirect: false,
            read_only: Some("it serves bundles"),
        }
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        match self.inner.content(Operation::GetContent, path).await? {
            Content::Text(text) => Ok(text),
            Content::Alias(place) => self.inner.alias(Operation::GetContent, path, place).await,
            Content::Data(place) => {
                let inner = self.inner.clone();
                // The engine reads manifests this way, and compares each with its digest. It leaves a damaged one out of a
                // listing, which an error of the driver would end.
                let read = self.inner.threads.run(Operation::GetContent, path, move || {
                    check_len(&inner.contents, place)?;
                    inner.checks.unjudged(&inner.contents, place)
                });
                read.await?.map_err(|failed| unreadable(Operation::GetContent, path, failed))
            }
        }
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        let content = self.inner.content(Operation::Reader, path).await?;
        let size_bytes = self.inner.size_bytes(&content);
        let Some(rest) = range.resolve(size_bytes) else {
            return Err(DriverError::new(
                ErrorKind::RangeInvalid,
                BundleConfig::NAME,
                Operation::Reader,
                path,
            ));
        };
        let place = match content {
            Content::Data(place) if size_bytes > SMALL_BYTES => place,
            content => {
                let whole = self.inner.read_whole(path, content).await?;
                let of_content = whole.slice(rest.start as usize..rest.end as usize);
                return Ok(FileReader::of_content(size_bytes, rest, of_content));
            }
        };
        let inner = &self.inner;
        let check = inner.checks.follow(&inner.contents, place);
        let check = check.map_err(|failed| unreadable(Operation::Reader, path, failed))?;
        let (contents, threads) = (inner.contents.clone(), inner.threads.clone());
        Ok(Piece { contents, threads, place, path: path.clone(), rest, check }.into_reader())
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let content = self.inner.content(Operation::Stat, path).await?;
        Ok(self.inner.info_of(path, &content))
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        self.entries(path, after)
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        _holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        // No directory is empty, and every tag has its link.
        self.entries(path, after)
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        self.files(path, after)
    }

    async fn check(&self) -> Result<Condition> {
        let (inner, root) = (self.inner.clone(), DriverPath::root());
        let checked = self.inner.threads.run(Operation::Check, &root, move || {
            inner.contents.bundles().try_for_each(|(_, files)| files.check_unchanged())
        });
        match checked.await? {
            Ok(()) => Ok(Condition::ReadOnly("a bundle is read-only".to_owned())),
            Err(failed) => Err(error(Operation::Check, &root).with_source(failed)),
        }
    }

    async fn redirect_url(&self, _: &DriverPath, _: RedirectRequest) -> Result<Option<Url>> {
        Ok(None)
    }

    async fn put_content(&self, path: &DriverPath, _: Bytes, _: PutMode) -> Result<()> {
        Err(unsupported(Operation::PutContent, path))
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        match files.first() {
            Some((path, _)) => Err(unsupported(Operation::PutAll, path)),
            None => Ok(()),
        }
    }

    async fn writer(&self, path: &DriverPath, _: WriteMode) -> Result<Box<dyn FileWriter>> {
        Err(unsupported(Operation::Writer, path))
    }

    async fn rename(&self, from: &DriverPath, _: &DriverPath) -> Result<()> {
        Err(unsupported(Operation::Rename, from))
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        Err(unsupported(Operation::Delete, path))
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        Err(unsupported(Operation::DeleteTree, path))
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        _: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        paths
            .map(|path| {
                let refused = unsupported(Operation::DeleteAll, &path);
                (path, Err(refused))
            })
            .boxed()
    }

    async fn sync_deletions(&self, _: &[DriverPath]) -> Result<()> {
        Ok(())
    }
}

impl Inner {
    /// The content of a file. `NotFound` if there is none.
    async fn content(self: &Arc<Self>, operation: Operation, path: &DriverPath) -> Result<Content> {
        let content = match Entry::parse(path) {
            Some(entry) => self.content_of(operation, path, &entry).await?,
            None => None,
        };
        content.ok_or_else(|| DriverError::new(ErrorKind::NotFound, BundleConfig::NAME, operation, path))
    }

    async fn content_of(
        self: &Arc<Self>,
        operation: Operation,
        path: &DriverPath,
        entry: &Entry,
    ) -> Result<Option<Content>> {
        let contents = &self.contents;
        let name = match entry {
            Entry::Blob(digest) => return Ok(self.data(digest).map(Content::Data)),
            Entry::LayerLink(name, _)
            | Entry::Referrer(name, ..)
            | Entry::ReferrersComplete(name)
            | Entry::RevisionLink(name, _)
            | Entry::TagCurrent(name, _)
            | Entry::TagDigest(name, _)
            | Entry::TagIndex(name, ..) => name,
            // Uploads, deletions and collections.
            _ => return Ok(None),
        };
        let Some(index) = self.find(name) else { return Ok(None) };
        let repository = &self.repositories[index];
        let manifests = || self.manifests(index, operation, path);
        let digest = match entry {
            Entry::ReferrersComplete(_) => return Ok(Some(Content::Text(Bytes::from_static(b"1")))),
            Entry::LayerLink(_, digest) => {
                // The same bytes may be in another repository under their canonical digest.
                let mut places = contents.find(digest).into_iter().chain(self.named(digest)).peekable();
                if places.peek().is_none() {
                    return Ok(None);
                }
                let layers = &manifests().await?.layers;
                match places.find(|place| layers.binary_search(place).is_ok()) {
                    Some(place) if !digest.is_canonical() => return Ok(Some(Content::Alias(place))),
                    Some(_) => Some(digest.clone()),
                    None => None,
                }
            }
            Entry::RevisionLink(_, digest) => {
                let is_root = |place| repository.roots.binary_search(&place).is_ok();
                // A pull by tag reads no other manifest.
                match digest.is_canonical() && contents.find(digest).is_some_and(is_root) {
                    true => Some(digest.clone()),
                    false => {
                        let manifests = manifests().await?;
                        manifests.named(contents, digest).map(|known| known.canonical(contents).clone())
                    }
                }
            }
            Entry::Referrer(_, subject, digest) => {
                let manifests = manifests().await?;
                let known = manifests.named(contents, digest);
                known.filter(|known| known.subject.as_ref() == Some(subject)).map(|_| digest.clone())
            }
            Entry::TagCurrent(_, tag) => match repository.tags.get(tag) {
                Some(place) => Some(self.canonical(index, *place, operation, path).await?),
                None => None,
            },
            Entry::TagDigest(_, tag) => {
                let pushed = repository.tags.get(tag).map(|place| contents.digest(*place));
                pushed.filter(|digest| !digest.is_canonical()).cloned()
            }
            Entry::TagIndex(_, tag, digest) => match repository.tags.get(tag) {
                Some(place) => {
                    Some(self.canonical(index, *place, operation, path).await?).filter(|it| it == digest)
                }
                None => None,
            },
            _ => None,
        };
        Ok(digest.map(|digest| Content::Text(Bytes::from(digest.to_string()))))
    }

    /// The canonical digest of a manifest of a repository.
    async fn canonical(
        self: &Arc<Self>,
        repository: usize,
        place: ContentIndex,
        operation: Operation,
        path: &DriverPath,
    ) -> Result<Digest> {
        let digest = self.contents.digest(place);
        if digest.is_canonical() {
            return Ok(digest.clone());
        }
        let manifests = self.manifests(repository, operation, path).await?;
        let known = manifests.at(place);
        Ok(known.map_or(digest, |known| known.canonical(&self.contents)).clone())
    }

    /// The text of the link of a blob that has no canonical digest in the plan. The first call for a blob reads it as a whole.
    async fn alias(
        self: &Arc<Self>,
        operation: Operation,
        path: &DriverPath,
        place: ContentIndex,
    ) -> Result<Bytes> {
        let digest = match self.alias_of(place) {
            Some(known) => known,
            None => {
                let named = self.checks.name(&self.contents, place).await;
                let digest = named.map_err(|failed| unreadable(operation, path, failed))?;
                self.keep_alias(place, digest)
            }
        };
        Ok(Bytes::from(digest.to_string()))
    }

    /// Reads a link, or small content as a whole.
    async fn read_whole(self: &Arc<Self>, path: &DriverPath, content: Content) -> Result<Bytes> {
        match content {
            Content::Text(text) => Ok(text),
            Content::Alias(place) => self.alias(Operation::Read, path, place).await,
            Content::Data(place) => {
                let inner = self.clone();
                let whole = move || inner.checks.read_whole(&inner.contents, place);
                let read = self.threads.run(Operation::Read, path, whole);
                read.await?.map_err(|failed| unreadable(Operation::Read, path, failed))
            }
        }
    }

    fn size_bytes(&self, content: &Content) -> u64 {
        match content {
            Content::Text(text) => text.len() as u64,
            Content::Alias(_) => LINK_BYTES,
            Content::Data(place) => self.contents.size_bytes(*place),
        }
    }

    fn info_of(&self, path: &DriverPath, content: &Content) -> FileInfo {
        FileInfo { path: path.clone(), size_bytes: self.size_bytes(content), modified: self.modified }
    }

    /// Describes a file that a listing has found.
    pub(crate) async fn info(
        self: &Arc<Self>,
        operation: Operation,
        path: &DriverPath,
        entry: &Entry,
    ) -> Result<FileInfo> {
        let content = self.content_of(operation, path, entry).await?;
        let content =
            content.ok_or_else(|| error(operation, path).with_source("it is listed, and is not there"))?;
        Ok(self.info_of(path, &content))
    }
}

pub(crate) fn error(operation: Operation, path: &DriverPath) -> DriverError {
    DriverError::new(ErrorKind::Other, BundleConfig::NAME, operation, path)
}

pub(crate) fn unreadable(operation: Operation, path: &DriverPath, cause: Unreadable) -> DriverError {
    error(operation, path).with_source(cause)
}

fn unsupported(operation: Operation, path: &DriverPath) -> DriverError {
    DriverError::new(ErrorKind::Unsupported, BundleConfig::NAME, operation, path)
}
