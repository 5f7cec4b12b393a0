//! Publishes an upload: by one request if it fits into a part, else by completing its multipart upload, which is at the
//! target or is copied there.
//!
//! The published bytes are those that this writer received, even if other writers continue the same upload:
//!
//! - Bytes that fit into a part are sent from memory.
//! - Each part is named by the store's name for its content. A store that has other parts by now refuses.
//! - Only the writer whose state is in the store ends a multipart upload that others know ([`ObjectWriter::own`]). A later
//!   writer takes over, and the earlier one gets an error.
//! - After an error, an object counts as the intended one only if it bears the upload's mark and no other writer can have
//!   made it of other bytes ([`ObjectWriter::is_there`]). Its size proves nothing.
//! - The object to copy has a key of its own, which no other object ever uses.

use std::time::{Duration, SystemTime};

use object_store::GetOptions;
use object_store::multipart::PartId;
use object_store::path::Path;
use sampan_driver::DriverPath;

use crate::bucket::{finished, with_limit};
use crate::error::Failure;
use crate::keys::object;
use crate::parts::put_part;
use crate::state::{Ends, Header, is_unknown_upload, lacks_parts};
use crate::tail::Tail;
use crate::writer::{ObjectWriter, seconds_since_1970};

/// The progress of the end of an upload, which decides the state after a failure.
enum Progress {
    /// All requests so far can be repeated.
    Untouched,
    /// This writer owns the upload; holds the state before that.
    Owned(Box<Header>, Tail),
    /// The store has not confirmed the request to make one object of the parts.
    Asked,
    /// The object exists.
    Assembled,
}

impl ObjectWriter {
    /// Publishes the upload at `to` and removes what was staged.
    pub(crate) async fn publish(&mut self, to: &DriverPath) -> Result<(), Failure> {
        let mut progress = Progress::Untouched;
        let mut leftovers = match self.publish_object(to, &mut progress).await {
            Ok(leftovers) => leftovers,
            Err(failure) => return Err(self.step_back(failure, progress).await),
        };
        if self.saved.is_some() {
            leftovers.push(self.bucket.keys.state(&self.path));
        }
        self.bucket.clean(leftovers).await;
        Ok(())
    }

    /// Publishes the upload, and returns the object that is left over, if any.
    async fn publish_object(
        &mut self,
        to: &DriverPath,
        progress: &mut Progress,
    ) -> Result<Vec<Path>, Failure> {
        let bucket = self.bucket.clone();
        let target = bucket.object(to)?;
        self.read_tail().await?;
        if self.parts.count() == 0 && self.header.assembled.is_none() {
            bucket.put(&target, self.tail.payload()).await?;
            bucket.abort(&self.header).await?;
            return Ok(Vec::new());
        }
        self.check_end()?;
        let key = object(&self.header.key);
        if key != target && !self.is_assembly() {
            return Err(Failure::WrongTarget { begun_for: self.header.key.clone() });
        }
        let (size, begun) = (self.len(), SystemTime::now());
        if self.header.assembled.is_none() {
            self.assemble(&key, size, progress).await?;
        }
        *progress = Progress::Assembled;
        if key == target {
            self.renew_if_old(&key, size, begun).await?;
            return Ok(Vec::new());
        }
        match bucket.copy(&key, &target, size).await {
            Err(failure) if failure.is_not_found() => Err(Failure::UploadLost),
            copied => copied.map(|()| vec![key]),
        }
    }

    /// Makes the parts and the tail one object of `size` bytes at `key`.
    async fn assemble(&mut self, key: &Path, size: u64, progress: &mut Progress) -> Result<(), Failure> {
        self.parts.finish_in_flight().await?;
        let upload = self.header.upload.clone().ok_or(Failure::UploadLost)?;
        if self.opened.is_shared {
            *progress = self.own().await?;
        }
        let mut ids = self.parts.kept();
        if !self.tail.is_empty() {
            match put_part(&self.bucket, key, &upload, ids.len(), self.tail.payload()).await {
                Ok(id) => ids.push(id),
                Err(Failure::UploadLost) if self.is_there(key, size).await? => return Ok(()),
                Err(failure) => return Err(failure),
            }
        }
        let parts = ids.into_iter().map(|content_id| PartId { content_id }).collect();
        *progress = Progress::Asked;
        let complete = self.bucket.data.multipart().complete_multipart(key, &upload, parts);
        let Err(failure) = with_limit(0, complete).await else { return Ok(()) };
        // The answer to a successful request may be lost; its repetition then finds the upload ended.
        if self.is_there(key, size).await? {
            return Ok(());
        }
        let is_lost = failure.is_not_found() || is_unknown_upload(&failure) || lacks_parts(&failure);
        Err(if is_lost { Failure::UploadLost } else { failure })
    }

    /// Makes this writer the only one that may end the upload: rewrites the state that it found, with a nonce of its own. A
    /// writer that found it earlier fails at its next write.
    ///
    /// The state excludes the bytes that this writer received, so that a failure leaves the length of the upload unchanged.
    async fn own(&mut self) -> Result<Progress, Failure> {
        let Some(saved) = self.saved.clone() else { return Ok(Progress::Untouched) };
        let (mut header, mut tail, before) = if self.added == 0 {
            (self.header.clone(), self.tail.clone(), saved)
        } else {
            // The state includes the bytes that this writer has passed on since.
            match self.bucket.load_state(&self.path).await? {
                None => return Err(Failure::UploadLost),
                Some(found) if found.header.nonce != saved.nonce() => return Err(Failure::Overtaken),
                Some(found) => (found.header, found.tail, found.version),
            }
        };
        let found = header.clone();
        header.ends = match (self.opened.ends, self.added) {
            (Ends::None | Ends::Alike, 0) => Ends::Alike,
            _ => Ends::Mixed,
        };
        let owned = self.bucket.save_state(&self.path, &mut header, &mut tail, Some(&before));
        self.saved = Some(owned.await?);
        self.header.ends = header.ends;
        Ok(Progress::Owned(Box::new(found), tail))
    }

    /// Restores the upload as far as possible after `failure`, and returns the error for the client.
    async fn step_back(&mut self, failure: Failure, progress: Progress) -> Failure {
        let (is_lost, size) = (matches!(failure, Failure::UploadLost), self.len());
        self.parts.clear().await;
        let left = match progress {
            _ if matches!(failure, Failure::Overtaken) => return failure,
            // Other writers do not know of this upload.
            _ if !self.opened.is_shared && self.header.assembled.is_none() => match self.header.upload {
                Some(_) => {
                    self.header.ends = Ends::Mixed; // The object may be there.
                    self.bucket.abort(&self.header).await
                }
                None => Ok(()),
            },
            _ if is_lost => return self.lost().await,
            Progress::Assembled if self.header.assembled.is_none() && self.added > 0 => {
                // The object now contains the earlier bytes and those of this request.
                return Failure::UploadLost;
            }
            Progress::Assembled if self.header.assembled.is_none() => {
                self.header.assembled = Some(size);
                self.tail.take();
                let state = &mut self.header;
                self.bucket.save_state(&self.path, state, &mut self.tail, self.saved.as_ref()).await.map(drop)
            }
            Progress::Owned(mut found, mut tail) => {
                let state = &mut *found;
                let saved = self.saved.as_ref();
                self.bucket.save_state(&self.path, state, &mut tail, saved).await.map(drop)
            }
            Progress::Untouched | Progress::Asked | Progress::Assembled => Ok(()),
        };
        if let Err(error) = left {
            // Best effort, since the store is failing. The next writer finds the state in the store.
            tracing::debug!(path = %self.path, %error, "the state of an upload was not saved after a failure");
        }
        failure
    }

    /// Whether the object of this upload is at `key` and consists of this writer's bytes.
    async fn is_there(&self, key: &Path, size: u64) -> Result<bool, Failure> {
        let is_known = match self.opened.ends {
            _ if !self.opened.is_shared => true,
            Ends::None => true,
            Ends::Alike => self.added == 0,
            Ends::Mixed => false,
        };
        if !is_known {
            return Ok(false);
        }
        let options = GetOptions { head: true, ..Default::default() };
        let found = match self.bucket.control.objects().get_opts(key, options).await {
            Ok(found) => finished(found),
            Err(error) => Err(Failure::from(error)),
        };
        let found = match found {
            Ok(found) => found,
            Err(failure) if failure.is_not_found() => return Ok(false),
            Err(failure) => return Err(failure),
        };
        let is_marked = match self.bucket.marks_parts() {
            true => self.bucket.has_mark(&found, &self.header.mark),
            // No other object ever has such a key, and only one writer ends an upload there.
            false => self.is_assembly(),
        };
        if !is_marked || found.meta.size != size {
            return Ok(false);
        }
        if self.opened.is_shared
            && let Some(saved) = &self.saved
        {
            // Another writer that took over may have made it of its own bytes.
            self.bucket.still(&self.bucket.keys.state(&self.path), saved).await?;
        }
        Ok(true)
    }

    /// Renews the date of an object by copying it away and back. AWS dates an object by the start of its multipart upload, so
    /// a garbage collector could take the result of a long upload for abandoned (C13).
    async fn renew_if_old(&self, key: &Path, size: u64, begun: SystemTime) -> Result<(), Failure> {
        if seconds_since_1970().saturating_sub(self.header.begun) < SKEW.as_secs() {
            return Ok(());
        }
        let found = self.bucket.head(key).await?;
        if SystemTime::from(found.last_modified) >= begun.checked_sub(SKEW).unwrap_or(begun) {
            return Ok(());
        }
        let spare = self.bucket.keys.assembly(&self.path);
        self.bucket.copy(key, &spare, size).await?;
        self.bucket.copy(&spare, key, size).await?;
        self.bucket.clean(vec![spare]).await;
        Ok(())
    }
}

/// The largest assumed difference between the store's clock and ours; far below any grace period.
const SKEW: Duration = Duration::from_secs(300);
