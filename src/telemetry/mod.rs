//! What the registry tells about itself.

pub mod format;
pub mod logging;

pub use logging::{LogFormat, LogOptions};
