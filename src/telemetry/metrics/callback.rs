//! `CallbackMetric`: a metric whose value is stored elsewhere and read at each scrape.

use std::collections::HashMap;
use std::fmt;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::MetricsError;

/// A metric that reads its value at each scrape, such as a server's connection count.
pub struct CallbackMetric {
    desc: Desc,
    kind: MetricType,
    read: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
}

/// A value and its labels' values, in the order of the labels' names.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    labels: Vec<String>,
    value: f64,
}

impl Sample {
    /// A value with these labels.
    pub fn new<L: Into<String>>(labels: impl IntoIterator<Item = L>, value: f64) -> Self {
        Self { labels: labels.into_iter().map(Into::into).collect(), value }
    }
}

impl CallbackMetric {
    /// A value that goes up and down.
    ///
    /// # Errors
    ///
    /// The name is not valid.
    pub fn gauge(
        name: &str,
        help: &str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<Box<dyn Collector>, MetricsError> {
        Self::gauges(name, help, &[], move || vec![Sample { labels: Vec::new(), value: read() }])
    }

    /// A value that only goes up; its name ends with `_total`.
    ///
    /// # Errors
    ///
    /// The name is not valid.
    pub fn counter(
        name: &str,
        help: &str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Result<Box<dyn Collector>, MetricsError> {
        Self::counters(name, help, &[], move || vec![Sample { labels: Vec::new(), value: read() as f64 }])
    }

    /// Labelled values that go up and down. An empty list omits the metric.
    ///
    /// # Errors
    ///
    /// A name is not valid.
    pub fn gauges(
        name: &str,
        help: &str,
        labels: &[&str],
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) -> Result<Box<dyn Collector>, MetricsError> {
        Self::boxed(MetricType::GAUGE, name, help, labels, Box::new(read))
    }

    /// Labelled values that only go up.
    ///
    /// # Errors
    ///
    /// A name is not valid.
    pub fn counters(
        name: &str,
        help: &str,
        labels: &[&str],
        read: impl Fn() -> Vec<Sample> + Send + Sync + 'static,
    ) -> Result<Box<dyn Collector>, MetricsError> {
        Self::boxed(MetricType::COUNTER, name, help, labels, Box::new(read))
    }

    fn boxed(
        kind: MetricType,
        name: &str,
        help: &str,
        labels: &[&str],
        read: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
    ) -> Result<Box<dyn Collector>, MetricsError> {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?;
        Ok(Box::new(Self { desc, kind, read }))
    }

    fn metric(&self, sample: Sample) -> Metric {
        let names = self.desc.variable_labels.iter();
        let pairs = names.zip(sample.labels).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.clone());
            pair.set_value(value);
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(sample.value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(sample.value);
            metric.set_gauge(gauge);
        }
        metric
    }
}

impl Collector for CallbackMetric {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metrics: Vec<Metric> = (self.read)().into_iter().map(|sample| self.metric(sample)).collect();
        if metrics.is_empty() {
            return Vec::new();
        }
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(self.kind);
        family.set_metric(metrics);
        vec![family]
    }
}

impl fmt::Debug for CallbackMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackMetric").field("desc", &self.desc).finish_non_exhaustive()
    }
}
