//! `Failed`: why a clause does not hold, and where the suite noticed it.

use std::error::Error;
use std::fmt::{self, Display, Write};
use std::panic::Location;

/// Why a clause does not hold. `?` converts every error into it, including its causes.
///
/// It does not implement `std::error::Error`, which would conflict with that conversion.
pub struct Failed {
    message: String,
    location: &'static Location<'static>,
}

impl Failed {
    /// A failure with this message.
    #[track_caller]
    pub fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), location: Location::caller() }
    }

    /// The same failure, with the part of the clause in which it happened.
    #[must_use]
    pub(crate) fn within(self, part: impl Display) -> Self {
        Self { message: format!("{part}: {}", self.message), ..self }
    }

    /// The same failure at another place: that of a clause instead of its helper's.
    #[must_use]
    pub(crate) fn at(self, location: &'static Location<'static>) -> Self {
        Self { location, ..self }
    }
}

impl<E: Error> From<E> for Failed {
    #[track_caller]
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            // Writing to a string cannot fail.
            let _ = write!(message, ": {cause}");
            source = cause.source();
        }
        Self { message, location: Location::caller() }
    }
}

impl Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    at {}", self.message, self.location)
    }
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

/// An operation that fails with [`Failed`].
pub(crate) trait Done<T>: Future<Output = Result<T, Failed>> {}

impl<T, F: Future<Output = Result<T, Failed>>> Done<T> for F {}

/// Lets the failure of an operation name the line of the clause, not one of a helper.
#[track_caller]
pub(crate) fn located<T>(operation: impl Done<T>) -> impl Done<T> {
    let location = Location::caller();
    async move { operation.await.map_err(|failed| failed.at(location)) }
}
