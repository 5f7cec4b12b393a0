//! Storage middleware: the decorators of Distribution's section `middleware.storage`.
//!
//! There are two kinds, `redirect` and `rewrite`. Both only change where a client is redirected for a blob,
//! so one decorator implements both. Content that the registry sends itself, and all writes, pass through
//! unchanged. Absent on purpose: `cloudfront`, whose signatures need a maintained library.

mod redirecting;

pub use redirecting::{InvalidRule, Redirecting, Rule};
