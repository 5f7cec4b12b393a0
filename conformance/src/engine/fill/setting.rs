//! `Setting`: a registry with fills, and upstreams that send what a clause tells them to.

use std::fmt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use sampan_driver::{BoxError, ByteRange, DriverError, FileReader, LocalFile, StorageDriver};
use sampan_engine::fill::{Fill, FillError, FillOptions, FillSource, Fills};
use sampan_engine::oci::Digest;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::check::{ensure, equal, same_bytes};
use crate::engine::client::Client;
use crate::engine::store::{has_no_uploads, is_valid};
use crate::failed::{Done, located};

/// A registry with fills.
pub(super) struct Setting {
    pub(super) client: Client,
    pub(super) fills: Fills,
    driver: Arc<dyn StorageDriver>,
    opened: Arc<AtomicUsize>,
}

/// Sends the bytes of an upstream. Dropping it is their end.
pub(super) struct Feed(UnboundedSender<Result<Bytes, BoxError>>);

impl Feed {
    pub(super) fn send(&self, bytes: &[u8]) {
        // A transfer that was given up needs no more.
        _ = self.0.send(Ok(Bytes::copy_from_slice(bytes)));
    }

    /// The upstream fails for good.
    pub(super) fn fail(self, message: &'static str) {
        _ = self.0.send(Err(Broken(message).into()));
    }
}

/// The failure of an upstream.
#[derive(Debug)]
pub(super) struct Broken(pub(super) &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Broken {}

struct Source {
    size_bytes: Option<u64>,
    chunks: UnboundedReceiver<Result<Bytes, BoxError>>,
}

#[async_trait]
impl FillSource for Source {
    fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        self.chunks.recv().await.transpose()
    }
}

impl Setting {
    pub(super) fn new(driver: &Arc<dyn StorageDriver>) -> Self {
        Self::with(driver, options())
    }

    pub(super) fn with(driver: &Arc<dyn StorageDriver>, options: FillOptions) -> Self {
        let (client, fills) = (Client::new(driver), Fills::new(options));
        Self { client, fills, driver: driver.clone(), opened: Arc::default() }
    }

    /// A client of the same transfers whose repositories are over `driver`.
    pub(super) fn over(&self, driver: &Arc<dyn StorageDriver>) -> Self {
        Self {
            client: Client::new(driver),
            fills: self.fills.clone(),
            driver: self.driver.clone(),
            opened: self.opened.clone(),
        }
    }

    /// Joins the transfer of `digest`, for `repository`. If it begins one, the feed is that of its upstream.
    pub(super) fn join(&self, repository: &str, digest: &Digest, size_bytes: Option<u64>) -> (Feed, Fill) {
        self.join_described(repository, digest, size_bytes, None)
    }

    pub(super) fn join_described(
        &self,
        repository: &str,
        digest: &Digest,
        size_bytes: Option<u64>,
        described_bytes: Option<u64>,
    ) -> (Feed, Fill) {
        let (sender, chunks) = unbounded_channel();
        let opened = self.opened.clone();
        let open = move || -> BoxFuture<'static, Result<Box<dyn FillSource>, BoxError>> {
            async move {
                opened.fetch_add(1, Ordering::SeqCst);
                Ok(Box::new(Source { size_bytes, chunks }) as Box<dyn FillSource>)
            }
            .boxed()
        };
        let repository = self.client.repository(repository);
        (Feed(sender), self.fills.join("upstream", digest, &repository, described_bytes, open))
    }

    /// How many upstreams were asked.
    pub(super) fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// Waits for all transfers, and checks that they leave a valid store and nothing else.
    #[track_caller]
    pub(super) fn ends_clean(&self) -> impl Done<()> {
        located(async move {
            self.fills.finish().await;
            equal(self.fills.running(), 0, "the transfers that still run")?;
            has_no_uploads(&self.driver).await?;
            is_valid(&self.driver).await
        })
    }

    /// Checks that a client of another process finds the blob in `repository`.
    #[track_caller]
    pub(super) fn has(&self, repository: &'static str, content: &[u8]) -> impl Done<()> {
        located(async move {
            let pulled = Client::new(&self.driver).pull_blob(repository, &Digest::sha256_of(content)).await?;
            same_bytes(&pulled, content, format_args!("the blob in {repository}"))
        })
    }

    /// Checks that `repository` lacks the blob.
    #[track_caller]
    pub(super) fn lacks(&self, repository: &'static str, digest: &Digest) -> impl Done<()> {
        located(async move {
            let client = Client::new(&self.driver);
            let found = client.repository(repository).blobs().read(digest, ByteRange::ALL).await;
            ensure(
                matches!(found, Err(sampan_engine::Error::BlobUnknown(..))),
                format_args!("{digest} is in {repository}, but it must not"),
            )
        })
    }
}

pub(super) fn options() -> FillOptions {
    FillOptions { write_timeout: Duration::from_secs(60), ..FillOptions::default() }
}

/// A directory in which no spool can be made.
pub(super) fn nowhere() -> Option<PathBuf> {
    Some(PathBuf::from("/nonexistent/spool"))
}

/// All bytes of a reader up to its end or its failure.
pub(super) async fn read_until_failure(reader: FileReader) -> (Vec<u8>, Result<(), FillError>) {
    let (mut stream, mut read) = (reader.into_stream(), Vec::new());
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => read.extend_from_slice(&chunk),
            Err(error) => {
                let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
                return (read, Err(source.cloned().unwrap_or(FillError::Stopped)));
            }
        }
    }
    (read, Ok(()))
}

/// All bytes of a reader.
pub(super) async fn drain_all(reader: FileReader) -> Result<Vec<u8>, DriverError> {
    let chunks: Vec<Bytes> = reader.into_stream().try_collect().await?;
    Ok(chunks.concat())
}

/// The bytes through the windows of the open file and what follows them, if there is a file, as the HTTP layer sends them.
pub(super) async fn drain_file(reader: FileReader) -> Result<Vec<u8>, DriverError> {
    let LocalFile { file, mut windows, rest } = match reader.into_file() {
        Ok(local) => local,
        Err(reader) => return drain_all(reader).await,
    };
    let mut read = Vec::new();
    while let Some(window) = windows.try_next().await? {
        let mut piece = vec![0; (window.end - window.start) as usize];
        let filled = file.read_exact_at(&mut piece, window.start);
        read.extend(filled.map(|()| piece).unwrap_or_default());
    }
    let rest: Vec<Bytes> = rest.try_collect().await?;
    read.extend(rest.concat());
    Ok(read)
}
