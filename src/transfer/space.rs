//! The space that an import needs in the file system of its target.

use futures::{StreamExt, TryStreamExt, stream};
use sampan_bundle::{Plan, PlannedContent};
use sampan_driver::ErrorKind;
use sampan_engine::Error as EngineError;

use crate::{Error, Result, Target};

/// How many questions to the target are open at a time.
const CONCURRENT_CHECKS: usize = 16;

/// Checks that the content of a plan, as far as the target lacks it, fits into `free_bytes`.
///
/// # Errors
///
/// `NoSpace`; any error of the target.
pub(crate) async fn check_space(plan: &Plan, target: &dyn Target, free_bytes: u64) -> Result<()> {
    // Most imports fit as a whole, and no question is needed.
    if plan.totals()?.bytes <= free_bytes {
        return Ok(());
    }
    let new = stream::iter(&plan.contents).map(|PlannedContent { digest, size_bytes, .. }| async move {
        // Data under another algorithm cannot be found without their repository; they count as present.
        let is_there = !digest.is_canonical() || target.has_data(digest, *size_bytes).await?;
        Ok::<_, Error>(if is_there { 0 } else { *size_bytes })
    });
    let new = new.buffered(CONCURRENT_CHECKS);
    let needed_bytes = new.try_fold(0_u64, async |sum, size| Ok(sum.saturating_add(size))).await?;
    match needed_bytes <= free_bytes {
        true => Ok(()),
        false => Err(Error::NoSpace { needed_bytes, free_bytes }),
    }
}

/// The error of an import that has `left_bytes` to go: a full store says how much it lacks.
pub(crate) fn explain_full(error: Error, left_bytes: u64) -> Error {
    match error {
        Error::Store(EngineError::Driver(source)) if source.kind() == ErrorKind::StorageFull => {
            Error::Full { left_bytes, source }
        }
        error => error,
    }
}
