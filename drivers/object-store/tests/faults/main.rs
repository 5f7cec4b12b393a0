//! Uploads and reads while the store fails: errors are clear, acknowledged bytes are kept, and interrupted uploads can be
//! continued. Also the number of requests without failures.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

mod ends;
#[path = "../support/faulty.rs"]
#[expect(dead_code, reason = "another test counts the bytes")]
mod faulty;
#[path = "../support/parts_checked.rs"]
mod parts_checked;
mod reads;

use std::sync::Arc;

use bytes::Bytes;
use faulty::{Fault, Faulty, Request, faulty};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    Deadline, DriverPath, ErrorKind, FileWriter, PutMode, RedirectRequest, StorageDriver, WriteHint,
    WriteMode,
};
use sampan_driver_object_store::ObjectStoreDriver;

const PART: u64 = 1000;

fn path(text: &str) -> DriverPath {
    text.parse().unwrap()
}

/// Another driver over the same store, like another replica: it knows nothing of the first.
fn open(store: &Arc<Faulty>) -> ObjectStoreDriver {
    ObjectStoreDriver::over(store.clone(), "root", PART).unwrap()
}

fn content(len: usize) -> Bytes {
    (0..len).map(|index| (index / 7 % 251) as u8).collect()
}

async fn begin(store: &Arc<Faulty>, target: Option<&str>) -> Box<dyn FileWriter> {
    let hint = WriteHint { len: None, target: target.map(path) };
    open(store).writer(&path("/up/data"), WriteMode::Create(hint)).await.unwrap()
}

async fn go_on(store: &Arc<Faulty>) -> Box<dyn FileWriter> {
    open(store).writer(&path("/up/data"), WriteMode::Append).await.unwrap()
}

async fn read(store: &Arc<Faulty>, at: &str) -> Bytes {
    open(store).get_content(&path(at)).await.unwrap()
}

async fn is_missing(store: &Arc<Faulty>, at: &str) -> bool {
    open(store).stat(&path(at)).await.is_err_and(|error| error.is_not_found())
}

#[tokio::test]
async fn a_part_that_is_lost_costs_only_what_came_since() {
    let (store, whole) = (faulty(), content(5500));
    let mut writer = begin(&store, None).await;
    writer.write(whole.slice(..2500)).await.unwrap();
    assert_eq!(writer.close(Bytes::new()).await.unwrap(), 2500);

    let mut writer = go_on(&store).await;
    store.fail(Request::Part, Fault::SlowDown, 1);
    let mut failed = None;
    for chunk in whole.slice(2500..).chunks(700) {
        if let Err(error) = writer.write(Bytes::copy_from_slice(chunk)).await {
            failed = Some(error.kind());
            break;
        }
    }
    let kept = writer.close(Bytes::new()).await.unwrap();
    assert!(matches!(failed, None | Some(ErrorKind::Unavailable)), "{failed:?}");
    assert_eq!(kept, 2500, "what was acknowledged is kept, whatever became of the part that it went into");

    let mut writer = go_on(&store).await;
    assert_eq!(writer.size(), kept);
    writer.write(whole.slice(kept as usize..)).await.unwrap();
    writer.commit(&path("/blob")).await.unwrap();
    assert_eq!(read(&store, "/blob").await, whole);
}

/// The purge of uploads relies on a walk, which must show that an upload was touched.
#[tokio::test]
async fn a_walk_shows_an_upload_with_the_time_of_its_last_write() {
    let store = faulty();
    let driver = open(&store);
    driver.put_content(&path("/up/startedat"), "then".into(), PutMode::Overwrite).await.unwrap();
    for size in [0, 10, 2500] {
        let mut writer = begin(&store, Some("/blob")).await;
        writer.write(content(size)).await.unwrap();
        let before = std::time::SystemTime::now() - std::time::Duration::from_secs(1);
        writer.close(Bytes::new()).await.unwrap();
        let walked: Vec<_> = driver.walk(&path("/up"), None).try_collect().await.unwrap();
        let paths: Vec<_> = walked.iter().map(|info| info.path.as_str()).collect();
        assert_eq!(paths, ["/up/data", "/up/startedat"], "{size}");
        assert!(walked[0].modified >= before, "{size}: {:?}", walked[0]);
        let after: Vec<_> = driver.walk(&path("/up"), Some(&path("/up/data"))).try_collect().await.unwrap();
        assert_eq!(after.len(), 1, "{size}");
    }
    go_on(&store).await.commit(&path("/blob")).await.unwrap();
    let walked: Vec<_> = driver.walk(&path("/"), None).try_collect().await.unwrap();
    assert_eq!(walked.iter().map(|info| info.path.as_str()).collect::<Vec<_>>(), ["/blob", "/up/startedat"]);
}

/// A request that sends bytes for hours saves its state now and then, so a crash loses minutes.
#[tokio::test(start_paused = true)]
async fn a_long_write_saves_its_state_now_and_then() {
    let (store, whole) = (faulty(), content(5000));
    let mut writer = begin(&store, None).await;
    for chunk in whole.chunks(500) {
        writer.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        // A sleep, since a jump of the clock would take the time from running requests.
        tokio::time::sleep(std::time::Duration::from_secs(200)).await;
    }
    drop(writer);
    let mut writer = go_on(&store).await;
    let kept = writer.size() as usize;
    assert!((3000..5000).contains(&kept), "{kept}");
    writer.write(whole.slice(kept..)).await.unwrap();
    writer.commit(&path("/blob")).await.unwrap();
    assert_eq!(read(&store, "/blob").await, whole);
}

/// One request never gets an answer. The driver waits no longer than moving the bytes could take.
#[tokio::test(start_paused = true)]
async fn every_request_has_a_time_limit() {
    for request in
        [Request::Put, Request::Get, Request::Copy, Request::Begin, Request::Part, Request::Complete]
    {
        // From a saved state, and to another target, so that every kind of request occurs.
        let (store, whole) = (faulty(), content(3300));
        let mut writer = begin(&store, None).await;
        writer.write(whole.slice(..500)).await.unwrap();
        writer.close(Bytes::new()).await.unwrap();
        store.fail(request, Fault::Silence, 1);
        let push = async {
            let mut writer = open(&store).writer(&path("/up/data"), WriteMode::Append).await?;
            writer.write(whole.slice(500..2500)).await?;
            // The bytes after a lost part are dropped, and the client learns the new length.
            if writer.close(Bytes::new()).await? < 2500 {
                return Ok(false);
            }
            let mut writer = open(&store).writer(&path("/up/data"), WriteMode::Append).await?;
            writer.write(whole.slice(2500..)).await?;
            writer.commit(&path("/blob")).await.map(|()| true)
        };
        let begun = tokio::time::Instant::now();
        match tokio::time::timeout(LONG, push).await.unwrap_or_else(|_| panic!("{request:?} hangs")) {
            Ok(is_published) => assert!(!is_published, "{request:?}: one request had no answer"),
            // The assembled object ends with the bytes of this request, so the earlier upload is lost.
            Err(error) if request == Request::Copy => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{request:?}: {error}");
                continue;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{request:?}: {error}"),
        }
        assert!(!store.is_planned(), "{request:?} did not come to pass");
        assert!(begun.elapsed().as_secs() >= 30, "{request:?}: no answer was waited for");
        let mut writer = go_on(&store).await;
        let kept = writer.size();
        assert!(kept >= 500, "{request:?}: {kept}");
        if kept < 3300 {
            writer.write(whole.slice(kept as usize..)).await.unwrap();
        }
        writer.commit(&path("/blob")).await.unwrap();
        assert_eq!(read(&store, "/blob").await, whole, "{request:?}");
    }
}

/// Two minutes, and a few retries of small requests.
const LONG: std::time::Duration = std::time::Duration::from_secs(200);

#[tokio::test]
async fn an_upload_that_the_store_forgot_is_not_found_and_leaves_nothing() {
    let (store, whole) = (faulty(), content(9000));
    let mut writer = begin(&store, None).await;
    writer.write(whole.slice(..2500)).await.unwrap();
    writer.close(Bytes::new()).await.unwrap();
    let mut writer = go_on(&store).await;
    store.fail(Request::Part, Fault::NoSuchUpload, 1);
    let mut failed = false;
    for chunk in whole.slice(2500..).chunks(500) {
        failed = writer.write(Bytes::copy_from_slice(chunk)).await.is_err_and(|error| error.is_not_found());
        if failed {
            break;
        }
    }
    let closed = writer.close(Bytes::new()).await;
    assert!(failed || closed.is_err_and(|error| error.is_not_found()));
}

/// Ceph fails so for a key that is being written at the same time.
#[tokio::test(start_paused = true)]
async fn a_key_that_stays_among_others_is_deleted_again() {
    for (times, stays) in [(1, false), (3, false), (100, true)] {
        let store = faulty();
        let driver = open(&store);
        let files = ["/a", "/b", "/c"].map(path);
        for file in &files {
            driver.put_content(file, content(10), PutMode::Overwrite).await.unwrap();
        }
        store.fail(Request::Delete, Fault::OneKeyStays, times);
        let all = futures::stream::iter(files.clone()).boxed();
        let results: Vec<_> = driver.delete_all(all, Deadline::NONE).collect().await;
        assert_eq!(results.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), files);
        let failed: Vec<bool> = results.iter().map(|(_, result)| result.is_err()).collect();
        assert_eq!(failed, [false, false, stays], "{times}");
        assert_eq!(is_missing(&store, "/c").await, !stays, "{times}");
    }
}

/// A request without an answer may still be carried out, so it is not repeated, and the error says so.
#[tokio::test(start_paused = true)]
async fn a_deletion_is_sent_again_only_if_the_store_has_refused_it() {
    for (fault, times, requests, outcome) in [
        (Fault::SlowDown, 2, 3, Ok(())),
        (Fault::SlowDown, 100, 5, Err(false)),
        (Fault::LostAnswer, 1, 1, Err(false)),
        (Fault::Expired, 1, 1, Err(true)),
    ] {
        let store = faulty();
        let driver = open(&store);
        driver.put_content(&path("/a"), content(10), PutMode::Overwrite).await.unwrap();
        store.fail(Request::Delete, fault, times);
        store.take_requests();
        let all = futures::stream::iter([path("/a")]).boxed();
        let results: Vec<_> = driver.delete_all(all, Deadline::NONE).collect().await;
        let result = results.into_iter().map(|(_, result)| result).next().unwrap();
        assert_eq!(result.map_err(|error| error.is_settled()), outcome, "{fault:?} {times}");
        assert_eq!(store.take_requests(), requests, "{fault:?} {times}");
    }
}

#[tokio::test]
async fn too_long_a_file_is_refused_before_its_bytes_are_sent() {
    let store = faulty();
    let mut writer = begin(&store, None).await;
    let limit = PART * 10_000;
    let error = writer.write(Bytes::from(vec![0; limit as usize + 1])).await.unwrap_err();
    let said = std::error::Error::source(&error).unwrap().to_string();
    assert!(said.contains("10000 parts") && said.contains("chunk size"), "{said}");
}

#[tokio::test]
async fn an_unsupported_operation_is_an_error() {
    let store = faulty();
    assert_eq!(open(&store).redirect_url(&path("/blob"), RedirectRequest::Get).await.unwrap(), None);
}

/// The driver's requests in each flow.
#[tokio::test]
async fn requests_are_few() {
    let store = faulty();
    let driver = open(&store);
    let (staged, blob) = (path("/up/1/data"), path("/blob"));

    driver.put_content(&path("/up/1/startedat"), "now".into(), PutMode::Overwrite).await.unwrap();
    store.take_requests();
    assert!(driver.writer(&staged, WriteMode::Append).await.is_err());
    assert_eq!(store.take_requests(), 1, "the look for staged bytes");
    let mut writer = driver.writer(&staged, WriteMode::Create(WriteHint::default())).await.unwrap();
    assert_eq!(store.take_requests(), 0, "the beginning, where nothing was staged a moment ago");
    writer.write(content(100)).await.unwrap();
    assert_eq!(store.take_requests(), 0, "bytes that do not fill a part");
    writer.close(Bytes::new()).await.unwrap();
    assert_eq!(store.take_requests(), 1, "the state");
    let writer = driver.writer(&staged, WriteMode::Append).await.unwrap();
    assert_eq!(store.take_requests(), 1, "the state again");
    writer.commit(&blob).await.unwrap();
    assert_eq!(store.take_requests(), 2, "the file, and the end of the state");
    driver.delete_tree(&path("/up/1")).await.unwrap();
    assert_eq!(store.take_requests(), 2, "a listing and a deletion");

    let hint = WriteHint { len: Some(2500), target: Some(blob.clone()) };
    assert!(driver.writer(&staged, WriteMode::Append).await.is_err());
    let mut writer = driver.writer(&staged, WriteMode::Create(hint)).await.unwrap();
    writer.write(content(2500)).await.unwrap();
    writer.commit(&blob).await.unwrap();
    assert_eq!(store.take_requests(), 6, "a look, beginning, three parts, end: no copy and no state");

    assert!(driver.writer(&staged, WriteMode::Append).await.is_err());
    let mut writer = driver.writer(&staged, WriteMode::Create(WriteHint::default())).await.unwrap();
    writer.write(content(2500)).await.unwrap();
    writer.close(Bytes::new()).await.unwrap();
    driver.writer(&staged, WriteMode::Append).await.unwrap().commit(&blob).await.unwrap();
    assert_eq!(
        store.take_requests(),
        11,
        "a look, beginning, two parts, state; state, state again, part, end, copy, deletion"
    );
}
