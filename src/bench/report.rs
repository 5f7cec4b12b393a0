//! The results of a run.

use serde::{Serialize, Serializer};

use crate::measure::Sample;
use crate::workload::Workload;

/// All results of a run. Can be displayed as a table, and serialized.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The URL of the server A.
    pub a: String,
    /// The URL of the server B, if any.
    pub b: Option<String>,
    /// Bytes of a large blob.
    pub large_bytes: u64,
    /// Bytes of a small blob.
    pub small_bytes: u64,
    /// The number of measurements of each work on each server.
    pub rounds: usize,
    /// The duration of a measurement.
    pub seconds: f64,
    /// The number of threads that the clients shared.
    pub threads: usize,
    /// The result of each work with each number of clients.
    pub rows: Vec<Row>,
    /// Notes for the reader of the figures.
    pub notes: Vec<String>,
}

/// A work with a number of clients.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The work.
    #[serde(serialize_with = "as_text")]
    pub work: Workload,
    /// The number of clients.
    pub clients: usize,
    /// Medians of A.
    pub a: Figures<Option<f64>>,
    /// Medians of B.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<Comparison>,
    /// Every round of A.
    pub rounds_a: Vec<Figures<Option<f64>>>,
}

/// The figures of the other server.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Medians of B.
    pub figures: Figures<Option<f64>>,
    /// A by B.
    pub a_by_b: Figures<Option<Ratio>>,
    /// Every round of B.
    pub rounds_b: Vec<Figures<Option<f64>>>,
}

/// The ratios of the rounds, each of two consecutive measurements.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The median.
    pub median: f64,
    /// The minimum.
    pub low: f64,
    /// The maximum.
    pub high: f64,
}

/// The figures of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures<T> {
    /// Operations a second.
    pub operations_per_second: T,
    /// Requests a second.
    pub requests_per_second: T,
    /// Bytes of bodies in both directions, in MiB a second.
    pub mib_per_second: T,
    /// The median duration of an operation, in milliseconds.
    pub p50_ms: T,
    /// The 99th percentile, in milliseconds.
    pub p99_ms: T,
    /// Microseconds of the server's CPU per request.
    pub cpu_us_per_request: T,
    /// Seconds of the server's CPU per GiB, where operations are large.
    pub cpu_s_per_gib: T,
    /// The peak memory of the server, in MiB.
    pub peak_mib: T,
    /// The share of our threads' time that they used.
    pub client_load: T,
}

/// The minimum size of an operation for figures per GiB.
const LARGE: f64 = 65536.0;

impl<T: Copy> Figures<T> {
    /// All figures, in the order of the fields.
    pub(crate) fn all(&self) -> [T; 9] {
        [
            self.operations_per_second,
            self.requests_per_second,
            self.mib_per_second,
            self.p50_ms,
            self.p99_ms,
            self.cpu_us_per_request,
            self.cpu_s_per_gib,
            self.peak_mib,
            self.client_load,
        ]
    }

    fn from_all(all: [T; 9]) -> Self {
        let [
            operations_per_second,
            requests_per_second,
            mib_per_second,
            p50_ms,
            p99_ms,
            cpu_us_per_request,
            cpu_s_per_gib,
            peak_mib,
            client_load,
        ] = all;
        Self {
            operations_per_second,
            requests_per_second,
            mib_per_second,
            p50_ms,
            p99_ms,
            cpu_us_per_request,
            cpu_s_per_gib,
            peak_mib,
            client_load,
        }
    }
}

impl Figures<Option<f64>> {
    /// The figures of one measurement.
    pub(crate) fn of(sample: &Sample, threads: usize) -> Self {
        let seconds = sample.elapsed.as_secs_f64();
        let per = |number: f64, of: f64| (of > 0.0).then(|| number / of);
        let bytes = sample.bytes as f64;
        let cpu = sample.cpu.map(|cpu| cpu.as_secs_f64());
        let large = bytes >= LARGE * sample.operations as f64;
        Self {
            operations_per_second: per(sample.operations as f64, seconds),
            requests_per_second: per(sample.requests as f64, seconds),
            mib_per_second: per(bytes / f64::from(1 << 20), seconds),
            p50_ms: quantile(&sample.latencies, 0.5),
            p99_ms: quantile(&sample.latencies, 0.99),
            cpu_us_per_request: cpu.and_then(|cpu| per(cpu * 1e6, sample.requests as f64)),
            cpu_s_per_gib: cpu.filter(|_| large).and_then(|cpu| per(cpu * f64::from(1 << 30), bytes)),
            peak_mib: sample.peak.map(|(bytes, _)| bytes as f64 / f64::from(1 << 20)),
            client_load: per(sample.own_cpu.as_secs_f64(), seconds * threads as f64),
        }
    }

    /// The median of each figure.
    pub(crate) fn median(rounds: &[Self]) -> Self {
        Self::from_all(std::array::from_fn(|figure| {
            median(rounds.iter().filter_map(|round| round.all()[figure]).collect())
        }))
    }

    /// Each figure of A divided by that of B of the same round.
    pub(crate) fn ratios(a: &[Self], b: &[Self]) -> Figures<Option<Ratio>> {
        Figures::from_all(std::array::from_fn(|figure| {
            let pairs = a.iter().zip(b).filter_map(|(a, b)| Some((a.all()[figure]?, b.all()[figure]?)));
            let ratios: Vec<_> = pairs.filter(|(_, b)| *b > 0.0).map(|(a, b)| a / b).collect();
            Some(Ratio {
                median: median(ratios.clone())?,
                low: ratios.iter().copied().reduce(f64::min)?,
                high: ratios.iter().copied().reduce(f64::max)?,
            })
        }))
    }
}

/// A percentile of sorted nanoseconds, in milliseconds: the smallest value that at least this share does not exceed.
fn quantile(sorted: &[u64], part: f64) -> Option<f64> {
    let rank = (part * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).map(|nanoseconds| *nanoseconds as f64 / 1e6)
}

fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(numbers[middle]),
        _ => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
    }
}

fn as_text<S: Serializer>(work: &Workload, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(work.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let sorted: Vec<u64> = (1..=100).map(|n| n * 1_000_000).collect();
        assert_eq!(quantile(&sorted, 0.5), Some(50.0));
        assert_eq!(quantile(&sorted, 0.99), Some(99.0));
        assert_eq!(quantile(&sorted[..1], 0.99), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    fn sample(operations: u64, cpu_ms: u64) -> Sample {
        Sample {
            operations,
            requests: 2 * operations,
            bytes: operations << 20,
            elapsed: Duration::from_secs(2),
            latencies: vec![1_000_000; operations as usize],
            cpu: Some(Duration::from_millis(cpu_ms)),
            own_cpu: Duration::from_secs(1),
            ..Sample::default()
        }
    }

    #[test]
    fn figures_are_rates_and_costs() {
        let figures = Figures::of(&sample(1024, 512), 1);
        assert_eq!(figures.operations_per_second, Some(512.0));
        assert_eq!(figures.requests_per_second, Some(1024.0));
        assert_eq!(figures.mib_per_second, Some(512.0));
        assert_eq!(figures.cpu_s_per_gib, Some(0.512));
        assert_eq!(figures.cpu_us_per_request, Some(250.0));
        assert_eq!(figures.client_load, Some(0.5));
        assert_eq!(figures.peak_mib, None);
    }

    #[test]
    fn a_ratio_is_taken_within_a_round() {
        // In the second round, the machine is twice as slow for both.
        let a = [Figures::of(&sample(100, 10), 1), Figures::of(&sample(50, 10), 1)];
        let b = [Figures::of(&sample(200, 10), 1), Figures::of(&sample(100, 10), 1)];
        let ratio = Figures::ratios(&a, &b).operations_per_second.unwrap();
        assert_eq!(ratio, Ratio { median: 0.5, low: 0.5, high: 0.5 });
    }
}
