//! The bytes of an upload that do not fill a part: they stay in its state object, and a writer reads them when it needs them.
//! The tests count requests and the bytes of objects that were read.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

#[path = "support/faulty.rs"]
#[expect(dead_code, reason = "other tests need the rest")]
mod faulty;
#[path = "support/parts_checked.rs"]
mod parts_checked;

use std::sync::Arc;

use bytes::Bytes;
use faulty::{Fault, Faulty, Request, faulty};
use sampan_driver::{DriverPath, ErrorKind, FileWriter, StorageDriver, WriteHint, WriteMode};
use sampan_driver_object_store::ObjectStoreDriver;

const PART: u64 = 1 << 20;

/// Enough for the header of any upload here.
const LITTLE: u64 = 64 << 10;

/// Uploads whose tail is long, without parts and with two of them.
const SIZES: [u64; 2] = [PART - 1, 2 * PART + PART / 2];

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

fn open(store: &Arc<Faulty>) -> ObjectStoreDriver {
    ObjectStoreDriver::over(store.clone(), "root", PART).unwrap()
}

fn content(len: u64) -> Bytes {
    (0..len).map(|index| (index / 7 % 251) as u8).collect()
}

/// A store with an upload of `size` bytes.
async fn staged(size: u64) -> Arc<Faulty> {
    let store = faulty();
    let mode = WriteMode::Create(WriteHint::default());
    let mut writer = open(&store).writer(&path("/up/data"), mode).await.unwrap();
    writer.write(content(size)).await.unwrap();
    assert_eq!(writer.close(NOTE).await.unwrap(), size);
    store.take_requests();
    store.take_bytes();
    store
}

async fn go_on(store: &Arc<Faulty>) -> Box<dyn FileWriter> {
    open(store).writer(&path("/up/data"), WriteMode::Append).await.unwrap()
}

const NOTE: Bytes = Bytes::from_static(b"note");

#[tokio::test]
async fn the_status_of_an_upload_costs_its_header() {
    for size in SIZES {
        let store = staged(size).await;
        let writer = go_on(&store).await;
        assert_eq!((writer.size(), writer.note()), (size, Some(NOTE)));
        assert_eq!(writer.close(NOTE).await.unwrap(), size);
        let (requests, bytes) = (store.take_requests(), store.take_bytes());
        assert!(requests == 1 && bytes <= LITTLE, "{size}: {requests} requests, {bytes} bytes");
    }
}

#[tokio::test]
async fn a_writer_that_takes_nothing_reads_no_tail() {
    for size in SIZES {
        for ends in [true, false] {
            let store = staged(size).await;
            let mut writer = go_on(&store).await;
            writer.write(Bytes::new()).await.unwrap();
            match ends {
                true => writer.cancel().await.unwrap(),
                false => writer.revert().await.unwrap(),
            }
            let bytes = store.take_bytes();
            assert!(bytes <= LITTLE, "{size}: {bytes} bytes");
            let found = open(&store).writer(&path("/up/data"), WriteMode::Append).await;
            assert_eq!(found.is_err(), ends, "{size}");
        }
        let store = staged(size).await;
        let mode = WriteMode::Create(WriteHint::default());
        open(&store).writer(&path("/up/data"), mode).await.unwrap();
        let bytes = store.take_bytes();
        assert!(bytes <= LITTLE, "{size}: a new upload reads {bytes} bytes of the previous one");
    }
}

#[tokio::test]
async fn a_tail_is_read_once_by_a_writer_that_needs_it() {
    for size in SIZES {
        for more in [0, 1, PART] {
            let store = staged(size).await;
            let whole = content(size + more);
            let mut writer = go_on(&store).await;
            for chunk in whole.slice(size as usize..).chunks(PART as usize / 4) {
                writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
            }
            assert_eq!(writer.size(), size + more);
            let bytes = store.take_bytes();
            let bound = if more == 0 { LITTLE } else { LITTLE + size % PART + LITTLE };
            assert!(bytes <= bound, "{size} {more}: {bytes} bytes");
            assert_eq!(writer.close(NOTE).await.unwrap(), size + more);
            go_on(&store).await.commit(&path("/blob")).await.unwrap();
            assert_eq!(open(&store).get_content(&path("/blob")).await.unwrap(), whole, "{size} {more}");
        }
    }
}

/// Another note for the same bytes is a new state with all of them.
#[tokio::test]
async fn a_note_that_changes_takes_the_tail_along() {
    for size in SIZES {
        let store = staged(size).await;
        assert_eq!(go_on(&store).await.close(Bytes::from_static(b"another")).await.unwrap(), size);
        let writer = go_on(&store).await;
        assert_eq!(writer.note().unwrap(), b"another"[..]);
        writer.commit(&path("/blob")).await.unwrap();
        assert_eq!(open(&store).get_content(&path("/blob")).await.unwrap(), content(size));
    }
}

/// Another writer has replaced the state that this writer opened, so this one adds nothing to the other's bytes.
#[tokio::test]
async fn a_writer_overtaken_before_it_read_the_tail_gets_an_error() {
    for size in SIZES {
        let store = staged(size).await;
        let (mut slow, mut other, late) = (go_on(&store).await, go_on(&store).await, go_on(&store).await);
        other.write(content(3)).await.unwrap();
        other.close(NOTE).await.unwrap();
        assert_eq!(slow.write(content(5)).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(slow.size(), size);
        slow.revert().await.unwrap();
        assert_eq!(late.commit(&path("/blob")).await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(go_on(&store).await.size(), size + 3, "the upload of the other is as it was");

        let store = staged(size).await;
        let mut slow = go_on(&store).await;
        go_on(&store).await.cancel().await.unwrap();
        assert!(slow.write(content(5)).await.unwrap_err().is_not_found());
        slow.revert().await.unwrap();
    }
}

#[tokio::test]
async fn a_tail_that_could_not_be_read_is_read_by_the_next_write() {
    let store = staged(PART / 2).await;
    let mut writer = go_on(&store).await;
    store.fail(Request::Get, Fault::SlowDown, 1);
    assert_eq!(writer.write(content(5)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(writer.size(), PART / 2, "nothing was taken");
    writer.write(Bytes::from_static(b"end")).await.unwrap();
    writer.commit(&path("/blob")).await.unwrap();
    let whole = [&content(PART / 2)[..], b"end"].concat();
    assert_eq!(open(&store).get_content(&path("/blob")).await.unwrap(), whole);
}
