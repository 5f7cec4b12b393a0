//! Uploads and reads while the store fails: errors are clear, acknowledged bytes are kept, and interrupted uploads can be
//! continued. Also the number of requests without failures.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/faulty.rs"]
#[expect(dead_code, reason = "another test counts the bytes")]
mod faulty;
#[path = "support/parts_checked.rs"]
mod parts_checked;

use std::sync::Arc;

use bytes::Bytes;
use faulty::{Fault, Faulty, Request, faulty};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{
    ByteRange, Deadline, DriverPath, ErrorKind, FileWriter, PutMode, RedirectRequest, StorageDriver,
    WriteHint, WriteMode,
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

#[tokio::test]
async fn a_commit_that_fails_anywhere_can_be_repeated() {
    for request in [Request::Part, Request::Complete, Request::Copy, Request::Delete] {
        for fault in [Fault::SlowDown, Fault::LostAnswer] {
            let (store, whole) = (faulty(), content(3300));
            let mut writer = begin(&store, None).await;
            writer.write(whole.clone()).await.unwrap();
            writer.close(Bytes::new()).await.unwrap();
            let writer = go_on(&store).await;
            store.fail(request, fault, 1);
            let first = writer.commit(&path("/blob")).await;
            if let Err(error) = &first {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{request:?} {fault:?}: {error}");
                go_on(&store).await.commit(&path("/blob")).await.unwrap();
            }
            assert_eq!(read(&store, "/blob").await, whole, "{request:?} {fault:?}");
            if request == Request::Delete {
                assert!(
                    first.is_ok(),
                    "{fault:?}: what is published is pushed, whatever is left to be cleaned"
                );
                // As the registry does afterwards.
                open(&store).delete_tree(&path("/up")).await.unwrap();
            }
            let again = open(&store).writer(&path("/up/data"), WriteMode::Append).await;
            assert!(again.unwrap_err().is_not_found(), "{request:?} {fault:?}: something is left staged");
            assert!(is_missing(&store, "/up/data").await, "{request:?} {fault:?}");
        }
    }
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

/// A completion moves no bytes, whatever the size of the upload.
#[tokio::test(start_paused = true)]
async fn the_end_of_a_large_upload_has_the_time_limit_of_a_small_one() {
    let (store, part) = (faulty(), 5 << 20);
    let driver = ObjectStoreDriver::over(store.clone(), "root", part).unwrap();
    let mut writer = driver.writer(&path("/up/data"), WriteMode::Create(WriteHint::default())).await.unwrap();
    for _ in 0..14 {
        writer.write(Bytes::from(vec![1; part as usize])).await.unwrap();
    }
    store.fail(Request::Complete, Fault::Silence, 1);
    let begun = tokio::time::Instant::now();
    assert_eq!(writer.commit(&path("/blob")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(begun.elapsed() <= LONG, "{:?}", begun.elapsed());
}

/// Two minutes, and a few retries of small requests.
const LONG: std::time::Duration = std::time::Duration::from_secs(200);

#[tokio::test]
async fn a_small_file_that_could_not_be_published_is_still_staged() {
    let (store, whole) = (faulty(), content(100));
    let mut writer = begin(&store, Some("/blob")).await;
    writer.write(whole.slice(..60)).await.unwrap();
    writer.close(Bytes::new()).await.unwrap();
    let mut writer = go_on(&store).await;
    writer.write(whole.slice(60..)).await.unwrap();
    store.fail(Request::Put, Fault::SlowDown, 1);
    assert_eq!(writer.commit(&path("/blob")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(is_missing(&store, "/blob").await);
    let mut writer = go_on(&store).await;
    assert_eq!(writer.size(), 60, "the request that failed has added nothing");
    writer.write(whole.slice(60..)).await.unwrap();
    writer.commit(&path("/blob")).await.unwrap();
    assert_eq!(read(&store, "/blob").await, whole);

    let mut writer = begin(&store, Some("/blob")).await;
    writer.write(whole.clone()).await.unwrap();
    writer.close(Bytes::new()).await.unwrap();
    go_on(&store).await.commit(&path("/blob")).await.unwrap();
    assert_eq!(read(&store, "/blob").await, whole);
}

#[tokio::test]
async fn a_lost_answer_to_the_end_of_an_upload_is_no_failure() {
    for target in [None, Some("/blob")] {
        let (store, whole) = (faulty(), content(3300));
        let mut writer = begin(&store, target).await;
        writer.write(whole.clone()).await.unwrap();
        store.fail(Request::Complete, Fault::LostAnswer, 1);
        writer.commit(&path("/blob")).await.unwrap();
        assert_eq!(read(&store, "/blob").await, whole);
    }
}

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

#[tokio::test]
async fn the_loser_of_two_writers_gets_an_error() {
    let store = faulty();
    let mut writer = begin(&store, None).await;
    writer.write(content(10)).await.unwrap();
    writer.close(Bytes::new()).await.unwrap();
    let (mut one, mut two) = (go_on(&store).await, go_on(&store).await);
    one.write(content(5)).await.unwrap();
    two.write(content(7)).await.unwrap();
    assert_eq!(one.close(Bytes::new()).await.unwrap(), 15);
    let error = two.close(Bytes::new()).await.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("another writer"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(go_on(&store).await.size(), 15);
}

/// Two writers each add last bytes to one upload. The first is slow: the second acts between any two of its steps.
#[tokio::test]
async fn of_two_ends_of_one_upload_each_publishes_its_own_bytes_or_nothing() {
    for step in [Request::Part, Request::Complete, Request::Copy] {
        for lasts in [["a", "b"], ["", ""], ["a", ""], ["", "b"]] {
            let (store, whole) = (faulty(), content(2500));
            let mut writer = begin(&store, None).await;
            writer.write(whole.clone()).await.unwrap();
            writer.close(Bytes::new()).await.unwrap();
            let expected =
                lasts.map(|last| Bytes::from([&whole[..], &last.repeat(300).into_bytes()].concat()));
            let mut writers = Vec::new();
            for expected in &expected {
                let mut writer = go_on(&store).await;
                writer.write(expected.slice(2500..)).await.unwrap();
                writers.push(writer);
            }
            let (second, first) = (writers.pop().unwrap(), writers.pop().unwrap());
            let held = store.hold(step);
            let first = tokio::spawn(async move { first.commit(&path("/first")).await });
            held.reached().await;
            let second = second.commit(&path("/second")).await;
            held.release();
            let first = first.await.unwrap();
            let what = format!("{step:?} {lasts:?}: {first:?} {second:?}");
            for (published, at, expected) in
                [(&first, "/first", &expected[0]), (&second, "/second", &expected[1])]
            {
                match published {
                    Ok(()) => assert_eq!(read(&store, at).await, expected, "{what}"),
                    Err(_) => assert!(is_missing(&store, at).await, "{what}"),
                }
            }
            assert!(first.is_ok() || second.is_ok() || step == Request::Part, "{what}");
        }
    }
}

/// The process that ended the upload is gone, after the store had carried out its request.
#[tokio::test]
async fn another_process_continues_an_end_without_an_answer() {
    for (step, last) in
        [(Request::Part, ""), (Request::Complete, ""), (Request::Copy, ""), (Request::Complete, "x")]
    {
        let (store, whole) = (faulty(), content(2500));
        let mut writer = begin(&store, None).await;
        writer.write(whole.clone()).await.unwrap();
        writer.close(Bytes::from_static(b"note")).await.unwrap();
        let mut dying = go_on(&store).await;
        dying.write(last.into()).await.unwrap();
        let held = store.hold(step);
        let dying = tokio::spawn(async move { dying.commit(&path("/blob")).await });
        held.reached().await;
        dying.abort();
        assert!(dying.await.unwrap_err().is_cancelled());
        let mut heir = go_on(&store).await;
        assert_eq!((heir.size(), heir.note().as_deref()), (2500, Some(&b"note"[..])), "{step:?}");
        heir.write(last.into()).await.unwrap();
        heir.commit(&path("/blob")).await.unwrap();
        assert_eq!(read(&store, "/blob").await, [&whole[..], last.as_bytes()].concat(), "{step:?} {last:?}");
    }
}

/// An object of the right size alone is not the intended object.
#[tokio::test]
async fn another_object_of_the_same_size_is_not_taken_for_ours() {
    let (store, whole) = (faulty(), content(3300));
    open(&store).put_content(&path("/blob"), vec![9; 3300].into(), PutMode::Overwrite).await.unwrap();
    let mut writer = begin(&store, Some("/blob")).await;
    writer.write(whole).await.unwrap();
    store.fail(Request::Complete, Fault::NoSuchUpload, 1);
    assert!(writer.commit(&path("/blob")).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn our_own_write_is_not_mistaken_for_anothers() {
    let store = faulty();
    let driver = open(&store);
    store.fail(Request::Put, Fault::SentAgain, 1);
    driver.put_content(&path("/lock"), content(3), PutMode::Create).await.unwrap();
    let error = driver.put_content(&path("/lock"), content(3), PutMode::Create).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists, "the same content by another is another's");

    for round in 1..=3 {
        let mut writer = match round {
            1 => begin(&store, None).await,
            _ => go_on(&store).await,
        };
        writer.write(content(10)).await.unwrap();
        store.fail(Request::Put, Fault::SentAgain, 1);
        assert_eq!(writer.close(Bytes::new()).await.unwrap(), 10 * round);
    }
}

#[tokio::test]
async fn a_hint_that_was_wrong_never_shows_at_its_target() {
    let (store, whole) = (faulty(), content(3300));
    open(&store).put_content(&path("/hinted"), "what was there".into(), PutMode::Overwrite).await.unwrap();
    let mut writer = begin(&store, Some("/hinted")).await;
    writer.write(whole).await.unwrap();
    let error = writer.commit(&path("/other")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(read(&store, "/hinted").await, "what was there");
    assert!(is_missing(&store, "/other").await);
    open(&store).delete_tree(&path("/up")).await.unwrap();
    assert_eq!(read(&store, "/hinted").await, "what was there");
}

#[tokio::test(start_paused = true)]
async fn a_read_goes_on_where_it_was_cut() {
    let (store, whole) = (faulty(), content(100_000));
    open(&store).put_content(&path("/blob"), whole.clone(), PutMode::Overwrite).await.unwrap();
    store.cut_after(30_001);
    for range in [ByteRange::ALL, ByteRange::from(5), ByteRange::new(17, 80_000)] {
        let expected = range.resolve(100_000).unwrap();
        let reader = open(&store).reader(&path("/blob"), range).await.unwrap();
        let chunks: Vec<Bytes> = reader.into_stream().try_collect().await.unwrap();
        assert_eq!(chunks.concat(), whole.slice(expected.start as usize..expected.end as usize));
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_does_not_go_on_with_another_file() {
    let store = faulty();
    let driver = open(&store);
    driver.put_content(&path("/blob"), content(100_000), PutMode::Overwrite).await.unwrap();
    store.cut_after(50_000);
    let reader = driver.reader(&path("/blob"), ByteRange::ALL).await.unwrap();
    driver.put_content(&path("/blob"), Bytes::from(vec![9; 100_000]), PutMode::Overwrite).await.unwrap();
    let result: Result<Vec<Bytes>, _> = reader.into_stream().try_collect().await;
    let error = result.unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("replaced"), "{error}");
}

/// An hour between the chunks, and every connection is cut after a while: the time limits of requests must not limit a pull.
#[tokio::test(start_paused = true)]
async fn a_read_by_a_slow_client_comes_to_its_end() {
    let (store, whole) = (faulty(), content(5000));
    let driver = open(&store);
    driver.put_content(&path("/blob"), whole.clone(), PutMode::Overwrite).await.unwrap();
    store.cut_after(700);
    let mut stream = driver.reader(&path("/blob"), ByteRange::ALL).await.unwrap().into_stream();
    let mut read = Vec::new();
    while let Some(chunk) = stream.try_next().await.unwrap() {
        read.extend_from_slice(&chunk);
        tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    }
    assert_eq!(read, whole);
}

#[tokio::test(start_paused = true)]
async fn a_read_gives_up_when_nothing_comes_any_more() {
    let store = faulty();
    let driver = open(&store);
    driver.put_content(&path("/blob"), content(1000), PutMode::Overwrite).await.unwrap();
    store.cut_after(500);
    let reader = driver.reader(&path("/blob"), ByteRange::ALL).await.unwrap();
    store.fail(Request::Get, Fault::SlowDown, 1000);
    let result: Result<Vec<Bytes>, _> = reader.into_stream().try_collect().await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn trouble_is_not_mistaken_for_a_missing_file() {
    for (fault, kind) in [
        (Fault::NoSuchBucket, ErrorKind::Unavailable),
        (Fault::Expired, ErrorKind::PermissionDenied),
        (Fault::SlowDown, ErrorKind::Unavailable),
    ] {
        let store = faulty();
        let driver = open(&store);
        driver.put_content(&path("/blob"), content(10), PutMode::Overwrite).await.unwrap();
        store.fail(Request::Get, fault, 3);
        assert_eq!(driver.stat(&path("/blob")).await.unwrap_err().kind(), kind);
        assert_eq!(driver.get_content(&path("/blob")).await.unwrap_err().kind(), kind);
        let append = driver.writer(&path("/up/data"), WriteMode::Append).await;
        assert_eq!(append.unwrap_err().kind(), kind, "{fault:?}");
    }
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
