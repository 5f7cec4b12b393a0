//! `delete_all` for drivers that wrap a driver and act on each file.

use std::future::Future;

use futures::StreamExt;
use futures::stream::BoxStream;
use sampan_driver::{Deadline, DriverError, DriverPath, ErrorKind, Operation, Result};

/// Deletes one file after the other by `delete`, each with its own result, for as long as `until` allows.
pub(crate) fn one_by_one<F>(
    driver: &'static str,
    paths: BoxStream<'static, DriverPath>,
    until: Deadline,
    delete: impl Fn(DriverPath) -> F + Send + 'static,
) -> BoxStream<'static, (DriverPath, Result<()>)>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let delete = move |path: DriverPath| {
        let deleting = (!until.has_passed()).then(|| delete(path.clone()));
        async move {
            let result = match deleting {
                Some(deleting) => deleting.await,
                None => Err(DriverError::new(ErrorKind::TooLate, driver, Operation::DeleteAll, &path)),
            };
            (path, result)
        }
    };
    paths.then(delete).boxed()
}
