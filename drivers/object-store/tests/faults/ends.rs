//! The end of an upload: failures, lost answers, and two of them at once.

use crate::faulty::{Fault, Request, faulty};
use bytes::Bytes;
use sampan_driver::{ErrorKind, PutMode, StorageDriver, WriteHint, WriteMode};
use sampan_driver_object_store::ObjectStoreDriver;

use super::{LONG, begin, content, go_on, is_missing, open, path, read};

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
