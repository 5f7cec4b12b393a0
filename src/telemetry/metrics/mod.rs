//! The metrics: what is counted anywhere, in one page of Prometheus' text format.
//!
//! A room counts for itself and knows nothing of this page. There are two ways to do it:
//!
//! - it keeps a plain struct of the `prometheus` crate's counters and histograms, and hands them out as collectors
//!   (see `HttpMetrics` in `src/http/metrics.rs`); it resolves their labels once, not at each event;
//! - or it keeps plain numbers (atomics, a report), and [`CallbackMetric`]s look at them when the page is asked for. The engine
//!   and the drivers, which know no metrics crate, do that.
//!
//! `app` [registers](Metrics::register) both. Nothing is global: two servers in one process have two pages. A room whose
//! metrics nobody asked for gets none, and counts nothing.
//!
//! Names that Distribution has are Distribution's, to the letter, and begin with `registry_`; ours begin with `sampan_`.
//! A label has few values, known beforehand: never a repository, a user or an address, unless their number is bounded.

mod callback;
mod process;

use prometheus::core::Collector;
use prometheus::{Registry, TextEncoder};

pub use self::callback::{CallbackMetric, Sample};

/// A page of metrics. Cheap to clone; all clones are the same page.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    registry: Registry,
}

/// Metrics that cannot stand on one page.
#[derive(Debug, thiserror::Error)]
#[error("a metric cannot be added to the page")]
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
    /// When one of that name and those labels is on it already.
    pub fn register(
        &self,
        collectors: impl IntoIterator<Item = Box<dyn Collector>>,
    ) -> Result<(), MetricsError> {
        for collector in collectors {
            self.registry.register(collector)?;
        }
        Ok(())
    }

    /// Adds the metrics that every program has: processor time, memory, open files, its start.
    ///
    /// # Errors
    ///
    /// When they are on it already.
    pub fn register_process(&self) -> Result<(), MetricsError> {
        self.register(process::collectors()?)
    }

    /// The page as it is now.
    ///
    /// # Errors
    ///
    /// When a collector gives what cannot be written down.
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
    fn a_reading_shows_the_value_of_the_moment() {
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
    fn labelled_readings_may_come_and_go() {
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
    fn a_name_stands_on_a_page_once() {
        let metrics = Metrics::new();
        let reading = || CallbackMetric::gauge("sampan_open", "Things open.", || 1.0).unwrap();
        metrics.register([reading()]).unwrap();
        assert!(metrics.register([reading()]).is_err());
    }

    #[test]
    fn a_process_tells_of_itself() {
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
