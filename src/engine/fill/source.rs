//! `FillSource`: the bytes of an upstream.

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use sampan_driver::BoxError;

/// The bytes of one blob from an upstream, from the first to the last. It resumes a broken transfer by itself.
#[async_trait]
pub trait FillSource: Send {
    /// The length of the blob in bytes, if the upstream told it.
    fn size_bytes(&self) -> Option<u64>;

    /// The next bytes; `None` at the end. Not called again after an error or the end. A dropped call ends the transfer.
    async fn next(&mut self) -> Result<Option<Bytes>, BoxError>;
}

/// Opens a source.
pub(super) type OpenSource =
    Box<dyn FnOnce() -> BoxFuture<'static, Result<Box<dyn FillSource>, BoxError>> + Send>;
