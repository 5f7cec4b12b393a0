//! The lies of views.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{DriverPath, FileReader, Result, StagedView};

use super::{Lie, Sabotaged};

/// A view of a sabotaged driver.
#[derive(Debug)]
pub(super) struct SabotagedView {
    inner: Arc<dyn StagedView>,
    driver: Sabotaged,
    path: DriverPath,
    /// Whether the writer has ended.
    has_ended: Arc<AtomicBool>,
    was_read: AtomicBool,
}

impl SabotagedView {
    pub(super) fn new(
        inner: Arc<dyn StagedView>,
        driver: Sabotaged,
        path: DriverPath,
        has_ended: Arc<AtomicBool>,
    ) -> Self {
        Self { inner, driver, path, has_ended, was_read: AtomicBool::new(false) }
    }
}

#[async_trait]
impl StagedView for SabotagedView {
    fn readable_bytes(&self) -> u64 {
        let readable = self.inner.readable_bytes();
        match self.driver.lie {
            Lie::ViewPromisesMore => readable + 1000,
            Lie::ViewShrinks if self.was_read.load(Ordering::SeqCst) => readable.saturating_sub(1),
            Lie::ViewEndsWithItsWriter if self.has_ended.load(Ordering::SeqCst) => 0,
            _ => readable,
        }
    }

    fn file(&self) -> Option<Arc<std::fs::File>> {
        self.inner.file()
    }

    async fn reader(&self, range: Range<u64>) -> Result<FileReader> {
        self.was_read.store(true, Ordering::SeqCst);
        match self.driver.lie {
            Lie::ViewPromisesMore => {
                let true_end = range.end.min(self.inner.readable_bytes());
                let shown = collect(self.inner.reader(range.start.min(true_end)..true_end).await?).await?;
                let mut content = shown.to_vec();
                content.resize((range.end - range.start) as usize, 0);
                Ok(FileReader::of_content(range.end, range, content.into()))
            }
            Lie::ViewShowsOtherBytes => {
                let mut content = collect(self.inner.reader(range.clone()).await?).await?.to_vec();
                content.iter_mut().for_each(|byte| *byte = !*byte);
                Ok(FileReader::of_content(range.end, range, content.into()))
            }
            Lie::ViewFollowsItsPath => {
                let last = self.driver.memory.notes().views.get(&self.path).cloned();
                last.unwrap_or_else(|| self.inner.clone()).reader(range).await
            }
            _ => self.inner.reader(range).await,
        }
    }
}

async fn collect(reader: FileReader) -> Result<Bytes> {
    let chunks: Vec<Bytes> = reader.into_stream().try_collect().await?;
    Ok(chunks.concat().into())
}
