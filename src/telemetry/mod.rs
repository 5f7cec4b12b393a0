//! What the registry tells about itself.

pub mod access_log;
pub mod format;
pub mod logging;

pub use logging::{LogFormat, LogOptions};
