//! `delete_all` for drivers around a driver that do something about each file.

use std::future::Future;

use futures::StreamExt;
use futures::stream::BoxStream;
use sampan_driver::{DriverPath, Result};

/// Deletes one file after the other by `delete`, each with its own result.
pub(crate) fn one_by_one<F>(
    paths: BoxStream<'static, DriverPath>,
    delete: impl Fn(DriverPath) -> F + Send + 'static,
) -> BoxStream<'static, (DriverPath, Result<()>)>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let delete = move |path: DriverPath| {
        let deleting = delete(path.clone());
        async move { (path, deleting.await) }
    };
    paths.then(delete).boxed()
}
