//! The decorators of the storage driver, in the order in which `App` puts them around it.
//!
//! - [`Metered`] times every call.
//! - [`Traced`] opens a span for every call; only where traces are on.
//! - [`Redirecting`] is Distribution's section `middleware.storage`. It only changes where a client is redirected for a blob;
//!   content that the registry sends itself, and all writes, pass through unchanged. Absent on purpose: `cloudfront`, whose
//!   signatures need a maintained library.
//!
//! Each forwards with [`forward!`](sampan_driver::forward) what it does not change.

mod metered;
mod redirecting;
mod traced;

pub use metered::{DriverMetrics, Metered};
pub use redirecting::{InvalidRule, Redirecting, Rule};
pub use traced::Traced;
