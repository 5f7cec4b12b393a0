//! `ObjectWriter`: bytes on their way into an upload. How it is published stands in `commit.rs`.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::PutMultipartOptions;
use object_store::path::Path;
use sampan_driver::{DriverPath, FileWriter, Operation, Result, WriteHint, WriteMode};
use tokio::time::Instant;

use crate::bucket::{Bucket, patiently};
use crate::error::Failure;
use crate::keys::object;
use crate::parts::Parts;
use crate::state::{Header, Saved};
use crate::tail::Tail;

/// A writer of the upload staged at `path`.
#[derive(Debug)]
pub(crate) struct ObjectWriter {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) path: DriverPath,
    /// What the state object will say, but for the parts, which are in `parts`.
    pub(crate) header: Header,
    pub(crate) parts: Parts,
    pub(crate) tail: Tail,
    /// The state object that is in the store.
    pub(crate) saved: Option<Saved>,
    /// The length that the state object tells, and whether it names a multipart upload.
    pub(crate) acknowledged: (u64, bool),
    /// Whether there is anything that the state object does not say.
    pub(crate) dirty: bool,
    /// When the writer was opened, or has last saved its state.
    pub(crate) touched: Instant,
}

impl ObjectWriter {
    pub(crate) async fn open(
        bucket: Arc<Bucket>,
        path: &DriverPath,
        mode: WriteMode,
    ) -> Result<Self, Failure> {
        let staged = bucket.object(path)?;
        bucket.flights.clear(path).await;
        match mode {
            WriteMode::Create(hint) => Self::create(bucket, path, staged, hint).await,
            WriteMode::Append => Self::append(bucket, path).await,
        }
    }

    /// Begins anew. Where nothing was staged, this sends nothing to the store.
    async fn create(
        bucket: Arc<Bucket>,
        path: &DriverPath,
        staged: Path,
        hint: WriteHint,
    ) -> Result<Self, Failure> {
        if !bucket.missed.take(path)
            && let Some(old) = bucket.load_state(path).await?
        {
            bucket.abort(&old.header).await?;
            bucket.delete_objects(vec![bucket.keys.state(path)]).await?;
        }
        let limits = &bucket.options.parts;
        let Some(part_size) = limits.size_for(hint.len) else {
            return Err(Failure::TooLong { part_size: limits.max_size, max_parts: limits.max_count });
        };
        let target = hint.target.filter(|_| limits.at_target).and_then(|target| bucket.keys.object(&target));
        let header = Header::new(&target.unwrap_or(staged), part_size);
        let lane = bucket.flights.lane(path);
        Ok(Self {
            bucket,
            path: path.clone(),
            header,
            parts: Parts::new(Vec::new(), lane),
            tail: Tail::default(),
            saved: None,
            acknowledged: (0, false),
            dirty: true,
            touched: Instant::now(),
        })
    }

    async fn append(bucket: Arc<Bucket>, path: &DriverPath) -> Result<Self, Failure> {
        let Some(found) = bucket.load_state(path).await? else {
            bucket.missed.note(path);
            return Err(Failure::NotFound);
        };
        let mut tail = Tail::default();
        tail.push(found.tail);
        let parts = Parts::new(found.header.parts.clone(), bucket.flights.lane(path));
        let path = path.clone();
        let saved = Some(found.version);
        let mut writer = Self {
            bucket,
            path,
            header: found.header,
            parts,
            tail,
            saved,
            acknowledged: (0, false),
            dirty: false,
            touched: Instant::now(),
        };
        writer.acknowledged = (writer.len(), writer.header.upload.is_some());
        Ok(writer)
    }

    pub(crate) fn len(&self) -> u64 {
        match self.header.assembled {
            Some(len) => len,
            None => self.header.part_size * self.parts.count() + self.tail.len(),
        }
    }

    async fn take(&mut self, mut chunk: Bytes) -> Result<(), Failure> {
        if chunk.is_empty() {
            return Ok(());
        }
        if self.header.assembled.is_some() {
            return Err(Failure::Ended);
        }
        let (part_size, max_parts) = (self.header.part_size, self.bucket.options.parts.max_count);
        if self.len().saturating_add(chunk.len() as u64) > part_size.saturating_mul(max_parts) {
            return Err(Failure::TooLong { part_size, max_parts });
        }
        self.dirty = true;
        while !chunk.is_empty() {
            // A full tail waits for the byte after it: what fits into one part is never a multipart upload.
            if self.tail.len() == part_size {
                self.send_tail().await?;
                self.touch().await?;
            }
            let room = usize::try_from(part_size - self.tail.len()).unwrap_or(usize::MAX);
            self.tail.push(chunk.split_to(room.min(chunk.len())));
        }
        Ok(())
    }

    /// Saves the state now and then while bytes come for hours: it shows others that the upload is alive, and a crash then
    /// costs minutes.
    async fn touch(&mut self) -> Result<(), Failure> {
        if self.touched.elapsed() < TOUCH {
            return Ok(());
        }
        self.parts.settle().await?;
        self.save().await.map(drop)
    }

    async fn send_tail(&mut self) -> Result<(), Failure> {
        let key = object(&self.header.key);
        let upload = match &self.header.upload {
            Some(upload) => upload.clone(),
            None => {
                let options =
                    PutMultipartOptions { attributes: self.bucket.attributes(), ..Default::default() };
                let begin = self.bucket.data.multipart().create_multipart_opts(&key, options);
                let upload = patiently(0, begin).await?;
                self.header.begun = seconds_since_1970();
                self.header.upload.insert(upload).clone()
            }
        };
        // The tail is kept until the part is surely on its way.
        let payload = self.tail.payload();
        self.parts.send(&self.bucket, &key, &upload, payload).await?;
        self.tail.take();
        Ok(())
    }

    /// Writes down what there is, so that another writer can go on.
    pub(crate) async fn save(&mut self) -> Result<u64, Failure> {
        let settled = self.parts.settle().await;
        if let Err(Failure::UploadLost) = settled {
            // Nothing of it is left to go on with.
            self.forget().await?;
            return Err(Failure::UploadLost);
        }
        let kept = self.parts.kept();
        if kept.len() as u64 != self.parts.count() {
            // The bytes after a lost part are of no use; whoever sends them is told how far they got.
            self.tail.take();
            self.parts.truncate();
            self.dirty = true;
            let (acknowledged, has_upload) = self.acknowledged;
            if self.len() < acknowledged {
                // The end of what the state object has went with the lost part. There it still is.
                if !has_upload && let Err(error) = self.bucket.abort(&self.header).await {
                    tracing::debug!(path = %self.path, %error, "a multipart upload that came to nothing was not ended");
                }
                return Ok(acknowledged);
            }
        }
        self.header.parts = kept;
        if self.dirty {
            let saved =
                self.bucket.save_state(&self.path, &mut self.header, &mut self.tail, self.saved.as_ref());
            self.saved = Some(saved.await?);
            self.acknowledged = (self.len(), self.header.upload.is_some());
            self.bucket.missed.forget(&self.path);
            self.dirty = false;
            self.touched = Instant::now();
        }
        Ok(self.len())
    }

    /// Leaves nothing of an upload that the store has lost, unless another writer made something of it.
    pub(crate) async fn forget_lost(&mut self) -> Result<(), Failure> {
        if let Some(saved) = &self.saved {
            self.bucket.still(&self.bucket.keys.state(&self.path), saved).await?;
        }
        self.forget().await
    }

    /// Leaves nothing of the upload.
    async fn forget(&mut self) -> Result<(), Failure> {
        self.parts.clear().await;
        self.bucket.abort(&self.header).await?;
        if self.saved.take().is_some() {
            self.bucket.delete_objects(vec![self.bucket.keys.state(&self.path)]).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl FileWriter for ObjectWriter {
    fn size(&self) -> u64 {
        self.len()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let taken = self.take(chunk).await;
        taken.map_err(|failure| failure.at(self.bucket.name, Operation::Write, &self.path))
    }

    async fn close(mut self: Box<Self>) -> Result<u64> {
        let saved = self.save().await;
        saved.map_err(|failure| failure.at(self.bucket.name, Operation::Close, &self.path))
    }

    async fn commit(mut self: Box<Self>, to: &DriverPath) -> Result<()> {
        let published = self.publish(to).await;
        published.map_err(|failure| failure.at(self.bucket.name, Operation::Commit, &self.path))
    }

    async fn cancel(mut self: Box<Self>) -> Result<()> {
        let forgotten = self.forget().await;
        forgotten.map_err(|failure| failure.at(self.bucket.name, Operation::Cancel, &self.path))
    }
}

/// Far less than the age at which any purge takes uploads.
const TOUCH: Duration = Duration::from_secs(10 * 60);

pub(crate) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
