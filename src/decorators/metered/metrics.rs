//! `DriverMetrics`: metrics of a driver's calls.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts};
use sampan_driver::ErrorKind;

use super::action::Action;
use crate::telemetry::MetricsError;

/// Metrics of one driver's calls.
#[derive(Debug)]
pub struct DriverMetrics {
    seconds: HistogramVec,
    errors: IntCounterVec,
    written: IntCounterVec,
    actions: [OfAction; Action::ALL.len()],
    written_here: IntCounter,
}

#[derive(Debug)]
struct OfAction {
    seconds: Histogram,
    errors: IntCounter,
}

/// Distribution's buckets, and smaller ones that resolve a local disk, in seconds.
const BUCKETS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl DriverMetrics {
    /// Creates the metrics at zero for the driver `driver`.
    ///
    /// # Errors
    ///
    /// Never: all names below are valid.
    pub fn new(driver: &'static str) -> Result<Self, MetricsError> {
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "registry_storage_action_seconds",
                "The number of seconds that the storage action takes",
            )
            .buckets(BUCKETS.to_vec()),
            &["driver", "action"],
        )?;
        let errors = IntCounterVec::new(
            Opts::new(
                "sampan_storage_errors_total",
                "Storage actions that failed, other than because a file exists or does not.",
            ),
            &["driver", "action"],
        )?;
        let written = IntCounterVec::new(
            Opts::new("sampan_storage_written_bytes_total", "Bytes written through the storage driver."),
            &["driver"],
        )?;
        let actions = Action::ALL.map(|action| OfAction {
            seconds: seconds.with_label_values(&[driver, action.as_str()]),
            errors: errors.with_label_values(&[driver, action.as_str()]),
        });
        let written_here = written.with_label_values(&[driver]);
        Ok(Self { seconds, errors, written, actions, written_here })
    }

    /// The collectors to register.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.seconds.clone()), Box::new(self.errors.clone()), Box::new(self.written.clone())]
    }

    pub(super) fn took<T>(&self, action: Action, time: Duration, result: &sampan_driver::Result<T>) {
        self.took_so_long(action, time);
        if let Err(error) = result {
            self.failed(action, error.kind());
        }
    }

    pub(super) fn took_so_long(&self, action: Action, time: Duration) {
        self.actions[action as usize].seconds.observe(time.as_secs_f64());
    }

    pub(super) fn failed(&self, action: Action, kind: ErrorKind) {
        // These are results, not failures: callers ask in order to find out.
        let is_answer = matches!(
            kind,
            ErrorKind::AlreadyExists | ErrorKind::Busy | ErrorKind::NotFound | ErrorKind::RangeInvalid
        );
        if !is_answer {
            self.actions[action as usize].errors.inc();
        }
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.written_here.inc_by(bytes as u64);
    }
}
