//! `ObjectWriter`: receives the bytes of an upload. `commit.rs` publishes it.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::PutMultipartOptions;
use sampan_driver::{DriverPath, FileWriter, Operation, Result, WriteHint, WriteMode};
use tokio::time::Instant;

use crate::bucket::{Bucket, with_limit};
use crate::error::Failure;
use crate::keys::object;
use crate::parts::Parts;
use crate::state::{Ends, Header, Saved};
use crate::tail::Tail;

/// A writer of the upload staged at `path`.
#[derive(Debug)]
pub(crate) struct ObjectWriter {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) path: DriverPath,
    /// The future state object, except for the parts, which are in `parts`.
    pub(crate) header: Header,
    pub(crate) parts: Parts,
    /// The bytes after the parts. Empty while they are [`unread`](Self::unread).
    pub(crate) tail: Tail,
    /// The bytes of the tail that are only in the state object; read when this writer needs them.
    unread: u64,
    /// The version of the state object in the store.
    pub(crate) saved: Option<Saved>,
    /// The length in the state object, and whether it names a multipart upload.
    pub(crate) acknowledged: (u64, bool),
    /// Whether the writer has anything that the state object lacks.
    pub(crate) is_dirty: bool,
    /// The time when the writer was opened, or last saved its state.
    pub(crate) touched: Instant,
    /// Whether nothing was staged before this writer.
    is_new: bool,
    /// The number of bytes that this writer has received.
    pub(crate) added: u64,
    /// The multipart upload at the opening of this writer, and its unfinished attempts to end.
    pub(crate) opened: OpenState,
}

/// The findings of a writer at its opening.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenState {
    /// Whether other writers know this upload. A multipart upload that this writer began is its own until the state is saved.
    pub(crate) is_shared: bool,
    pub(crate) ends: Ends,
}

impl ObjectWriter {
    pub(crate) async fn open(
        bucket: Arc<Bucket>,
        path: &DriverPath,
        mode: WriteMode,
    ) -> Result<Self, Failure> {
        bucket.object(path)?;
        bucket.in_flight.clear(path).await;
        match mode {
            WriteMode::Create(hint) => Self::create(bucket, path, hint).await,
            WriteMode::Append => Self::append(bucket, path).await,
        }
    }

    /// Starts again. Sends no request if nothing was staged.
    async fn create(bucket: Arc<Bucket>, path: &DriverPath, hint: WriteHint) -> Result<Self, Failure> {
        if !bucket.recent_misses.take(path)
            && let Some(old) = bucket.find_state(path).await?
        {
            bucket.delete_objects(vec![bucket.keys.state(path)]).await?;
            bucket.abort(&old.header).await?;
        }
        let limits = &bucket.options.parts;
        let Some(part_size) = limits.size_for(hint.len) else {
            return Err(Failure::TooLong { part_size: limits.max_size, max_parts: limits.max_count });
        };
        let target = hint.target.filter(|_| limits.at_target).and_then(|target| bucket.keys.object(&target));
        let header = Header::new(&target.unwrap_or_else(|| bucket.keys.assembly(path)), part_size);
        let lock = bucket.in_flight.parts_lock(path);
        Ok(Self {
            bucket,
            path: path.clone(),
            header,
            parts: Parts::new(Vec::new(), lock),
            tail: Tail::default(),
            unread: 0,
            saved: None,
            acknowledged: (0, false),
            is_dirty: true,
            touched: Instant::now(),
            is_new: true,
            added: 0,
            opened: OpenState::default(),
        })
    }

    async fn append(bucket: Arc<Bucket>, path: &DriverPath) -> Result<Self, Failure> {
        let Some(found) = bucket.find_state(path).await? else {
            bucket.recent_misses.note(path);
            return Err(Failure::NotFound);
        };
        let parts = Parts::new(found.header.parts.clone(), bucket.in_flight.parts_lock(path));
        let opened = OpenState { is_shared: found.header.upload.is_some(), ends: found.header.ends };
        let mut writer = Self {
            bucket,
            path: path.clone(),
            header: found.header,
            parts,
            tail: found.tail,
            unread: found.unread,
            saved: Some(found.version),
            acknowledged: (0, false),
            is_dirty: false,
            touched: Instant::now(),
            is_new: false,
            added: 0,
            opened,
        };
        writer.acknowledged = (writer.len(), writer.header.upload.is_some());
        Ok(writer)
    }

    pub(crate) fn len(&self) -> u64 {
        match self.header.assembled {
            Some(len) => len,
            None => self.header.part_size * self.parts.count() + self.tail.len() + self.unread,
        }
    }

    /// Reads the tail of the opening state, unless that is done.
    pub(crate) async fn read_tail(&mut self) -> Result<(), Failure> {
        let Some(saved) = self.saved.as_ref().filter(|_| self.unread > 0) else { return Ok(()) };
        match self.bucket.load_state(&self.path).await? {
            None => Err(Failure::UploadLost),
            Some(found) if found.header.nonce != saved.nonce() => Err(Failure::Overtaken),
            Some(found) => {
                self.tail = found.tail;
                self.unread = 0;
                Ok(())
            }
        }
    }

    async fn take(&mut self, mut chunk: Bytes) -> Result<(), Failure> {
        if chunk.is_empty() {
            return Ok(());
        }
        if self.header.assembled.is_some() {
            return Err(Failure::Ended);
        }
        self.check_end()?;
        let (part_size, max_parts) = (self.header.part_size, self.bucket.options.parts.max_count);
        if self.len().saturating_add(chunk.len() as u64) > part_size.saturating_mul(max_parts) {
            return Err(Failure::TooLong { part_size, max_parts });
        }
        self.read_tail().await?;
        self.is_dirty = true;
        self.added += chunk.len() as u64;
        while !chunk.is_empty() {
            // A full tail waits for the next byte: content that fits into one part never becomes a multipart upload.
            if self.tail.len() == part_size {
                self.send_tail().await?;
                self.touch().await?;
            }
            let room = usize::try_from(part_size - self.tail.len()).unwrap_or(usize::MAX);
            self.tail.push(chunk.split_to(room.min(chunk.len())));
        }
        Ok(())
    }

    /// Rewrites the state now and then during a long transfer: its date shows others that the upload is alive.
    ///
    /// An existing state keeps its content, so that this writer can still be reverted (C16).
    async fn touch(&mut self) -> Result<(), Failure> {
        if self.touched.elapsed() < TOUCH_INTERVAL {
            return Ok(());
        }
        self.touched = Instant::now();
        let Some(saved) = self.saved.as_ref().filter(|_| !self.is_new) else {
            self.parts.finish_in_flight().await?;
            return self.save(&[]).await.map(drop);
        };
        match self.bucket.load_state(&self.path).await? {
            None => Err(Failure::UploadLost),
            Some(found) if found.header.nonce != saved.nonce() => Err(Failure::Overtaken),
            Some(mut found) => {
                let (header, tail) = (&mut found.header, &mut found.tail);
                let again = self.bucket.save_state(&self.path, header, tail, Some(&found.version));
                self.saved = Some(again.await?);
                Ok(())
            }
        }
    }

    async fn send_tail(&mut self) -> Result<(), Failure> {
        if self.header.upload.is_none() && self.is_assembly() {
            // Another writer of the same state also starts an upload, and the two must have different marks.
            self.header.key = self.bucket.keys.assembly(&self.path).to_string();
            self.header.mark = format!("{:032x}", rand::random::<u128>());
        }
        let key = object(&self.header.key);
        let upload = match &self.header.upload {
            Some(upload) => upload.clone(),
            None => {
                let attributes = self.bucket.attributes_marked(&self.header.mark);
                let options = PutMultipartOptions { attributes, ..Default::default() };
                let begin = self.bucket.data.multipart().create_multipart_opts(&key, options);
                let upload = with_limit(0, begin).await?;
                self.header.begun = seconds_since_1970();
                self.header.upload.insert(upload).clone()
            }
        };
        // Keeps the tail until the part is certainly in flight.
        let payload = self.tail.payload();
        self.parts.send(&self.bucket, &key, &upload, payload).await?;
        self.tail.take();
        Ok(())
    }

    /// Whether the parts become a temporary object of this upload, which is then copied.
    pub(crate) fn is_assembly(&self) -> bool {
        self.bucket.keys.is_assembly(&object(&self.header.key), &self.path)
    }

    /// Refuses to continue with blocks that another writer may still commit, over this writer's object.
    pub(crate) fn check_end(&self) -> Result<(), Failure> {
        let is_open = self.header.assembled.is_none() && self.opened.ends != Ends::None;
        if is_open && !self.bucket.ends_once() { Err(Failure::UploadLost) } else { Ok(()) }
    }

    /// Saves the state, and `note` if it covers exactly the received bytes, so that another writer can continue.
    pub(crate) async fn save(&mut self, note: &[u8]) -> Result<u64, Failure> {
        let taken = self.len();
        if let Err(Failure::UploadLost) = self.parts.finish_in_flight().await {
            return Err(self.lost().await);
        }
        let kept = self.parts.kept();
        if kept.len() as u64 != self.parts.count() {
            // The bytes after a lost part are useless; the error gives the client the length that is kept.
            self.tail.take();
            self.parts.truncate();
            self.is_dirty = true;
            let (acknowledged, has_upload) = self.acknowledged;
            if self.len() < acknowledged {
                // The lost part contained the tail of the stored state. The state object still has it.
                if !has_upload && let Err(error) = self.bucket.abort(&self.header).await {
                    tracing::debug!(path = %self.path, %error, "cannot end an unused multipart upload");
                }
                return Ok(acknowledged);
            }
        }
        self.header.parts = kept;
        self.is_dirty |= self.header.set_note(if self.len() == taken { note } else { &[] });
        if self.added > 0 && self.header.ends == Ends::Alike {
            self.header.ends = Ends::Mixed;
        }
        if self.is_dirty {
            self.read_tail().await?;
            let saved =
                self.bucket.save_state(&self.path, &mut self.header, &mut self.tail, self.saved.as_ref());
            self.saved = Some(saved.await?);
            self.acknowledged = (self.len(), self.header.upload.is_some());
            self.bucket.recent_misses.forget(&self.path);
            self.is_dirty = false;
            self.touched = Instant::now();
        }
        Ok(self.len())
    }

    /// The meaning of an unknown upload: it is lost, unless another writer has ended it or continues it. The caller clears
    /// the state after everything else that names the upload.
    pub(crate) async fn lost(&mut self) -> Failure {
        self.parts.clear().await;
        let Some(saved) = &self.saved else { return Failure::UploadLost };
        match self.bucket.load_header(&self.bucket.keys.state(&self.path)).await {
            Ok(Some(header)) if header.nonce != saved.nonce() => Failure::Overtaken,
            Ok(_) => Failure::UploadLost,
            Err(failure) => failure,
        }
    }

    /// Removes the whole upload. The state goes first: without it the rest is unreachable, but not vice versa.
    async fn forget(&mut self) -> Result<(), Failure> {
        self.parts.clear().await;
        if self.saved.take().is_some() {
            self.bucket.delete_objects(vec![self.bucket.keys.state(&self.path)]).await?;
        }
        self.bucket.abort(&self.header).await
    }

    /// Discards this writer's bytes, which no state includes.
    pub(crate) async fn restore(&mut self) -> Result<(), Failure> {
        if self.is_new && self.saved.is_some() {
            return self.forget().await; // It was long enough under way to have saved its state.
        }
        self.parts.clear().await;
        match self.opened.is_shared {
            // The next writer replaces its further parts.
            true => Ok(()),
            false => self.bucket.abort(&self.header).await,
        }
    }
}

#[async_trait]
impl FileWriter for ObjectWriter {
    fn size(&self) -> u64 {
        self.len()
    }

    fn note(&self) -> Option<Bytes> {
        // The header keeps it until this writer is closed.
        self.saved.as_ref().and_then(|_| self.header.note())
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let taken = self.take(chunk).await;
        taken.map_err(|failure| failure.at(self.bucket.name, Operation::Write, &self.path))
    }

    async fn close(mut self: Box<Self>, note: Bytes) -> Result<u64> {
        let saved = self.save(&note).await;
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

    async fn revert(mut self: Box<Self>) -> Result<()> {
        let reverted = self.restore().await;
        reverted.map_err(|failure| failure.at(self.bucket.name, Operation::Revert, &self.path))
    }
}

/// Far less than the minimum age for any purge.
const TOUCH_INTERVAL: Duration = Duration::from_secs(10 * 60);

pub(crate) fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
