//! Logs, metrics and traces.

pub(crate) mod access_log;
pub mod format;
mod log_writer;
pub mod logging;
pub mod metrics;
mod patient_writer;
pub mod traces;

pub use logging::LevelSwitch;
pub use metrics::{CallbackMetric, Metrics, MetricsError, Sample};
