//! `MeteredWriter`: a writer whose calls are timed.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{DriverPath, FileWriter, Result, StagedView};

use super::action::Action;
use super::metrics::DriverMetrics;

/// A writer whose calls are timed.
#[derive(Debug)]
pub(super) struct MeteredWriter {
    inner: Box<dyn FileWriter>,
    metrics: Arc<DriverMetrics>,
}

impl MeteredWriter {
    pub(super) fn new(inner: Box<dyn FileWriter>, metrics: Arc<DriverMetrics>) -> Self {
        Self { inner, metrics }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl FileWriter for MeteredWriter {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.metrics.wrote(chunk.len());
        let begun = Instant::now();
        let result = self.inner.write(chunk).await;
        self.metrics.took(Action::Write, begun.elapsed(), &result);
        result
    }

    async fn flush(&mut self) -> Result<()> {
        let begun = Instant::now();
        let result = self.inner.flush().await;
        self.metrics.took(Action::Write, begun.elapsed(), &result);
        result
    }

    fn view(&self) -> Option<Arc<dyn StagedView>> {
        self.inner.view()
    }

    fn note(&self) -> Option<Bytes> {
        self.inner.note()
    }

    async fn close(self: Box<Self>, note: Bytes) -> Result<u64> {
        let begun = Instant::now();
        let result = self.inner.close(note).await;
        self.metrics.took(Action::Close, begun.elapsed(), &result);
        result
    }

    async fn commit(self: Box<Self>, to: &DriverPath) -> Result<()> {
        let begun = Instant::now();
        let result = self.inner.commit(to).await;
        self.metrics.took(Action::Commit, begun.elapsed(), &result);
        result
    }

    async fn cancel(self: Box<Self>) -> Result<()> {
        let begun = Instant::now();
        let result = self.inner.cancel().await;
        self.metrics.took(Action::Cancel, begun.elapsed(), &result);
        result
    }

    async fn revert(self: Box<Self>) -> Result<()> {
        let begun = Instant::now();
        let result = self.inner.revert().await;
        self.metrics.took(Action::Revert, begun.elapsed(), &result);
        result
    }
}
