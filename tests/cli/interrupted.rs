//! SIGTERM and SIGINT to commands whose output is not read, or whose input does not come.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
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

/// The files of the uploads of a store.
fn uploads(store: &Path) -> Vec<PathBuf> {
    let (mut found, mut pending) = (Vec::new(), vec![store.to_owned()]);
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let (path, is_directory) = (entry.path(), entry.file_type().is_ok_and(|kind| kind.is_dir()));
            let is_of_upload = path.components().any(|part| part.as_os_str() == "_uploads");
            if is_directory {
                pending.push(path);
            } else if is_of_upload {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn an_import_that_a_signal_ends_takes_back_the_blob_that_it_was_storing() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar"]);
    let bundle = fs::read(gap.path("b.tar")).unwrap();
    for signal in [Signal::TERM, Signal::INT] {
        let mut command = binary(&gap.path(""));
        command.args(["import", "-", "-c", "far.yml"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The last layer begins, and does not end.
        let mut input = child.stdin.take().unwrap();
        input.write_all(&bundle[..bundle.len() - 500_000]).unwrap();
        while uploads(&gap.path("far")).is_empty() {
            assert!(child.try_wait().unwrap().is_none(), "the import ended");
            std::thread::yield_now();
        }
        let (code, stderr) = interrupt(child, signal);
        assert!(code == Some(1) && stderr.contains("run the same command again"), "{code:?}: {stderr}");
        assert_eq!(uploads(&gap.path("far")), Vec::<PathBuf>::new());
        drop(input);
    }
    gap.expect(0, &["import", "b.tar", "-c", "far.yml"]);
    assert_eq!(gap.images("far"), gap.images("near"));
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
