//! Tests of queues in memory and on disk.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::notify::backlog::Disk;

fn memory(max_bytes: u64) -> Queue {
    Queue::in_memory("test", max_bytes)
}

fn disk(folder: &Path, max_bytes: u64) -> Queue {
    let (disk, events, bytes) = Disk::open(folder).unwrap();
    Queue::on_disk("test", max_bytes, disk, events, bytes).unwrap()
}

fn push(queue: &Queue, line: &str) {
    queue.push(line, Wait::UntilWritten);
}

fn take(queue: &Queue) -> Option<String> {
    let waiting = queue.first().unwrap()?;
    queue.delivered(&waiting).unwrap();
    Some(String::from_utf8(waiting.line).unwrap())
}

fn all(queue: &Queue) -> Vec<String> {
    std::iter::from_fn(|| take(queue)).collect()
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|number| format!("event {number:05}")).collect()
}

#[test]
fn events_leave_in_order() {
    let dir = tempfile::tempdir().unwrap();
    for queue in [memory(1 << 20), disk(dir.path(), 1 << 20)] {
        numbers(0..100).iter().for_each(|line| push(&queue, line));
        assert_eq!(queue.counts().pending(), 100);
        assert_eq!(all(&queue), numbers(0..100));
        assert_eq!((queue.counts().pending(), queue.counts().dropped()), (0, 0));
    }
}

#[test]
fn a_queue_on_disk_continues_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let first = disk(dir.path(), 1 << 20);
    numbers(0..10).iter().for_each(|line| push(&first, line));
    for _ in 0..4 {
        take(&first).unwrap();
    }
    // Sent but not known to be accepted, so it is sent again.
    first.first().unwrap().unwrap();
    drop(first);
    let second = disk(dir.path(), 1 << 20);
    assert_eq!(second.counts().pending(), 6);
    push(&second, "event 00010");
    assert_eq!(all(&second), numbers(4..11));
    drop(second);
    assert_eq!(all(&disk(dir.path(), 1 << 20)), Vec::<String>::new());
}

#[test]
fn delivered_segments_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let queue = disk(dir.path(), 64 << 20);
    let long = "x".repeat(100_000);
    for _ in 0..40 {
        push(&queue, &long);
    }
    let segments = || {
        fs::read_dir(dir.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "events"))
            .count()
    };
    assert!(segments() > 3);
    assert_eq!(all(&queue).len(), 40);
    assert_eq!(segments(), 1);
    push(&queue, "more");
    drop(queue);
    assert_eq!(all(&disk(dir.path(), 64 << 20)), ["more"]);
}

#[test]
fn a_full_queue_drops_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    for queue in [memory(120), disk(dir.path(), 120)] {
        numbers(0..50).iter().for_each(|line| push(&queue, line));
        assert_eq!(queue.counts().dropped(), 40);
        assert_eq!(queue.counts().pending(), 10);
        assert_eq!(all(&queue), numbers(40..50));
    }
}

#[test]
fn an_event_dropped_while_it_is_sent_removes_no_other() {
    let queue = memory(24);
    push(&queue, "event 00000");
    let sent = queue.first().unwrap().unwrap();
    numbers(1..4).iter().for_each(|line| push(&queue, line));
    queue.delivered(&sent).unwrap();
    assert_eq!(all(&queue), numbers(2..4));
}

#[test]
fn an_incomplete_line_is_truncated() {
    let dir = tempfile::tempdir().unwrap();
    let queue = disk(dir.path(), 1 << 20);
    numbers(0..2).iter().for_each(|line| push(&queue, line));
    drop(queue);
    let segment = dir.path().join(format!("{:020}.events", 1));
    let whole = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, format!("{whole}event 000")).unwrap();
    let queue = disk(dir.path(), 1 << 20);
    push(&queue, "event 00002");
    assert_eq!(all(&queue), numbers(0..3));
}

#[test]
fn a_lost_position_repeats_the_events() {
    let dir = tempfile::tempdir().unwrap();
    let queue = disk(dir.path(), 1 << 20);
    numbers(0..3).iter().for_each(|line| push(&queue, line));
    take(&queue).unwrap();
    drop(queue);
    fs::write(dir.path().join("position"), "nonsense").unwrap();
    assert_eq!(all(&disk(dir.path(), 1 << 20)), numbers(0..3));
}

#[test]
fn two_processes_do_not_share_a_queue() {
    let dir = tempfile::tempdir().unwrap();
    let _first = disk(dir.path(), 1 << 20);
    assert!(Disk::open(dir.path()).is_err());
}

/// A queue whose disk hangs at the next event, simulated by a pipe: opening it for writing blocks until it
/// has a reader.
fn hanging(folder: &Path, max_bytes: u64) -> (Queue, PathBuf) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let queue = disk(folder, max_bytes);
    // After such a long event a new segment starts.
    push(&queue, &"x".repeat(1 << 20));
    let pipe = folder.join(format!("{:020}.events", 2));
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    (queue, pipe)
}

#[test]
fn a_hanging_disk_blocks_no_push_and_gets_all_events_later() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, pipe) = hanging(dir.path(), 64 << 20);
    let (pushed, all_pushed) = mpsc::channel();
    let brought = queue.clone();
    std::thread::spawn(move || {
        numbers(0..1000).iter().for_each(|line| push(&brought, line));
        pushed.send(()).unwrap();
    });
    all_pushed.recv_timeout(Duration::from_secs(60)).expect("a push must not wait for the disk");
    assert_eq!((queue.counts().pending(), queue.counts().dropped()), (1001, 0));

    let pipe = BufReader::new(fs::File::open(pipe).unwrap());
    let written: Vec<String> = pipe.lines().take(1000).map(Result::unwrap).collect();
    assert_eq!(written, numbers(0..1000));
}

#[test]
fn events_waiting_for_a_hanging_disk_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, _pipe) = hanging(dir.path(), 2 << 20);
    let long = "x".repeat(600_000);
    for _ in 0..10 {
        push(&queue, &long);
    }
    // One is being written and two are waiting, besides the one on disk.
    assert_eq!((queue.counts().pending(), queue.counts().dropped()), (4, 7));
}

#[test]
fn a_pull_does_not_wait_and_is_written_nevertheless() {
    let dir = tempfile::tempdir().unwrap();
    let queue = disk(dir.path(), 1 << 20);
    numbers(0..1000).iter().for_each(|line| queue.push(line, Wait::Not));
    // Events are written in order, so after this one all are.
    push(&queue, "event 01000");
    assert_eq!(all(&queue), numbers(0..1001));
}

/// A push that takes the room of older events and is written at once: these were never sent, and no longer wait.
#[test]
fn events_that_a_written_one_replaces_are_counted_as_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, pipe) = hanging(dir.path(), 2 << 20);
    let long = "x".repeat(600_000);
    for _ in 0..3 {
        queue.push(&long, Wait::Not);
    }
    let pushed = queue.clone();
    let push = std::thread::spawn(move || push(&pushed, &format!("last{}", "x".repeat(600_000))));
    while queue.counts().events() < 5 {
        std::thread::yield_now();
    }
    // The disk works again while the push waits for it.
    let mut written = 0;
    for line in BufReader::new(fs::File::open(pipe).unwrap()).lines() {
        written += 1;
        if line.unwrap().starts_with("last") {
            break;
        }
    }
    push.join().unwrap();
    let counts = queue.counts();
    // The first one is on disk.
    assert_eq!((counts.pending(), counts.dropped()), (1 + written, 4 - written));
}
