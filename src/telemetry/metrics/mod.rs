//! The metrics page in Prometheus' text format.
//!
//! Modules count for themselves and do not know this page, in one of two ways:
//!
//! - a module keeps a struct of the `prometheus` crate's counters and histograms and returns them as
//!   collectors (see `HttpMetrics` in `src/http/metrics.rs`), resolving labels once and not per event;
//! - or it keeps plain numbers (atomics, a report), and [`CallbackMetric`]s read them when the page is
//!   rendered. The engine and the drivers, which do not depend on a metrics crate, do this.
//!
//! `app` [registers](Metrics::register) both. Nothing is global: two servers in one process have two pages.
//! With metrics disabled, nothing is counted.
//!
//! Metrics that Distribution has keep its names exactly, which begin with `registry_`; ours begin with
//! `sampan_`. Labels have few, known values: never a repository, a user or an address, unless their number is
//! bounded.

mod callback;
mod process;

use prometheus::core::Collector;
use prometheus::{Registry, TextEncoder};

pub use self::callback::{CallbackMetric, Sample};

/// A page of metrics. Cheap to clone; clones share the page.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    registry: Registry,
}

/// Metrics that conflict with others on the page.
#[derive(Debug, thiserror::Error)]
#[error("cannot add a metric to the page")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// The content type of the [page](Self::text).
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;

    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds metrics to the page.
    ///
    /// # Errors
    ///
    /// The page already has a metric with that name and those labels.
    pub fn register(
        &self,
        collectors: impl IntoIterator<Item = Box<dyn Collector>>,
    ) -> Result<(), MetricsError> {
        for collector in collectors {
            self.registry.register(collector)?;
        }
        Ok(())
    }

    /// Adds the standard process metrics: processor time, memory, open files, start time.
    ///
    /// # Errors
    ///
    /// The page already has them.
    pub fn register_process(&self) -> Result<(), MetricsError> {
        self.register(process::collectors()?)
    }

    /// Renders the page.
    ///
    /// # Errors
    ///
    /// A collector returns values that cannot be encoded.
    pub fn text(&self) -> Result<String, MetricsError> {
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_callback_metric_shows_the_current_value() {
        let metrics = Metrics::new();
        let open = Arc::new(AtomicU64::new(1));
        let seen = open.clone();
        let reading =
            CallbackMetric::gauge("sampan_open", "Things open.", move || seen.load(Ordering::Relaxed) as f64);
        metrics.register([reading.unwrap()]).unwrap();
        let page = || metrics.text().unwrap();
        assert_eq!(page(), "# HELP sampan_open Things open.\n# TYPE sampan_open gauge\nsampan_open 1\n");
        open.store(2, Ordering::Relaxed);
        assert!(page().ends_with("sampan_open 2\n"));
    }

    #[test]
    fn labelled_values_may_appear_and_disappear() {
        let metrics = Metrics::new();
        let reading = CallbackMetric::counters("sampan_runs_total", "Runs.", &["how"], || {
            vec![Sample::new(["well"], 3.0), Sample::new(["badly"], 0.0)]
        });
        metrics.register([reading.unwrap()]).unwrap();
        let page = metrics.text().unwrap();
        assert!(page.contains("# TYPE sampan_runs_total counter\n"), "{page}");
        assert!(page.contains("sampan_runs_total{how=\"well\"} 3\n"), "{page}");
        assert!(page.contains("sampan_runs_total{how=\"badly\"} 0\n"), "{page}");
    }

    #[test]
    fn a_name_is_on_a_page_once() {
        let metrics = Metrics::new();
        let reading = || CallbackMetric::gauge("sampan_open", "Things open.", || 1.0).unwrap();
        metrics.register([reading()]).unwrap();
        assert!(metrics.register([reading()]).is_err());
    }

    #[test]
    fn process_metrics_are_present() {
        let metrics = Metrics::new();
        metrics.register_process().unwrap();
        let page = metrics.text().unwrap();
        for name in [
            "process_cpu_seconds_total",
            "process_max_fds",
            "process_open_fds",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
            "process_threads",
            "process_virtual_memory_bytes",
        ] {
            assert!(page.contains(&format!("\n{name} ")), "{page}");
        }
    }
}
