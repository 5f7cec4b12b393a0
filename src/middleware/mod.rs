//! Storage middleware: what Distribution's section `middleware.storage` puts around a driver.
//!
//! There are two kinds, `redirect` and `rewrite`, and both only change where a client is sent for a blob; one decorator
//! serves for both. Bytes that the registry sends itself, and everything that is written, pass through untouched.
//! Absent on purpose: `cloudfront`, whose signatures need a library that is kept up.

mod redirecting;

pub use redirecting::{InvalidRule, Redirecting, Rule};
