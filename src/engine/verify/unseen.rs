//! A place that a walk cannot see: a finding, unless it is all that the walk is about, or the store does not answer at all.

use sampan_driver::{DriverError, DriverPath, ErrorKind, StorageDriver};

use super::data::cause;
use super::problem::{Problem, ProblemKind};
use super::{Error, Result};
use crate::layout;
use crate::oci::Algorithm;

/// The problem that a place is which a walk below `root` cannot see. The walk continues after it.
///
/// # Errors
///
/// The walk has seen nothing, or the store does not answer.
pub(super) async fn unseen(
    driver: &dyn StorageDriver,
    root: &DriverPath,
    error: DriverError,
) -> Result<Problem> {
    let data = layout::blob_shards(Algorithm::Sha256);
    let is_everything = |place: &DriverPath| root.starts_with(place) || data.starts_with(place);
    if error.kind() != ErrorKind::Unseen {
        return Err(error.into());
    }
    if is_everything(error.path()) || driver.check().await.is_err() {
        return Err(Error::Unseen { path: error.path().to_string(), reason: cause(&error) });
    }
    Ok(Problem::new(error.path(), ProblemKind::Unreadable { error: cause(&error) }, None))
}
