//! A file that the store does not give, and a store that does not answer: of both the driver says that it is unavailable.

use std::future::Future;
use std::time::Duration;

use sampan_driver::{DriverError, ErrorKind, StorageDriver};
use tokio::time::Instant;

use super::pace::Pace;
use super::{Error, Result};

/// The answer of the store to a request for a file.
pub(super) enum Answer<T> {
    Given(T),
    /// It answers, and does not give this file.
    Refused(DriverError),
}

/// The pauses between attempts while the store does not answer.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// Reads a file, once more if the store answers meanwhile, and again and again while it does not, for as long as the run waits for
/// that.
///
/// # Errors
///
/// The store does not answer for so long, or the run was stopped meanwhile.
pub(super) async fn ask<T, F>(
    driver: &dyn StorageDriver,
    pace: &Pace,
    mut read: impl FnMut() -> F,
) -> Result<Answer<T>>
where
    F: Future<Output = Result<T>>,
{
    let (begun, [mut pause, longest]) = (Instant::now(), RETRY_DELAYS);
    let mut has_answered = false;
    loop {
        let error = match read().await {
            Ok(content) => return Ok(Answer::Given(content)),
            Err(Error::Driver(error)) if error.kind() == ErrorKind::Unavailable => error,
            Err(Error::Driver(error)) => return Ok(Answer::Refused(error)),
            Err(error) => return Err(error),
        };
        match driver.check().await {
            Ok(_) if has_answered => return Ok(Answer::Refused(error)),
            Ok(_) => has_answered = true,
            Err(_) if begun.elapsed() + pause > pace.outage() || !pace.pause(pause).await => {
                return Err(error.into());
            }
            Err(_) => pause = (pause * 2).min(longest),
        }
    }
}
