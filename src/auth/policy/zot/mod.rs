//! Rules from `http.accessControl` of zot's configuration.
//!
//! In zot, of all patterns that match a repository only the longest counts, whatever it gives (`can` in zot's
//! `pkg/api/authz.go`). So the rules of a pattern leave out, by `except`, what longer ones match. What has no counterpart is
//! left out, so the import gives less rather than more, and is listed.

mod convert;
mod pattern;
mod source;
#[cfg(test)]
mod tests;

pub use self::convert::{Import, import};
pub use self::source::ZotError;
