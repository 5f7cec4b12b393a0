//! How an upload is published: by one request when it fits into a part, else by completing its multipart upload, which
//! either was made at the target or is copied there.

use std::time::{Duration, SystemTime};

use object_store::multipart::PartId;
use object_store::path::Path;
use sampan_driver::DriverPath;

use crate::bucket::patiently;
use crate::error::Failure;
use crate::keys::object;
use crate::parts::put_part;
use crate::state::{is_unknown_upload, lacks_parts};
use crate::writer::{ObjectWriter, seconds_since_1970};

impl ObjectWriter {
    /// Publishes the upload at `to` and removes what was staged.
    pub(crate) async fn publish(&mut self, to: &DriverPath) -> Result<(), Failure> {
        let mut leftovers = match self.publish_object(to).await {
            Ok(leftovers) => leftovers,
            Err(failure) => {
                // What was written stays to be appended to, unless the store has lost it; that this is tried is all that a
                // failing store allows.
                let rest = match failure {
                    Failure::UploadLost => self.forget_lost().await,
                    _ => self.save().await.map(drop),
                };
                if let Err(error) = rest {
                    tracing::debug!(path = %self.path, %error, "the state of an upload was not saved after a failure");
                }
                return Err(failure);
            }
        };
        if self.saved.is_some() {
            leftovers.push(self.bucket.keys.state(&self.path));
        }
        self.bucket.clean(leftovers).await;
        Ok(())
    }

    /// Publishes the upload, and tells which object of it is left over.
    async fn publish_object(&mut self, to: &DriverPath) -> Result<Vec<Path>, Failure> {
        let bucket = self.bucket.clone();
        let target = bucket.object(to)?;
        if self.parts.count() == 0 && self.header.assembled.is_none() {
            bucket.abort(&self.header).await?;
            bucket.put(&target, self.tail.payload()).await?;
            return Ok(Vec::new());
        }
        let (key, staged) = (object(&self.header.key), bucket.object(&self.path)?);
        if key != target && key != staged {
            return Err(Failure::WrongTarget { begun_for: self.header.key.clone() });
        }
        let begun = SystemTime::now();
        self.assemble(&key, key == staged, begun).await?;
        let size = self.len();
        if key == target {
            self.renew_if_old(&key, &staged, size, begun).await?;
            return Ok(Vec::new());
        }
        bucket.copy(&key, &target, size).await?;
        Ok(vec![key])
    }

    /// Makes the parts and the tail one object at `key`.
    async fn assemble(&mut self, key: &Path, is_private: bool, begun: SystemTime) -> Result<(), Failure> {
        if self.header.assembled.is_some() {
            return Ok(());
        }
        self.parts.settle().await?;
        let size = self.len();
        let upload = self.header.upload.clone().ok_or(Failure::UploadLost)?;
        let mut ids = self.parts.kept();
        if !self.tail.is_empty() {
            let last = put_part(&self.bucket, key, &upload, ids.len(), self.tail.payload()).await;
            match last {
                Ok(id) => ids.push(id),
                Err(Failure::UploadLost) if self.is_there(key, size, is_private, begun).await? => {}
                Err(failure) => return Err(failure),
            }
        }
        let parts = ids.into_iter().map(|content_id| PartId { content_id }).collect();
        let complete = self.bucket.data.multipart().complete_multipart(key, &upload, parts);
        if let Err(failure) = patiently(0, complete).await {
            // The answer to a request that succeeded may have been lost, and the next one met an upload that had ended.
            if !self.is_there(key, size, is_private, begun).await? {
                let is_lost = failure.is_not_found() || is_unknown_upload(&failure) || lacks_parts(&failure);
                return Err(if is_lost { Failure::UploadLost } else { failure });
            }
        }
        if is_private {
            // From here on a failure leaves an object to be copied, and no upload.
            self.header.assembled = Some(size);
            self.tail.take();
            self.dirty = true;
        }
        Ok(())
    }

    /// Whether the object that this upload was to become is there.
    ///
    /// At a key of this upload's own any object of that size is it. At a target it may be another upload's, of the same
    /// content no doubt, but it counts only when it was published just now (C13).
    async fn is_there(
        &self,
        key: &Path,
        size: u64,
        is_private: bool,
        begun: SystemTime,
    ) -> Result<bool, Failure> {
        let found = match self.bucket.head(key).await {
            Ok(found) => found,
            Err(failure) if failure.is_not_found() => return Ok(false),
            Err(failure) => return Err(failure),
        };
        let earliest = begun.checked_sub(SKEW).unwrap_or(begun);
        Ok(found.size == size && (is_private || SystemTime::from(found.last_modified) >= earliest))
    }

    /// AWS dates an object by the beginning of its multipart upload. One that was long under way would be born old, and a
    /// garbage collector might take it for abandoned (C13). Copying it away and back gives it a new date.
    async fn renew_if_old(
        &self,
        key: &Path,
        spare: &Path,
        size: u64,
        begun: SystemTime,
    ) -> Result<(), Failure> {
        if key == spare || seconds_since_1970().saturating_sub(self.header.begun) < SKEW.as_secs() {
            return Ok(());
        }
        let found = self.bucket.head(key).await?;
        if SystemTime::from(found.last_modified) >= begun.checked_sub(SKEW).unwrap_or(begun) {
            return Ok(());
        }
        self.bucket.copy(key, spare, size).await?;
        self.bucket.copy(spare, key, size).await?;
        self.bucket.clean(vec![spare.clone()]).await;
        Ok(())
    }
}

/// How far the store's clock and ours may be apart. Far less than any grace period of a garbage collector.
const SKEW: Duration = Duration::from_secs(300);
