//! `ObjectStoreDriver`: the operations of the contract over a [`Bucket`].

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use sampan_driver::{
    BuildError, ByteRange, Capabilities, Condition, Deadline, DirEntry, DriverPath, FileInfo, FileReader,
    FileWriter, Operation, PutMode, RedirectRequest, Result, StorageDriver, StoreAccess, WriteMode,
    put_one_by_one,
};
use url::Url;

use crate::bucket::{Bucket, budget, finished};
use crate::client::{Client, PlainStore};
use crate::conditional::{Conditional, Conditions};
use crate::delete::delete_all;
use crate::error::Failure;
use crate::in_flight::InFlightParts;
use crate::keys::Keys;
use crate::list::list;
use crate::options::Options;
use crate::recent_misses::RecentMisses;
use crate::stale::Sweeper;
use crate::walk::{info, walk};
use crate::writer::ObjectWriter;

/// A store of files in a bucket.
#[derive(Debug)]
pub struct ObjectStoreDriver {
    pub(crate) bucket: Arc<Bucket>,
    /// Held so that dropping the driver ends it.
    _sweeper: Option<Sweeper>,
}

impl ObjectStoreDriver {
    pub(crate) fn new(bucket: Bucket, access: StoreAccess) -> Self {
        let bucket = Arc::new(bucket);
        let sweeper = match access {
            StoreAccess::ReadOnly => None,
            StoreAccess::ReadWrite => Sweeper::start(&bucket),
        };
        Self { bucket, _sweeper: sweeper }
    }

    /// A driver over a store of the `object_store` crate that honours conditional writes and lists quickly, such as its
    /// `InMemory`: for tests and demonstrations. Uploads are cut into parts of `part_size` bytes.
    ///
    /// # Errors
    ///
    /// If `root_directory` makes no valid keys.
    pub fn over(
        store: Arc<dyn PlainStore>,
        root_directory: &str,
        part_size: u64,
    ) -> std::result::Result<Self, BuildError> {
        let keys = Keys::new(root_directory)
            .map_err(|error| BuildError::new("the root directory makes no keys").with_source(error))?;
        let mut options = Options::default();
        options.parts.size = part_size.max(1);
        let client = Client::Plain(store);
        let bucket = Bucket {
            name: "objectstore",
            control: client.clone(),
            data: client.clone(),
            deletion: client.clone(),
            public: None,
            raw: None,
            azure: None,
            keys,
            budget: budget(options.parts.buffer),
            options,
            conditions: Conditions::proved(Conditional::ALL, client),
            redirect: false,
            recent_misses: RecentMisses::default(),
            in_flight: InFlightParts::default(),
        };
        Ok(Self::new(bucket, StoreAccess::ReadWrite))
    }

    fn fail(
        &self,
        operation: Operation,
        path: &DriverPath,
    ) -> impl FnOnce(Failure) -> sampan_driver::DriverError {
        let (name, path) = (self.bucket.name, path.clone());
        move |failure| failure.at(name, operation, &path)
    }
}

#[async_trait]
impl StorageDriver for ObjectStoreDriver {
    fn name(&self) -> &'static str {
        self.bucket.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            atomic_rename: false,
            durable: true,
            flat: true,
            redirect: self.bucket.redirect,
            read_only: None,
        }
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        let get = async {
            let key = self.bucket.existing(path)?;
            let answer = self.bucket.control.objects().get_opts(&key, Default::default()).await?;
            Ok(finished(answer)?.bytes().await?)
        };
        get.await.map_err(self.fail(Operation::GetContent, path))
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        let put = async {
            let key = self.bucket.object(path)?;
            match mode {
                PutMode::Create => self.bucket.create(&key, content).await,
                PutMode::Overwrite | PutMode::Transient => {
                    self.bucket.put(&key, content.into()).await.map(drop)
                }
            }
        };
        put.await.map_err(self.fail(Operation::PutContent, path))
    }

    async fn put_all(&self, files: &[(DriverPath, Bytes)]) -> Result<()> {
        put_one_by_one(self, files).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        self.bucket.read(path, range).await.map_err(self.fail(Operation::Reader, path))
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        let opened = ObjectWriter::open(self.bucket.clone(), path, mode).await;
        Ok(Box::new(opened.map_err(self.fail(Operation::Writer, path))?))
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        let head = async {
            let found = self.bucket.head(&self.bucket.existing(path)?).await?;
            Ok(info(path.clone(), &found))
        };
        head.await.map_err(self.fail(Operation::Stat, path))
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        list(self.bucket.clone(), path, after)
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        walk(self.bucket.clone(), path, after)
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        self.bucket.rename(from, to).await.map_err(self.fail(Operation::Rename, from))
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        let keys = self.bucket.keys.object(path).into_iter().collect();
        self.bucket.delete_objects(keys).await.map_err(self.fail(Operation::Delete, path))
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.bucket.delete_tree(path).await.map_err(self.fail(Operation::DeleteTree, path))
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        delete_all(self.bucket.clone(), paths, until)
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        _ = paths; // A store acknowledges a deletion when it is durable.
        Ok(())
    }

    async fn check(&self) -> Result<Condition> {
        match self.stat(&DriverPath::root()).await {
            // Such an answer proves that the store is reachable: a root is no file.
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(Condition::Writable),
        }
    }

    async fn redirect_url(&self, path: &DriverPath, request: RedirectRequest) -> Result<Option<Url>> {
        self.bucket.redirect_url(path, request).await.map_err(self.fail(Operation::RedirectUrl, path))
    }
}
