//! Clients repeat the last request of an upload unchanged, after a temporary refusal.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use sampan_driver::{ErrorKind, PutMode};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{Error, Registry};

use super::{begin, body, content, over, over_directory, uploads};
use crate::support::FailingDriver;
use crate::support::failing_driver::Misbehaviour;

/// The collector holds a push for longer than a client has to wait.
async fn check_a_held_push(registry: Registry) {
    // A body of several chunks, of one, and of none; for uploads with and without earlier bytes.
    for (before, last) in [(300_000, 400_000), (2 << 20, 10), (10, 2 << 20), (0, 300_000), (70_000, 0)] {
        let (before, last) = (content(before), content(last));
        let digest = Digest::sha256_of(&[&before[..], &last].concat());
        let id = begin(&registry, &before).await;
        doom(&registry, &digest).await;
        for _ in 0..2 {
            let held = uploads(&registry).finish(&id, None, body(&last), &digest).await;
            assert!(matches!(held, Err(Error::Collecting(_))), "{held:?}");
            let status = uploads(&registry).status(&id).await.unwrap();
            assert_eq!(status.size_bytes, before.len() as u64, "the refused request has added something");
        }
        registry.driver().delete(&Entry::CollectionDoomed.path()).await.unwrap();
        registry.driver().delete(&Entry::CollectionRun.path()).await.unwrap();
        let pushed = uploads(&registry).finish(&id, None, body(&last), &digest).await.unwrap();
        assert_eq!(pushed.size_bytes, (before.len() + last.len()) as u64);
        let blob = registry.driver().get_content(&Entry::Blob(digest.clone()).path()).await.unwrap();
        assert_eq!(Digest::sha256_of(&blob), digest);
    }
}

/// A collection that is about to delete a blob, according to its files.
async fn doom(registry: &Registry, digest: &Digest) {
    let expires = SystemTime::now() + Duration::from_secs(3600);
    let millis = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let run = format!(r#"{{"id":"run","expires_ms":{millis},"grace_ms":1000}}"#);
    let put = async |entry: Entry, content: String| {
        registry.driver().put_content(&entry.path(), content.into(), PutMode::Overwrite).await.unwrap();
    };
    put(Entry::CollectionDoomed, format!("{digest}\n")).await;
    put(Entry::CollectionRun, run).await;
    // For some seconds the registry relies on the absence of a run.
    tokio::time::advance(Duration::from_secs(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_push_held_for_too_long_succeeds_when_repeated_in_memory() {
    check_a_held_push(over(Arc::new(InMemoryDriver::new()))).await;
}

#[tokio::test(start_paused = true)]
async fn a_push_held_for_too_long_succeeds_when_repeated_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    check_a_held_push(over_directory(directory.path()).await).await;
}

/// A process that dies during the last request leaves some of its body. The client repeats the request unchanged.
#[tokio::test]
async fn a_last_request_cut_by_a_crash_causes_no_wrong_digest() {
    for part in [1, 100_000, 2 << 20] {
        let directory = tempfile::tempdir().unwrap();
        let (sent, last) = (content(300_000), content(3 << 20));
        let digest = Digest::sha256_of(&[&sent[..], &last].concat());
        let id = begin(&over_directory(directory.path()).await, &sent).await;
        let staged = Entry::UploadData("app".parse().unwrap(), id.clone()).path();
        let mut file = File::options().append(true).open(directory.path().join(staged.as_key())).unwrap();
        file.write_all(&last[..part]).unwrap();
        drop(file);

        let registry = over_directory(directory.path()).await;
        for _ in 0..2 {
            let repeated = uploads(&registry).finish(&id, None, body(&last), &digest).await;
            assert!(matches!(repeated, Err(Error::UploadUnknown(_))), "{repeated:?}");
        }
        let id = begin(&registry, &sent).await;
        uploads(&registry).finish(&id, None, body(&last), &digest).await.unwrap();
    }
}

/// Within one process a wrong digest is the client's mistake, with any algorithm.
#[tokio::test]
async fn a_wrong_digest_of_a_chunked_upload_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    for registry in [over_directory(directory.path()).await, over(Arc::new(InMemoryDriver::new()))] {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for last in [&b""[..], b"last"] {
                let id = begin(&registry, b"first").await;
                let finished =
                    uploads(&registry).finish(&id, None, body(last), &Digest::of(algorithm, b"else")).await;
                assert!(matches!(finished, Err(Error::DigestMismatch { .. })), "{algorithm}: {finished:?}");
            }
        }
    }
}

/// A failed sync at the commit loses the staged bytes.
#[tokio::test]
async fn bytes_that_were_lost_at_the_commit_make_the_upload_unknown() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let driver = FailingDriver::new();
        let registry = over(Arc::new(driver.clone()));
        let sent = content(100_000);
        let digest = Digest::of(algorithm, &sent);
        let id = begin(&registry, &sent).await;
        driver.be(Misbehaviour::LosesStaged);
        let finished = uploads(&registry).finish(&id, None, body(b""), &digest).await;
        assert!(
            matches!(&finished, Err(Error::Driver(error)) if error.kind() == ErrorKind::Other),
            "{finished:?}"
        );
        for _ in 0..2 {
            let finished = uploads(&registry).finish(&id, None, body(b""), &digest).await;
            assert!(matches!(finished, Err(Error::UploadUnknown(_))), "{finished:?}");
            let appended = uploads(&registry).append(&id, None, body(b"more")).await;
            assert!(matches!(appended, Err(Error::UploadUnknown(_))), "{appended:?}");
        }
    }
}

/// All bytes were in the failed request, so the upload is as it was: begun.
#[tokio::test]
async fn a_commit_that_fails_can_be_sent_again_with_all_its_bytes() {
    let driver = FailingDriver::new();
    let registry = over(Arc::new(driver.clone()));
    let sent = content(100_000);
    let digest = Digest::sha256_of(&sent);
    let id = begin(&registry, b"").await;
    driver.be(Misbehaviour::LosesStaged);
    assert!(uploads(&registry).finish(&id, None, body(&sent), &digest).await.is_err());
    driver.behave();
    uploads(&registry).finish(&id, None, body(&sent), &digest).await.unwrap();
}

/// The error names the client's mistake, even if the store fails too.
#[tokio::test]
async fn an_interrupted_body_is_reported_even_if_the_store_fails() {
    let driver = FailingDriver::new();
    let registry = over(Arc::new(driver.clone()));
    driver.be(Misbehaviour::LosesStaged);
    let broken = futures::stream::once(async { Err::<Bytes, _>("the client is gone".into()) });
    let put = uploads(&registry).put(&Digest::sha256_of(b"x"), None, Box::pin(broken)).await;
    assert!(matches!(put, Err(Error::BodyBroken(_))), "{put:?}");
}
