//! SIGTERM and SIGINT to commands whose output is not read.

use std::io::Read;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::bundles::Gap;
use super::support::binary;
use crate::support::StoreFiles;

/// What a pipe holds.
const PIPE_BYTES: u64 = 64 << 10;

/// A command that has begun to print, and whose output is read no further.
fn stalled(gap: &Gap, args: &[&str]) -> Child {
    let mut command = binary(&gap.path(""));
    let mut child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while rustix::io::ioctl_fionread(child.stdout.as_ref().unwrap()).unwrap() < PIPE_BYTES / 2 {
        assert!(child.try_wait().unwrap().is_none(), "{args:?} ended");
        std::thread::yield_now();
    }
    child
}

/// Sends a signal; returns the exit code and standard error.
fn interrupt(mut child: Child, signal: Signal) -> (Option<i32>, String) {
    kill_process(Pid::from_child(&child), signal).unwrap();
    let code = child.wait().unwrap().code();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    (code, stderr)
}

#[test]
fn an_export_whose_reader_stalls_ends_with_a_signal() {
    let gap = Gap::new();
    for (signal, name) in [(Signal::TERM, "terminated"), (Signal::INT, "interrupted")] {
        for jobs in ["1", "4"] {
            let child = stalled(&gap, &["export", "**", "-c", "near.yml", "-o", "-", "--jobs", jobs]);
            let (code, stderr) = interrupt(child, signal);
            assert!(code == Some(1) && stderr.contains(name), "{code:?}: {stderr}");
        }
    }
}

#[test]
fn a_report_whose_reader_stalls_ends_with_a_signal() {
    let gap = Gap::new();
    let far = StoreFiles::new(&gap.path("far"));
    let other = far.image("team/app", "far", &["x".to_owned()]);
    for number in 0..500 {
        let tag = format!("tag-{number}");
        gap.near.tag("team/app", &tag, &gap.image);
        far.tag("team/app", &tag, &other);
    }
    gap.expect(0, &["export", "team/app", "-c", "near.yml", "-o", "b.tar"]);
    for (signal, expected) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        // The report is longer than a pipe holds.
        let child = stalled(&gap, &["import", "b.tar", "-c", "far.yml", "--dry-run"]);
        let (code, stderr) = interrupt(child, signal);
        assert!(code == Some(expected) && !stderr.contains("panicked"), "{code:?}: {stderr}");
    }
}
