//! `Faulty`: a store that fails on demand.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Semaphore;

use crate::parts_checked::PartsChecked;

/// The kind of failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// The store is overloaded.
    SlowDown,
    /// The request succeeds, and its answer is lost.
    LostAnswer,
    /// The answer is lost below the driver, and the crate's client repeats the request.
    SentAgain,
    /// The store has forgotten the multipart upload.
    NoSuchUpload,
    /// The credentials have expired.
    Expired,
    /// The bucket is gone.
    NoSuchBucket,
    /// A deletion leaves its last key.
    OneKeyStays,
    /// No answer ever comes.
    Silence,
}

/// The kind of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Request {
    Put,
    Get,
    Copy,
    Delete,
    Begin,
    Part,
    Complete,
}

/// A store in memory whose next request of one kind fails.
#[derive(Debug, Default)]
pub(crate) struct Faulty {
    inner: Arc<PartsChecked>,
    planned: std::sync::Mutex<Option<(Request, Fault, u64)>>,
    /// The bytes of an answer's body before the connection is cut; 0 for all.
    cut_after: AtomicU64,
    requests: AtomicU64,
    /// The number of bytes of objects that were read.
    bytes: AtomicU64,
    /// The next request of this kind is held.
    held: std::sync::Mutex<Option<(Request, Gates)>>,
}

/// The gates of a held request: reached, and released.
type Gates = (Arc<Semaphore>, Arc<Semaphore>);

/// A request that is held.
pub(crate) struct Held {
    reached: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

impl Held {
    /// Waits until the request is there.
    pub(crate) async fn reached(&self) {
        self.reached.acquire().await.unwrap().forget();
    }

    /// Lets the request continue.
    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }
}

impl Faulty {
    /// The next `times` requests of the kind `request` fail.
    pub(crate) fn fail(&self, request: Request, fault: Fault, times: u64) {
        *self.planned.lock().unwrap() = Some((request, fault, times));
    }

    /// Holds the next request of the kind `request`.
    pub(crate) fn hold(&self, request: Request) -> Held {
        let held = Held { reached: Arc::new(Semaphore::new(0)), released: Arc::new(Semaphore::new(0)) };
        *self.held.lock().unwrap() = Some((request, (held.reached.clone(), held.released.clone())));
        held
    }

    async fn wait(&self, request: Request) {
        let held = self.held.lock().unwrap().take_if(|(sort, ..)| *sort == request);
        if let Some((_, (reached, released))) = held {
            reached.add_permits(1);
            released.acquire().await.unwrap().forget();
        }
    }

    /// Cuts every answer after `bytes` bytes of its body.
    pub(crate) fn cut_after(&self, bytes: u64) {
        self.cut_after.store(bytes, Ordering::SeqCst);
    }

    /// The number of requests since the last call.
    pub(crate) fn take_requests(&self) -> u64 {
        self.requests.swap(0, Ordering::SeqCst)
    }

    /// The number of bytes of objects read since the last call.
    pub(crate) fn take_bytes(&self) -> u64 {
        self.bytes.swap(0, Ordering::SeqCst)
    }

    /// Whether a failure is still pending.
    pub(crate) fn is_planned(&self) -> bool {
        self.planned.lock().unwrap().is_some()
    }

    fn fault(&self, request: Request) -> Option<Fault> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut planned = self.planned.lock().unwrap();
        let (sort, fault, times) = (*planned)?;
        if sort != request {
            return None;
        }
        *planned = (times > 1).then_some((sort, fault, times - 1));
        Some(fault)
    }

    async fn run<T>(&self, request: Request, action: impl Future<Output = Result<T>>) -> Result<T> {
        self.wait(request).await;
        match self.fault(request) {
            None => action.await,
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::LostAnswer | Fault::SentAgain) => {
                action.await?;
                Err(error(Fault::LostAnswer))
            }
            Some(fault) => Err(error(fault)),
        }
    }
}

fn error(fault: Fault) -> Error {
    let generic = |text: &str| Error::Generic { store: "Faulty", source: text.to_owned().into() };
    let not_found = |text: &str| Error::NotFound { path: String::new(), source: text.to_owned().into() };
    match fault {
        Fault::SlowDown => {
            generic("Server returned non-2xx status code: 503 Service Unavailable: <Code>SlowDown</Code>")
        }
        Fault::LostAnswer | Fault::SentAgain | Fault::Silence => {
            generic("Server returned non-2xx status code: 500 Internal Server Error: ")
        }
        Fault::NoSuchUpload => not_found("<Code>NoSuchUpload</Code>"),
        Fault::Expired => {
            generic("Server returned non-2xx status code: 400 Bad Request: <Code>ExpiredToken</Code>")
        }
        Fault::NoSuchBucket => not_found("<Code>NoSuchBucket</Code>"),
        Fault::OneKeyStays => {
            generic("DeleteObjects request failed for key a: UnknownError (code: UnknownError)")
        }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fault = self.fault(Request::Put);
        if fault == Some(Fault::Silence) {
            return std::future::pending().await;
        }
        if fault.is_none_or(|fault| matches!(fault, Fault::LostAnswer | Fault::SentAgain)) {
            let first = self.inner.put_opts(location, payload.clone(), options.clone()).await;
            return match fault {
                Some(Fault::SentAgain) => self.inner.put_opts(location, payload, options).await,
                Some(fault) => first.and(Err(error(fault))),
                None => first,
            };
        }
        Err(error(fault.unwrap()))
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let is_read = !options.head;
        let mut answer = self.run(Request::Get, self.inner.get_opts(location, options)).await?;
        if is_read {
            self.bytes.fetch_add(answer.range.end - answer.range.start, Ordering::SeqCst);
        }
        let cut = self.cut_after.load(Ordering::SeqCst);
        if cut > 0 && answer.range.end - answer.range.start > cut {
            let (meta, range, attributes) =
                (answer.meta.clone(), answer.range.clone(), answer.attributes.clone());
            let whole: Bytes = answer.bytes().await?;
            let cut = usize::try_from(cut).unwrap();
            let chunks = [Ok(whole.slice(..cut)), Err(error(Fault::SlowDown))];
            let payload = GetResultPayload::Stream(stream::iter(chunks).boxed());
            answer = GetResult { payload, meta, range, attributes, extensions: Default::default() };
        }
        Ok(answer)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.fault(Request::Delete) {
            None => self.inner.delete_stream(locations),
            Some(Fault::Silence) => stream::pending().boxed(),
            Some(Fault::OneKeyStays) => {
                let inner = self.inner.clone();
                let delete = async move {
                    let mut keys: Vec<_> = locations.collect().await;
                    let last = keys.pop();
                    let deleted = inner.delete_stream(stream::iter(keys).boxed());
                    deleted.chain(stream::iter(last.map(|_| Err(error(Fault::OneKeyStays)))))
                };
                stream::once(delete).flatten().boxed()
            }
            Some(fault) => stream::iter([Err(error(fault))]).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.run(Request::Copy, self.inner.copy_opts(from, to, options)).await
    }
}

#[async_trait]
impl MultipartStore for Faulty {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        self.run(Request::Begin, self.inner.create_multipart_opts(path, options)).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        index: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        self.run(Request::Part, self.inner.put_part(path, id, index, data)).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        self.run(Request::Complete, self.inner.complete_multipart(path, id, parts)).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.inner.abort_multipart(path, id).await
    }
}

/// The store, shared with the driver over it.
pub(crate) fn faulty() -> Arc<Faulty> {
    Arc::default()
}
