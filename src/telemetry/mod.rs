//! Logs, metrics and traces.

pub mod access_log;
pub mod format;
pub mod logging;
pub mod metrics;
pub mod traces;

pub use logging::LevelSwitch;
pub use metrics::{CallbackMetric, Metrics, MetricsError, Sample};
