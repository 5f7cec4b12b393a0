//! Blobs: from the store, else from the upstream, by one transfer that all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use sampan_client::{BlobStream, RetryPolicy};
use sampan_driver::{BoxError, ByteRange, FileReader};
use sampan_engine::fill::{Fill, FillError, FillSource};
use sampan_engine::oci::Digest;
use sampan_engine::{BlobInfo, MountOutcome};

use crate::error::{CacheError, Result, Verdict};
use crate::fair_slots::Slot;
use crate::handling::Handling;
use crate::repository::{CachedRepository, Served};
use crate::statistics::CacheRequestKind;
use crate::ticket::Ticket;
use crate::upstream::Upstream;

/// A transfer continues after the upstream broke off: five attempts or so, apart from those that made progress.
pub(crate) const RESUME: RetryPolicy = RetryPolicy {
    first: Duration::from_millis(500),
    longest: Duration::from_secs(30),
    total: Duration::from_secs(75),
    total_before_contact: Duration::from_secs(75),
};

const WRONG_LENGTH: Handling = Handling::wrong("wrong-length");
const NO_LENGTH: Handling = Handling::wrong("no-length");

impl CachedRepository {
    /// Opens a range of a blob. A blob that the store lacks is sent while it arrives from the upstream; its last bytes leave
    /// once the whole blob has its digest.
    ///
    /// # Errors
    ///
    /// It is unknown, the upstream does not give it, or the store fails; a driver error of kind `RangeInvalid` when the range
    /// begins beyond its end.
    pub async fn blob(&self, digest: &Digest, range: ByteRange) -> Result<(BlobInfo, FileReader, Served)> {
        let answer = self.read_or_fetch(digest, range).await;
        if let Ok((_, reader, how)) = &answer {
            self.inner.statistics.blobs.note(*how, reader.len());
        }
        answer
    }

    /// Describes a blob for a client that reads it next. Starts to fetch the blob if the store lacks it.
    ///
    /// # Errors
    ///
    /// As [`blob`](Self::blob).
    pub async fn blob_to_read(&self, digest: &Digest) -> Result<(BlobInfo, Served)> {
        match self.repository.blobs().stat_and_lease(digest).await {
            Ok(info) => return Ok((info, Served::Hit)),
            Err(sampan_engine::Error::BlobUnknown(..)) => {}
            Err(error) => return Err(error.into()),
        }
        let (info, _, how) = self.read_or_fetch(digest, ByteRange::ALL).await?;
        Ok((info, how))
    }

    /// Describes a blob, as the store or the upstream does; fetches nothing.
    ///
    /// # Errors
    ///
    /// As [`blob`](Self::blob).
    pub async fn blob_info(&self, digest: &Digest) -> Result<(BlobInfo, Served)> {
        let answer = self.stat_or_ask(digest).await;
        if let Ok((_, how)) = &answer {
            self.inner.statistics.blobs.note(*how, 0);
        }
        answer
    }

    async fn read_or_fetch(
        &self,
        digest: &Digest,
        range: ByteRange,
    ) -> Result<(BlobInfo, FileReader, Served)> {
        loop {
            match self.repository.blobs().read(digest, range).await {
                Ok((info, reader)) => return Ok((info, reader, Served::Hit)),
                Err(sampan_engine::Error::BlobUnknown(..)) => {}
                Err(error) => return Err(error.into()),
            }
            self.check_askable()?;
            if self.link_if_here(digest).await? {
                match self.repository.blobs().read(digest, range).await {
                    Ok((info, reader)) => return Ok((info, reader, Served::Hit)),
                    // It was evicted since.
                    Err(sampan_engine::Error::BlobUnknown(..)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let Some((fill, size)) = self.opened(digest).await? else {
                // The transfer is of another repository there, whose content this one may not have.
                let size = self.ask_for_size(digest).await?;
                self.note_entitled(digest, size);
                // It may be here by now.
                continue;
            };
            let reader = fill.reader(range).await.map_err(|error| self.fill_error(digest, error))?;
            let size_bytes = size.unwrap_or_else(|| reader.size_bytes());
            let info = BlobInfo { digest: digest.clone(), canonical: digest.clone(), size_bytes };
            self.note_holder(digest);
            return Ok((info, reader, Served::Fetched));
        }
    }

    async fn stat_or_ask(&self, digest: &Digest) -> Result<(BlobInfo, Served)> {
        match self.repository.blobs().stat_and_lease(digest).await {
            Ok(info) => return Ok((info, Served::Hit)),
            Err(sampan_engine::Error::BlobUnknown(..)) => {}
            Err(error) => return Err(error.into()),
        }
        self.check_askable()?;
        let size_bytes = self.ask_for_size(digest).await?;
        let info = BlobInfo { digest: digest.clone(), canonical: digest.clone(), size_bytes };
        Ok((info, Served::Fetched))
    }

    /// The length that the upstream says; fails if this repository there does not have the blob.
    pub(crate) async fn ask_for_size(&self, digest: &Digest) -> Result<u64> {
        let upstream = &self.name.upstream;
        let unknown = |handling| self.unknown_blob(digest, handling);
        let asked = upstream
            .ask(CacheRequestKind::Blob, &Ticket::new(self.client), self.remote.blob_info(digest))
            .await;
        let found = asked.map_err(|verdict| verdict.into_error(upstream.name(), unknown))?;
        match (found.size_bytes, self.described(digest)) {
            // It is no blob of this digest.
            (Some(size), Some(described)) if size != described => {
                Err(self.wrong_blob("it has another length than in its manifest", WRONG_LENGTH))
            }
            (Some(size), _) | (None, Some(size)) => Ok(size),
            (None, None) => Err(self.wrong_blob("it has no length", NO_LENGTH)),
        }
    }

    /// A transfer of the blob that the upstream has begun to answer, and the length, if it is known. `None` if the transfer is
    /// of other repositories, and this one was not shown to have the blob.
    pub(crate) async fn opened(&self, digest: &Digest) -> Result<Option<(Fill, Option<u64>)>> {
        loop {
            let Some((fill, is_own)) = self.fill(digest) else { return Ok(None) };
            if let Some(error) = fill.refusal() {
                return Err(self.remembered_error(digest, error));
            }
            match fill.opened().await {
                Ok(size) => return Ok(Some((fill, size))),
                // The upstream's answer about another repository says nothing of this one. That transfer has ended.
                Err(error) if is_about_the_repository(&error) && !is_own.load(Ordering::Relaxed) => {}
                Err(error) => return Err(self.fill_error(digest, error)),
            }
        }
    }

    /// Joins the transfer of the blob, or starts it. Also returns whether it is this repository for which the upstream is
    /// asked; that is known when the upstream has answered.
    fn fill(&self, digest: &Digest) -> Option<(Fill, Arc<AtomicBool>)> {
        let (fills, group, bare) = (&self.inner.fills, self.upstream_name(), self.bare());
        let is_own = Arc::new(AtomicBool::new(false));
        let described = self.described(digest);
        let open = self.open(digest, described, Arc::clone(&is_own));
        let fill = match described {
            Some(_) => Some(fills.join(group, digest, &bare, described, open)),
            None => fills.join_own(group, digest, &bare, open),
        };
        fill.map(|fill| (fill, is_own))
    }

    /// Opens the blob at the upstream.
    fn open(
        &self,
        digest: &Digest,
        described: Option<u64>,
        is_own: Arc<AtomicBool>,
    ) -> impl FnOnce() -> BoxFuture<'static, Result<Box<dyn FillSource>, BoxError>> + Send + 'static + use<>
    {
        let (upstream, remote, wanted) =
            (Arc::clone(&self.name.upstream), self.remote.clone(), digest.clone());
        let fills = self.inner.fills.clone();
        // Also if the transfer is that of another client: then it waits in the turn of this one, too.
        let ticket = upstream.tickets.join(digest, self.client);
        move || {
            is_own.store(true, Ordering::Relaxed);
            async move {
                let place = upstream.transfer(&ticket, || fills.begin_wait(upstream.name(), &wanted)).await;
                fills.end_wait(upstream.name(), &wanted);
                let opened =
                    upstream.send(CacheRequestKind::Blob, &ticket, remote.blob(&wanted, described)).await;
                match opened {
                    Ok(stream) => {
                        let stream = stream.unverified().with_retry(RESUME);
                        Ok(Box::new(Transfer { stream, upstream, _place: place }) as Box<dyn FillSource>)
                    }
                    Err(verdict) => Err(TransferError::Verdict(verdict).into()),
                }
            }
            .boxed()
        }
    }

    /// Links data that are here already through another repository of the same upstream, if a manifest of this one refers to
    /// them. Data of other upstreams or of ordinary repositories are never linked without a transfer: an upstream could name
    /// a digest that it does not have.
    pub(crate) async fn link_if_here(&self, digest: &Digest) -> Result<bool> {
        let key = (Arc::clone(&self.name.upstream.name), digest.clone());
        let Some(holder) = self.inner.memory.holders.get(&key).filter(|holder| *holder != self.name.stored)
        else {
            return Ok(false);
        };
        if self.described(digest).is_none() {
            return Ok(false);
        }
        match self.bare().blobs().mount(digest, Some(&holder)).await {
            Ok(MountOutcome::Mounted(_)) => Ok(true),
            Ok(MountOutcome::NotFound) => {
                self.inner.memory.holders.remove(&key);
                Ok(false)
            }
            Err(error) => {
                tracing::debug!(%digest, %error, "a cached blob could not be linked and is fetched");
                Ok(false)
            }
        }
    }

    fn described(&self, digest: &Digest) -> Option<u64> {
        self.inner.memory.described.get(&(self.name.stored.clone(), digest.clone()))
    }

    /// Remembers that this repository has the blob at the upstream, and its length.
    pub(crate) fn note_entitled(&self, digest: &Digest, size_bytes: u64) {
        let key = (self.name.stored.clone(), digest.clone());
        self.inner.memory.described.insert(key, size_bytes);
    }

    fn note_holder(&self, digest: &Digest) {
        let key = (Arc::clone(&self.name.upstream.name), digest.clone());
        self.inner.memory.holders.insert(key, self.name.stored.clone());
    }

    fn wrong_blob(&self, reason: &str, handling: Handling) -> CacheError {
        let (upstream, reason) = (self.upstream_name().to_owned(), reason.to_owned());
        CacheError::Wrong { upstream, reason, handling, cause: None }
    }

    pub(crate) fn unknown_blob(&self, digest: &Digest, handling: Handling) -> CacheError {
        CacheError::BlobUnknown(digest.clone(), self.name.stored.clone(), handling)
    }

    /// The error of a blob of which the upstream sent other content a short while ago.
    fn remembered_error(&self, digest: &Digest, error: FillError) -> CacheError {
        match self.fill_error(digest, error) {
            CacheError::Wrong { upstream, reason, cause, .. } => {
                CacheError::Wrong { upstream, reason, handling: Handling::REMEMBERED_WRONG, cause }
            }
            error => error,
        }
    }

    pub(crate) fn fill_error(&self, digest: &Digest, error: FillError) -> CacheError {
        let upstream = &self.name.upstream;
        let unknown = |handling| self.unknown_blob(digest, handling);
        if let Some(error) = error.source_error::<sampan_client::ClientError>() {
            return Verdict::of(error).into_error(upstream.name(), unknown);
        }
        if let Some(refusal) = error.source_error::<TransferError>() {
            return match refusal {
                TransferError::Verdict(verdict) => verdict.clone().into_error(upstream.name(), unknown),
            };
        }
        match error {
            FillError::Digest { .. } => {
                self.wrong_blob("its content does not have its digest", Handling::wrong("wrong-digest"))
            }
            FillError::Length { .. } => self.wrong_blob("its content does not have its digest", WRONG_LENGTH),
            FillError::RangeInvalid { .. } => {
                self.wrong_blob("it has another length than before", WRONG_LENGTH)
            }
            FillError::Unstored(reason, _) => {
                let reason = format!("it does not say how long the blob is, and {reason}");
                self.wrong_blob(&reason, NO_LENGTH)
            }
            FillError::Source(_) | FillError::Stopped => CacheError::Stopped,
        }
    }
}

/// Whether a failed transfer may succeed for another repository of the same upstream.
fn is_about_the_repository(error: &FillError) -> bool {
    match error.source_error::<TransferError>() {
        Some(TransferError::Verdict(verdict)) => {
            matches!(verdict, Verdict::Missing(_) | Verdict::Refused(_) | Verdict::Wrong { .. })
        }
        None => false,
    }
}

/// Why a transfer did not begin.
#[derive(Debug, thiserror::Error)]
enum TransferError {
    #[error("the upstream does not give it")]
    Verdict(Verdict),
}

/// The bytes of a blob from an upstream.
struct Transfer {
    stream: BlobStream,
    upstream: Arc<Upstream>,
    _place: Slot,
}

#[async_trait]
impl FillSource for Transfer {
    fn size_bytes(&self) -> Option<u64> {
        self.stream.size_bytes()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BoxError> {
        let bytes = self.stream.next().await?;
        if let Some(bytes) = &bytes {
            self.upstream.byte_rate.take(bytes.len() as u64).await;
        }
        Ok(bytes)
    }
}
