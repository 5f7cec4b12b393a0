//! A file of another tool as the content of an import.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use sampan_bundle::{BoxError, ContentStream, Plan};
use sampan_engine::oci::Digest;
use sampan_foreign::ForeignReader;

use crate::{Error, MissingFrom, PlanReader, Result};

#[async_trait]
impl PlanReader for ForeignReader {
    fn plan(&self) -> &Plan {
        ForeignReader::plan(self)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn supplement(&self) -> MissingFrom {
        MissingFrom::EarlierArchive
    }

    /// The headers and manifests were checked when the file was opened.
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn content(&self, index: usize) -> Result<ContentStream> {
        Ok(ForeignReader::content(self, index).await?.map_err(BoxError::from).boxed())
    }

    async fn read_whole(&self, index: usize, max_bytes: u64) -> Result<Bytes> {
        Ok(ForeignReader::read_whole(self, index, max_bytes).await?)
    }

    async fn finish(&self) -> Result<()> {
        Ok(())
    }

    fn wrong_digest(&self, index: usize, actual: &Digest) -> Error {
        ForeignReader::wrong_digest(self, index, actual).into()
    }

    fn fault(&self, index: usize, problem: String) -> Error {
        ForeignReader::fault(self, index, problem).into()
    }
}
