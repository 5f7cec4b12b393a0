//! `Bucket`: the state that all operations of the driver share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use object_store::client::HttpClient;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectMeta};
use sampan_driver::{DriverPath, with_causes};
use tokio::sync::Semaphore;

use crate::azure::AzureAccount;
use crate::client::{Client, Page, PageRequest};
use crate::conditional::Conditions;
use crate::error::Failure;
use crate::in_flight::InFlightParts;
use crate::keys::Keys;
use crate::options::Options;
use crate::recent_misses::RecentMisses;
use crate::requests::CopyStatus;

/// A bucket or container, and its settings.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// The section of the configuration file.
    pub(crate) name: &'static str,
    /// For small requests, with a time limit of one minute.
    pub(crate) control: Client,
    /// For deletions by the collector: a request has a time limit of seconds and is sent once, since the store may still
    /// carry out a request without an answer.
    pub(crate) deletion: Client,
    /// For content, copies and the ends of multipart uploads, without a time limit.
    pub(crate) data: Client,
    /// Signs redirect URLs, if clients reach the store under another name.
    pub(crate) public: Option<Client>,
    /// For requests that the `object_store` crate does not support; `None` if the crate supports all of them.
    pub(crate) raw: Option<Raw>,
    /// For Azure: signs what the crate does not; `None` if the credentials sign nothing.
    pub(crate) azure: Option<AzureAccount>,
    pub(crate) keys: Keys,
    pub(crate) options: Options,
    pub(crate) conditions: Conditions,
    pub(crate) redirect: bool,
    pub(crate) recent_misses: RecentMisses,
    pub(crate) in_flight: InFlightParts,
    /// The budget for parts in flight, in KiB.
    pub(crate) budget: Arc<Semaphore>,
}

/// The client for requests that this driver signs itself.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) http: HttpClient,
    /// The name of the bucket, for the start of a copy's source.
    pub(crate) bucket: String,
}

impl Bucket {
    /// The object at `path`.
    pub(crate) fn object(&self, path: &DriverPath) -> Result<Path, Failure> {
        self.keys.object(path).ok_or(Failure::Root)
    }

    /// The object at `path`; `NotFound` if `path` has none.
    pub(crate) fn existing(&self, path: &DriverPath) -> Result<Path, Failure> {
        self.keys.object(path).ok_or(Failure::NotFound)
    }

    pub(crate) async fn head(&self, key: &Path) -> Result<ObjectMeta, Failure> {
        let options = GetOptions { head: true, ..Default::default() };
        Ok(finished(self.control.objects().get_opts(key, options).await?)?.meta)
    }

    pub(crate) async fn page(&self, request: PageRequest<'_>) -> Result<Page, Failure> {
        Ok(self.control.page(request).await?)
    }

    /// Removes the remains of an upload whose file is published. A failure costs space; the purge of uploads removes the
    /// rest.
    pub(crate) async fn clean(&self, leftovers: Vec<Path>) {
        let keys = leftovers.iter().map(Path::to_string).collect::<Vec<_>>().join(", ");
        if let Err(failure) = self.delete_objects(leftovers).await {
            tracing::warn!(
                keys,
                error = with_causes(&failure),
                "cannot delete the staged objects of a published file; the purge of uploads removes them"
            );
        }
    }

    /// Whether the parts of an upload become an object only once. Azure may commit a list of blocks again, over the object
    /// that another list has become.
    pub(crate) fn ends_once(&self) -> bool {
        !matches!(self.data, Client::Azure(_))
    }

    /// Whether a multipart upload can have metadata from its start.
    pub(crate) fn marks_parts(&self) -> bool {
        self.ends_once()
    }

    /// The KiB of the budget that a part of `size` bytes takes: at most the whole budget, so that every part can get it.
    pub(crate) fn share_of_budget(&self, size: u64) -> u32 {
        let whole = self.options.parts.buffer.div_ceil(1024).max(1);
        u32::try_from(size.div_ceil(1024).clamp(1, whole)).unwrap_or(u32::MAX)
    }
}

/// An answer about an object. An object of a copy that is running or has failed counts as absent: Azure shows it, but it is
/// no file yet.
pub(crate) fn finished(answer: GetResult) -> Result<GetResult, Failure> {
    match answer.extensions.get::<CopyStatus>() {
        Some(CopyStatus(status)) if status != "success" => Err(Failure::NotFound),
        _ => Ok(answer),
    }
}

/// The budget for `buffer` bytes.
pub(crate) fn budget(buffer: u64) -> Arc<Semaphore> {
    let permits = usize::try_from(buffer.div_ceil(1024).max(1)).unwrap_or(Semaphore::MAX_PERMITS);
    Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
}

/// Runs `request`, and fails with `NoAnswer` once it takes longer than moving `bytes` could. The start and the end of a
/// multipart upload move none.
///
/// The data client has no time limit of its own, and a store that hangs must not hang its callers.
pub(crate) async fn with_limit<T, E>(
    bytes: u64,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure>
where
    Failure: From<E>,
{
    let time_limit = PROMPT + Duration::from_secs(bytes / MIN_BYTES_PER_SEC);
    match tokio::time::timeout(time_limit, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::NoAnswer(time_limit)),
    }
}

/// The time limit of a request that moves no bytes.
const PROMPT: Duration = Duration::from_secs(120);

const MIN_BYTES_PER_SEC: u64 = 50_000;
