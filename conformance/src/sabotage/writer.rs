//! The lies of writers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{DriverPath, FileWriter, PutMode, Result, StagedView, StorageDriverExt, WriteHint};

use super::view::SabotagedView;
use super::{Lie, Sabotaged};

/// A writer of a sabotaged driver.
#[derive(Debug)]
pub(super) struct SabotagedWriter {
    pub(super) inner: Box<dyn FileWriter>,
    pub(super) driver: Sabotaged,
    pub(super) path: DriverPath,
    pub(super) hint: WriteHint,
    /// Writes that the inner writer has not received, or not yet.
    pub(super) held_back: Vec<Bytes>,
    /// Bytes that the count includes, though the inner writer does not have them.
    pub(super) counted: u64,
    pub(super) writes: u64,
    pub(super) appends: bool,
    pub(super) has_ended: Arc<AtomicBool>,
}

impl SabotagedWriter {
    async fn give_held_back(&mut self) -> Result<()> {
        for chunk in std::mem::take(&mut self.held_back) {
            self.counted -= chunk.len() as u64;
            self.inner.write(chunk).await?;
        }
        Ok(())
    }

    async fn hold_back(&mut self, chunk: Bytes) -> Result<()> {
        self.counted += chunk.len() as u64;
        self.held_back.push(chunk);
        Ok(())
    }

    fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        self.driver.memory.open_writers.fetch_sub(1, Ordering::SeqCst);
        self.driver.memory.notes().unfinished.remove(&self.path);
    }
}

#[async_trait]
impl FileWriter for SabotagedWriter {
    fn size(&self) -> u64 {
        self.inner.size() + self.counted
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.writes += 1;
        let written = match self.driver.lie {
            Lie::LosesLastWrite | Lie::ForgetsTailOnClose => {
                self.give_held_back().await?;
                self.hold_back(chunk).await
            }
            Lie::WritesOutOfOrder if chunk.len() < 8192 => self.hold_back(chunk).await,
            Lie::LosesAWrite if self.writes.is_multiple_of(1000) => {
                self.counted += chunk.len() as u64;
                Ok(())
            }
            Lie::TrustsHintedLength => {
                let room = self.hint.len.map_or(u64::MAX, |len| len.saturating_sub(self.inner.size()));
                let kept = chunk.slice(..room.min(chunk.len() as u64) as usize);
                self.counted += (chunk.len() - kept.len()) as u64;
                self.inner.write(kept).await
            }
            Lie::TextOnly => self.inner.write(super::driver::as_text(&chunk)).await,
            Lie::WritersShareABuffer if self.driver.memory.open_writers.load(Ordering::SeqCst) > 1 => {
                self.inner.write(vec![0; chunk.len()].into()).await
            }
            Lie::PublishesBeforeCommit => {
                if let Some(target) = &self.hint.target {
                    self.driver.inner.put_content(target, chunk.clone(), PutMode::Overwrite).await?;
                }
                self.inner.write(chunk).await
            }
            _ => self.inner.write(chunk).await,
        };
        let size = self.size();
        self.driver.memory.notes().sizes.insert(self.path.clone(), size);
        written
    }

    async fn flush(&mut self) -> Result<()> {
        match self.driver.lie {
            Lie::ViewIsNotFlushed => Ok(()),
            _ => self.inner.flush().await,
        }
    }

    fn view(&self) -> Option<Arc<dyn StagedView>> {
        let view = self.inner.view()?;
        self.driver.memory.notes().views.insert(self.path.clone(), view.clone());
        Some(Arc::new(SabotagedView::new(
            view,
            self.driver.clone(),
            self.path.clone(),
            self.has_ended.clone(),
        )))
    }

    fn note(&self) -> Option<Bytes> {
        match self.driver.lie {
            Lie::ForgetsNotes => None,
            Lie::NotesOutliveTheirBytes if self.appends => {
                self.driver.memory.notes().texts.get(&self.path).cloned()
            }
            _ => self.inner.note(),
        }
    }

    async fn close(mut self: Box<Self>, note: Bytes) -> Result<u64> {
        self.end();
        let size = self.size();
        if !note.is_empty() {
            self.driver.memory.notes().texts.insert(self.path.clone(), note.clone());
        }
        match self.driver.lie {
            Lie::CloseSkipsEmpty if size == 0 => self.inner.cancel().await?,
            Lie::ForgetsTailOnClose => _ = self.inner.close(note).await?,
            _ => {
                self.give_held_back().await?;
                self.inner.close(note).await?;
            }
        }
        Ok(size)
    }

    async fn commit(mut self: Box<Self>, to: &DriverPath) -> Result<()> {
        self.end();
        let (driver, to) = (self.driver.clone(), driver_target(&self.driver, &self.hint, to));
        let _change = driver.change(&to).await?;
        driver.note_publication(&to);
        if driver.lie != Lie::LosesLastWrite {
            self.give_held_back().await?;
        }
        match driver.lie {
            Lie::CommitKeepsTheExisting if driver.inner.exists(&to).await? => self.inner.cancel().await,
            Lie::CommitSkipsEmpty if self.inner.size() == 0 => self.inner.cancel().await,
            Lie::CommitLeavesTheStagedFile => {
                self.inner.commit(&to).await?;
                driver.inner.put_content(&self.path, Bytes::new(), PutMode::Overwrite).await
            }
            Lie::CommitRemovesItsPath => {
                self.inner.commit(&to).await?;
                driver.inner.delete(&self.path).await
            }
            Lie::CommitKeepsTheTime => {
                self.inner.commit(&to).await?;
                let mut notes = driver.memory.notes();
                if let Some(begun) = notes.begun.remove(&self.path) {
                    notes.times.insert(to, begun);
                }
                Ok(())
            }
            _ => self.inner.commit(&to).await,
        }
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        self.end();
        match (self.driver.lie, &self.hint.target) {
            (Lie::CancelKeeps, _) => self.inner.close(Bytes::new()).await.map(drop),
            (Lie::CancelRemovesTheTarget, Some(target)) => {
                self.driver.inner.delete(target).await?;
                self.inner.cancel().await
            }
            _ => self.inner.cancel().await,
        }
    }

    async fn revert(mut self: Box<Self>) -> Result<()> {
        self.end();
        match self.driver.lie {
            Lie::RevertKeeps => {
                self.give_held_back().await?;
                self.inner.close(Bytes::new()).await.map(drop)
            }
            _ => self.inner.revert().await,
        }
    }
}

fn driver_target(driver: &Sabotaged, hint: &WriteHint, to: &DriverPath) -> DriverPath {
    match &hint.target {
        Some(target) if driver.lie == Lie::TrustsHintedTarget => target.clone(),
        _ => driver.at(to),
    }
}
