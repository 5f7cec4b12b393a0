//! The resources of a server's process, read from this machine's kernel.
//!
//! CPU time is the process's clock from `clock_getcpuclockid`: the scheduler's count in nanoseconds for all its threads,
//! including ended ones. The sum over `/proc/PID/task/*/schedstat` lacks ended threads, which are frequent in servers;
//! `utime` and `stime` only count hundredths of a second.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::error::{Error, Result};

/// A process and its children.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pid: u32,
}

impl Process {
    /// A running process.
    ///
    /// # Errors
    ///
    /// If it does not exist.
    pub(crate) fn new(pid: u32) -> Result<Self> {
        // The kernel would read a larger number as the clock of another process.
        if !Path::new("/proc").join(pid.to_string()).exists() {
            return Err(Error::Process { pid, reason: "this machine has no such process".to_owned() });
        }
        let process = Self { pid };
        process.cpu()?;
        Ok(process)
    }

    /// The CPU time that it and its current children have used since their start.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let clock = |pid: u32| {
            let raw = i32::try_from(pid).unwrap_or(i32::MAX);
            let time = clock_getcpuclockid(Pid::from_raw(raw)).and_then(clock_gettime);
            time.map(Duration::from).map_err(|error| Error::Process { pid, reason: error.desc().to_owned() })
        };
        self.family().into_iter().try_fold(clock(self.pid)?, |sum, pid| Ok(sum + clock(pid)?))
    }

    /// The sum of the peak memory of it and of each of its children since the last reset.
    pub(crate) fn peak(self) -> Option<u64> {
        let of = |pid: u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
        };
        self.family().into_iter().try_fold(of(self.pid)?, |sum, pid| Some(sum + of(pid)?))
    }

    /// Resets the peak memory. `false` if that is not permitted.
    pub(crate) fn reset_peak(self) -> bool {
        let reset = |pid: u32| fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok();
        reset(self.pid) && self.family().into_iter().all(reset)
    }

    /// Its child processes, such as the workers of a server.
    fn family(self) -> Vec<u32> {
        let mut found = Vec::new();
        let mut todo = vec![self.pid];
        while let Some(pid) = todo.pop() {
            let children: Vec<u32> = children(Path::new(&format!("/proc/{pid}/task")));
            found.extend_from_slice(&children);
            todo.extend(children);
        }
        found
    }
}

fn children(tasks: &Path) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(tasks) else { return Vec::new() };
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// The CPU time that this process has used.
pub(crate) fn own_cpu() -> Duration {
    clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::thread;
    use std::time::Instant;

    #[test]
    fn the_time_of_a_thread_that_has_ended_is_counted() {
        let process = Process::new(std::process::id()).unwrap();
        let before = process.cpu().unwrap();
        let busy = Duration::from_millis(30);
        let spend = move || {
            let thread_clock =
                || Duration::from(clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
            let start = thread_clock();
            while thread_clock() - start < busy {
                black_box(Instant::now());
            }
        };
        thread::spawn(spend).join().unwrap();
        assert!(process.cpu().unwrap() - before >= busy);
    }

    #[test]
    fn the_peak_falls_when_it_is_reset() {
        let process = Process::new(std::process::id()).unwrap();
        let block = black_box(vec![1_u8; 64 << 20]);
        let high = process.peak().unwrap();
        assert!(high >= 64 << 20);
        drop(block);
        if process.reset_peak() {
            assert!(process.peak().unwrap() < high);
        }
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        let error = Process::new(u32::MAX >> 1).unwrap_err();
        assert!(error.to_string().contains("cannot watch process"), "{error}");
    }
}
