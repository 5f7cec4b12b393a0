//! `Metered`: a driver whose every call is timed, with a writer's calls and the waiting for a stream's items.
//!
//! What a reader delivers is not timed: it is passed on as it is, open file and all, because pulls go past this process's
//! memory. `Reader` is the time until it was open.

mod action;
mod driver;
mod metrics;
mod stream;
mod writer;

pub use self::driver::Metered;
pub use self::metrics::DriverMetrics;
