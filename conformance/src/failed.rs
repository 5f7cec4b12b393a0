//! `Failed`: why a clause does not hold, and where that was noticed.

use std::error::Error;
use std::fmt::{self, Display, Write};
use std::panic::Location;

/// Why a clause does not hold. Every error becomes one with `?`, its causes included.
///
/// It is no `std::error::Error` itself, or that conversion could not be.
pub struct Failed {
    message: String,
    location: &'static Location<'static>,
}

impl Failed {
    /// A failure in these words.
    #[track_caller]
    pub fn new(message: impl Display) -> Self {
        Self { message: message.to_string(), location: Location::caller() }
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
