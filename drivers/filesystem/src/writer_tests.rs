//! Tests of the writer beyond the conformance suite.

use rustix::io::Errno;
use tempfile::TempDir;

use super::*;
use crate::writeback::STEP_BYTES;

async fn writer() -> (TempDir, FilesystemWriter) {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(dir.path().to_owned(), 25).unwrap());
    let path = "/upload".parse().unwrap();
    let mode = WriteMode::Create(Default::default());
    (dir, FilesystemWriter::open(store, &path, mode).await.unwrap())
}

#[tokio::test]
async fn content_goes_to_the_disk_before_the_end() {
    let (dir, mut writer) = writer().await;
    let chunk = Bytes::from(vec![b'x'; BATCH_BYTES]);
    let chunks = STEP_BYTES / chunk.len() as u64;
    for _ in 0..chunks {
        writer.take(chunk.clone()).await.unwrap();
        assert!(!writer.writeback.has_begun(), "the file has less than a step");
    }
    writer.take(chunk).await.unwrap();
    assert!(writer.writeback.has_begun());
    writer.publish(&"/blob".parse().unwrap()).await.unwrap();
    let published = std::fs::metadata(dir.path().join("blob")).unwrap();
    assert_eq!(published.len(), STEP_BYTES + BATCH_BYTES as u64);
}

/// As by a caller with a time limit. Each number of free steps makes the runtime pause the write at another place.
#[tokio::test]
async fn a_dropped_write_leaves_no_hole() {
    let chunk = |number: u64| Bytes::from(vec![number as u8; BATCH_BYTES]);
    let chunks_per_step = STEP_BYTES / BATCH_BYTES as u64;
    for free_steps in 0..5 {
        let (dir, mut writer) = writer().await;
        for number in 0..2 * chunks_per_step {
            writer.take(chunk(number)).await.unwrap();
        }
        // The first sync has ended, so the next write waits for its result and starts another one.
        writer.finish_writes().await.unwrap();
        writer.writeback.wait().await;
        let number = 2 * chunks_per_step;
        with_free_steps(free_steps, writer.take(chunk(number))).await;
        let size = writer.flush_and_measure(Bytes::new()).await.unwrap();
        assert_eq!(size, (number + 1) * BATCH_BYTES as u64);
        let content = std::fs::read(dir.path().join("upload")).unwrap();
        for (found, expected) in content.chunks(BATCH_BYTES).zip(0..) {
            assert!(found == chunk(expected), "chunk {expected} with {free_steps} free steps");
        }
    }
}

/// Polls `work` once, in a task that may take so many more steps until the runtime pauses it.
async fn with_free_steps(free_steps: usize, work: impl Future) {
    const STEPS: usize = 128;
    tokio::task::yield_now().await;
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| {
        for _ in 0..STEPS - free_steps {
            let mut step = std::pin::pin!(tokio::task::coop::consume_budget());
            assert!(step.as_mut().poll(context).is_ready(), "the runtime has other steps than {STEPS}");
        }
        _ = work.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
}

/// As from an upstream that pauses after each chunk.
#[tokio::test]
async fn flushed_content_goes_to_the_disk_before_the_end() {
    let (_dir, mut writer) = writer().await;
    let chunk = Bytes::from(vec![b'x'; BATCH_BYTES / 2]);
    while writer.size() <= STEP_BYTES {
        assert!(!writer.writeback.has_begun(), "the file has less than a step");
        writer.take(chunk.clone()).await.unwrap();
        writer.write_queue().await.unwrap();
    }
    writer.take(chunk).await.unwrap();
    writer.write_queue().await.unwrap();
    assert!(writer.writeback.has_begun());
}

#[tokio::test]
async fn a_file_that_the_disk_refused_is_neither_published_nor_measured() {
    let (dir, mut writer) = writer().await;
    writer.writeback = Writeback::failed(Errno::IO);
    assert!(matches!(writer.flush_and_measure(Bytes::new()).await, Err(Failure::NotOnDisk(Errno::IO))));
    let published = writer.publish(&"/blob".parse().unwrap()).await;
    assert!(matches!(published, Err(Failure::NotOnDisk(Errno::IO))));
    assert!(!dir.path().join("blob").exists());
}
