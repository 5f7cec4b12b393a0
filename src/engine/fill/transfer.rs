//! `Transfer`: the task of a fill.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::link::link;
use super::progress::Progress;
use super::sink::{Sink, SinkOptions};
use super::source::{FillSource, OpenSource};
use super::table::{Inner, Key};
use super::{FillError, WITHHELD_BYTES};
use crate::Repository;
use crate::oci::Digest;
use crate::upload::hash::UploadHash;

/// A transfer that has begun. Dropping it ends it: its readers fail, and the next client starts again.
pub(super) struct Transfer {
    pub(super) fills: Arc<Inner>,
    pub(super) key: Key,
    pub(super) id: u64,
    /// The repository in which the blob is published.
    pub(super) repository: Repository,
    pub(super) described_bytes: Option<u64>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) received_bytes: Arc<AtomicU64>,
    pub(super) stop: CancellationToken,
}

impl Transfer {
    /// Fetches, verifies and publishes the blob.
    pub(super) async fn run(self, open: OpenSource) {
        let mut sink = None;
        let received = self.begin_and_receive(open, &mut sink).await;
        match (received, sink) {
            (Ok(hash), Some(sink)) => self.publish(hash, sink).await,
            (Ok(_), None) => self.fail(FillError::Stopped),
            (Err(error), sink) => {
                self.fail(error);
                if let Some(mut sink) = sink {
                    sink.cancel().await;
                }
            }
        }
    }

    /// A stop ends the first and the last step at once. The one between makes a staged file, which only the sink removes.
    async fn begin_and_receive(
        &self,
        open: OpenSource,
        sink: &mut Option<Sink>,
    ) -> Result<UploadHash, FillError> {
        let opening = async { open().await.map_err(FillError::of_source) };
        let source = self.until_stopped(opening).await?;
        let expected = source.size_bytes().or(self.described_bytes);
        self.progress.send_modify(|progress| progress.opened = Some(expected));
        let options = &self.fills.options;
        let (reserved, refused) =
            match options.admission.reserve(&self.repository, expected.unwrap_or_default()) {
                Ok(reserved) => (reserved, None),
                Err(reason) => (None, Some(reason)),
            };
        let opened = Sink::open(SinkOptions {
            repository: self.repository.clone(),
            digest: self.digest().clone(),
            len: expected,
            spool: options.spool.clone().unwrap_or_else(std::env::temp_dir),
            write_timeout: options.write_timeout,
            reserved,
            refused,
        });
        let sink = sink.insert(whole(opened).await?);
        self.until_stopped(self.receive(source, expected, sink)).await
    }

    async fn until_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, FillError>>,
    ) -> Result<T, FillError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(FillError::Stopped),
            done = whole(work) => done,
        }
    }

    /// Receives the whole blob, and verifies it.
    async fn receive(
        &self,
        mut source: Box<dyn FillSource>,
        expected: Option<u64>,
        sink: &mut Sink,
    ) -> Result<UploadHash, FillError> {
        self.release(sink);
        let mut hash = UploadHash::new(self.digest().algorithm());
        let (mut is_flushed, mut admitted) = (true, expected.unwrap_or_default());
        loop {
            let mut next = pin!(source.next());
            let chunk = loop {
                tokio::select! {
                    biased;
                    chunk = &mut next => break chunk.map_err(FillError::of_source)?,
                    // The upstream is slow, so what is gathered goes to the readers.
                    () = tokio::time::sleep(FLUSH_AFTER), if !is_flushed => {
                        sink.flush().await?;
                        is_flushed = true;
                        self.release(sink);
                    }
                }
            };
            let Some(chunk) = chunk else { break };
            let received = sink.accepted_bytes() + chunk.len() as u64;
            if let Some(expected) = expected.filter(|expected| received > *expected) {
                return Err(FillError::Length { expected, received });
            }
            if chunk.is_empty() {
                continue;
            }
            while admitted < received {
                admitted += STEP_BYTES;
                self.admit_more(sink).await?;
            }
            self.fills.counters.received(chunk.len() as u64);
            self.received_bytes.store(received, Ordering::Relaxed);
            sink.write(chunk, &mut hash).await?;
            is_flushed = false;
            self.release(sink);
        }
        let received = sink.accepted_bytes();
        if let Some(expected) = expected.filter(|expected| received != *expected) {
            return Err(FillError::Length { expected, received });
        }
        sink.flush().await?;
        self.release(sink);
        match hash.digest(self.digest().algorithm()) {
            Some(actual) if actual == *self.digest() => Ok(hash),
            Some(actual) => Err(FillError::Digest { expected: self.digest().clone(), actual }),
            None => Err(FillError::Stopped),
        }
    }

    /// Reserves more of the store for a blob whose length is not known: it may have no end.
    async fn admit_more(&self, sink: &mut Sink) -> Result<(), FillError> {
        match self.fills.options.admission.reserve(&self.repository, STEP_BYTES) {
            Ok(reserved) => {
                sink.reserve(reserved);
                Ok(())
            }
            Err(reason) => sink.refuse(reason).await,
        }
    }

    /// Gives readers the rest, and publishes the blob in each repository.
    async fn publish(self, hash: UploadHash, mut sink: Sink) {
        let size_bytes = sink.accepted_bytes();
        self.progress.send_modify(|progress| {
            progress.verified = Some(size_bytes);
            progress.parts = Some(sink.parts());
            progress.released_bytes = sink.readable_bytes();
        });
        let published = sink.publish(hash, &self.repository, self.digest()).await;
        let stored = match published {
            Ok(stored) => stored,
            Err(error) => {
                self.count_unstored(&error);
                self.fills.remove(&self.key, self.id);
                self.progress.send_modify(|progress| {
                    if progress.released_bytes < size_bytes {
                        progress.failed = Some(error.clone());
                    }
                    progress.unstored = Some(error);
                });
                return;
            }
        };
        self.fills.counters.stored();
        self.repository.registry.cache_bytes().add(self.repository.name(), size_bytes);
        sink.unreserve();
        self.progress.send_modify(|progress| {
            progress.parts = Some(sink.parts());
            progress.released_bytes = size_bytes;
            Arc::make_mut(&mut progress.stored).insert(self.repository.name().clone(), Ok(stored.clone()));
        });
        loop {
            let done = self.progress.borrow().stored.clone();
            let Some(repository) = self.fills.next_repository(&self.key, self.id, &done) else { return };
            drop(done);
            let linked = link(&repository, &stored, self.digest()).await;
            self.progress.send_modify(|progress| {
                Arc::make_mut(&mut progress.stored).insert(repository.name().clone(), linked);
            });
        }
    }

    /// Tells readers what they may have by now.
    fn release(&self, sink: &Sink) {
        let released = sink.readable_bytes().saturating_sub(WITHHELD_BYTES);
        self.progress.send_if_modified(|progress| {
            let is_further = released > progress.released_bytes;
            if is_further {
                progress.released_bytes = released;
            }
            let parts = sink.parts();
            let has_parts = progress.parts.as_ref().map(|parts| parts.len()) != Some(parts.len());
            if has_parts {
                progress.parts = Some(parts);
                progress.unstored = sink.unstored().cloned();
            }
            is_further || has_parts
        });
    }

    /// Ends the transfer for its clients.
    fn fail(&self, error: FillError) {
        let counters = &self.fills.counters;
        match &error {
            FillError::Digest { .. } => {
                counters.digest_mismatch();
                tracing::error!(digest = %self.digest(), %error, "an upstream sent other content than {}", self.digest());
                self.fills.refuse(&self.key, self.id, error.clone());
            }
            _ => {
                counters.failed();
                if let FillError::Unstored(reason, _) = &error {
                    counters.unstored(*reason);
                }
                self.fills.remove(&self.key, self.id);
            }
        }
        self.progress.send_modify(|progress| progress.failed = Some(error));
    }

    fn count_unstored(&self, error: &FillError) {
        if let FillError::Unstored(reason, source) = error {
            self.fills.counters.unstored(*reason);
            tracing::warn!(digest = %self.digest(), error = &**source as &(dyn std::error::Error + 'static), "blob {} was fetched but not stored: {reason}", self.digest());
        }
    }

    fn digest(&self) -> &Digest {
        &self.key.1
    }
}

/// The result of a step, also if it panics: nothing is used then of what it may have left half done, except to remove it.
async fn whole<T>(work: impl Future<Output = Result<T, FillError>>) -> Result<T, FillError> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or(Err(FillError::Stopped))
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.fills.remove(&self.key, self.id);
    }
}

/// How much of the store is reserved at a time for a blob whose length is not known.
const STEP_BYTES: u64 = 4 << 20;

/// How long an upstream may pause before what is gathered is written for the readers.
const FLUSH_AFTER: Duration = Duration::from_millis(20);
