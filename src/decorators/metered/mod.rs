//! `Metered`: a driver wrapper that times every call, including a writer's calls and the waits for a stream's
//! items.
//!
//! A reader's content is not timed: the reader is passed on unchanged, with its open file, because pulls
//! bypass this process's memory. `Reader` is the time until it is open.

mod action;
mod driver;
mod metrics;
mod stream;
mod writer;

pub use self::driver::Metered;
pub use self::metrics::DriverMetrics;
