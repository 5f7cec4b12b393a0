//! The standard process metrics, under Prometheus' names, read from `/proc/self`.
//!
//! The metrics crate provides them too, but through a library for all of `/proc` that takes longer to build
//! than this crate.

use std::fs;

use prometheus::core::Collector;
use rustix::process::{Resource, getrlimit};

use super::{CallbackMetric, MetricsError, Sample};

/// Processor time, memory, threads, open files and start time of this process. Values that the system does
/// not provide are omitted.
pub(super) fn collectors() -> Result<Vec<Box<dyn Collector>>, MetricsError> {
    Ok(vec![
        CallbackMetric::counters(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            &[],
            || sample(Stat::read().map(|stat| stat.cpu_seconds)),
        )?,
        gauge("process_open_fds", "Number of open file descriptors.", open_files)?,
        gauge("process_max_fds", "Maximum number of open file descriptors.", || {
            getrlimit(Resource::Nofile).current.map(|limit| limit as f64)
        })?,
        gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", || {
            Stat::read().map(|stat| stat.virtual_bytes)
        })?,
        gauge("process_resident_memory_bytes", "Resident memory size in bytes.", || {
            Stat::read().map(|stat| stat.resident_bytes)
        })?,
        gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.",
            start_seconds,
        )?,
        gauge("process_threads", "Number of OS threads in the process.", || {
            Stat::read().map(|stat| stat.threads)
        })?,
    ])
}

fn gauge(
    name: &str,
    help: &str,
    read: impl Fn() -> Option<f64> + Send + Sync + 'static,
) -> Result<Box<dyn Collector>, MetricsError> {
    CallbackMetric::gauges(name, help, &[], move || sample(read()))
}

fn sample(value: Option<f64>) -> Vec<Sample> {
    value.map(|value| Sample::new(std::iter::empty::<String>(), value)).into_iter().collect()
}

/// The fields of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    threads: f64,
    /// Since boot.
    start_seconds: f64,
    virtual_bytes: f64,
    resident_bytes: f64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(
            &fs::read_to_string("/proc/self/stat").ok()?,
            rustix::param::clock_ticks_per_second() as f64,
            rustix::param::page_size() as f64,
        )
    }

    fn parse(line: &str, ticks_per_second: f64, page_bytes: f64) -> Option<Self> {
        // The second field is the program's name in parentheses, which may contain blanks and parentheses.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
        Some(Self {
            cpu_seconds: (number(14)? + number(15)?) / ticks_per_second,
            threads: number(20)?,
            start_seconds: number(22)? / ticks_per_second,
            virtual_bytes: number(23)?,
            resident_bytes: number(24)? * page_bytes,
        })
    }
}

fn start_seconds() -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse::<f64>().ok()?;
    Some(boot + Stat::read()?.start_seconds)
}

/// Counts open files without the one that the counting opens.
fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_after_the_programs_name() {
        let line = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 12 0 4200 1000000 30 0 0\n";
        let stat = Stat::parse(line, 100.0, 4096.0).unwrap();
        assert_eq!(
            stat,
            Stat {
                cpu_seconds: 2.0,
                threads: 12.0,
                start_seconds: 42.0,
                virtual_bytes: 1_000_000.0,
                resident_bytes: 122_880.0
            }
        );
        assert_eq!(Stat::parse("7 (short) S 1 2", 100.0, 4096.0), None);
        assert!(Stat::read().unwrap().resident_bytes > 0.0 && start_seconds().unwrap() > 1e9);
    }
}
