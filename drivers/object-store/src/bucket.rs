//! `Bucket`: everything that the operations of the driver share.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use object_store::client::HttpClient;
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectMeta};
use sampan_driver::DriverPath;
use tokio::sync::Semaphore;

use crate::client::{Client, Page, PageRequest};
use crate::conditional::Conditional;
use crate::error::{Failure, chain};
use crate::in_flight::InFlightParts;
use crate::keys::Keys;
use crate::options::Options;
use crate::recent_misses::RecentMisses;
use crate::requests::CopyStatus;

/// A bucket or container, and how it is used.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// The section of the configuration file.
    pub(crate) name: &'static str,
    /// For small requests, which are given a minute.
    pub(crate) control: Client,
    /// For what the collector deletes: a request is given seconds and is sent once, since one whose answer did not come may still
    /// be carried out.
    pub(crate) deletion: Client,
    /// For content, copies and the ends of multipart uploads, which take as long as they take.
    pub(crate) data: Client,
    /// Signs the URLs that clients are sent to, when they know the store by another name.
    pub(crate) public: Option<Client>,
    /// For what the `object_store` crate does not do; absent where nothing is missing.
    pub(crate) raw: Option<Raw>,
    /// Dates objects of Azure's by requests that the crate does not make; absent where it need not or cannot be done.
    pub(crate) dating: Option<HttpClient>,
    pub(crate) keys: Keys,
    pub(crate) options: Options,
    pub(crate) conditional: Conditional,
    pub(crate) redirect: bool,
    pub(crate) recent_misses: RecentMisses,
    pub(crate) in_flight: InFlightParts,
    /// Bytes of parts that may be on their way, in KiB.
    pub(crate) budget: Arc<Semaphore>,
}

/// The way of requests that are signed here.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) http: HttpClient,
    /// The name of the bucket, which the source of a copy begins with.
    pub(crate) bucket: String,
}

impl Bucket {
    /// The object at `path`.
    pub(crate) fn object(&self, path: &DriverPath) -> Result<Path, Failure> {
        self.keys.object(path).ok_or(Failure::Root)
    }

    /// The object at `path`, for whoever would be told that there is none.
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

    /// Removes what is left of an upload whose file is published. A failure costs space, and the purge of uploads finds it.
    pub(crate) async fn clean(&self, leftovers: Vec<Path>) {
        let keys = leftovers.iter().map(Path::to_string).collect::<Vec<_>>().join(", ");
        if let Err(failure) = self.delete_objects(leftovers).await {
            tracing::warn!(
                keys,
                error = chain(&failure),
                "a file is published, but not all that was staged for it is removed"
            );
        }
    }

    /// Whether the parts of an upload become an object once and for all. On Azure a list of blocks may be committed again, over
    /// the object that another one has become.
    pub(crate) fn ends_once(&self) -> bool {
        !matches!(self.data, Client::Azure(_))
    }

    /// Whether a multipart upload can be given metadata when it begins.
    pub(crate) fn marks_parts(&self) -> bool {
        self.ends_once()
    }

    /// How many KiB of the budget a part of `size` bytes takes: never more than there is, so that it will be had.
    pub(crate) fn share_of_budget(&self, size: u64) -> u32 {
        let whole = self.options.parts.buffer.div_ceil(1024).max(1);
        u32::try_from(size.div_ceil(1024).clamp(1, whole)).unwrap_or(u32::MAX)
    }
}

/// An answer about an object, unless it is what a copy makes of it that goes on or came to nothing. Azure shows that, but it is
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

/// `request`, unless it takes longer than moving `bytes` could possibly take. The beginning and the end of a multipart upload
/// move none.
///
/// The data client has no time limit of its own, and a store that is hung must not hang its callers.
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

/// How long a store may take to answer when no bytes are moved.
const PROMPT: Duration = Duration::from_secs(120);

const MIN_BYTES_PER_SEC: u64 = 50_000;
