//! The assertions of clauses: each returns a [`Failed`] that shows both sides.

use std::fmt::{Debug, Display};

use sampan_driver::{DriverError, ErrorKind};

use crate::Failed;

/// Holds when `condition` does.
#[track_caller]
pub(crate) fn ensure(condition: bool, otherwise: impl Display) -> Result<(), Failed> {
    if condition { Ok(()) } else { Err(Failed::new(otherwise)) }
}

/// Holds when both are equal.
#[track_caller]
pub(crate) fn equal<A, B>(actual: A, expected: B, what: impl Display) -> Result<(), Failed>
where
    A: PartialEq<B> + Debug,
    B: Debug,
{
    if actual == expected {
        return Ok(());
    }
    Err(Failed::new(format_args!("{what}: got {actual:?}, expected {expected:?}")))
}

/// Holds when the bytes are equal; reports the first difference instead of printing the bytes.
#[track_caller]
pub(crate) fn same_bytes(actual: &[u8], expected: &[u8], what: impl Display) -> Result<(), Failed> {
    if actual == expected {
        return Ok(());
    }
    let differ = actual.iter().zip(expected).take_while(|(a, b)| a == b).count();
    Err(Failed::new(format_args!(
        "{what}: got {} bytes, expected {}, the first {differ} are the same",
        actual.len(),
        expected.len()
    )))
}

/// Holds when the result is an error of `kind`, and returns the error.
#[track_caller]
pub(crate) fn fails_with<T>(
    result: Result<T, DriverError>,
    kind: ErrorKind,
    what: impl Display,
) -> Result<DriverError, Failed> {
    match result {
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => {
            Err(Failed::new(format_args!("{what}: got the error `{error}`, expected one of kind `{kind}`")))
        }
        Ok(_) => Err(Failed::new(format_args!("{what}: succeeded, expected an error of kind `{kind}`"))),
    }
}
