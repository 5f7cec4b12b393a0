//! Pushes of blobs over registries and connections that fail.

use bytes::Bytes;
use proptest::prelude::*;
use sampan_client::{
    BlobSource, ByteStream, BytesSource, ClientError, FileSource, Problem, Pushed, RemoteSource,
    RepositoryClient,
};

use crate::fake_registry::{FakeRegistry, Flaws};
use crate::server::{Reply, Server};
use crate::support::{Waits, content, digest, impatient, options, repository};

const MIB: usize = 1 << 20;

async fn push(registry: &FakeRegistry, bytes: &[u8]) -> Result<Pushed, ClientError> {
    let repository = repository(&registry.server, options(&Waits::default()));
    let source = BytesSource(Bytes::copy_from_slice(bytes));
    repository.push_blob(&digest(bytes), bytes.len() as u64, &source, None).await
}

async fn chunks(repository: &RepositoryClient, bytes: &[u8], piece: usize) -> Result<(), ClientError> {
    let mut upload = repository.upload_in_chunks(None).await?.unwrap();
    for piece in bytes.chunks(piece) {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    upload.finish(&digest(bytes)).await
}

#[tokio::test]
async fn a_blob_is_sent_in_one_request() {
    for (length, is_absolute) in [(0, false), (1, false), (3 * MIB, true)] {
        let bytes = content(length);
        let registry = FakeRegistry::start(Flaws { is_absolute, ..Flaws::default() }).await;
        assert_eq!(push(&registry, &bytes).await.unwrap(), Pushed::Uploaded);
        assert_eq!(registry.blob(&digest(&bytes)).unwrap(), bytes);
        assert_eq!(registry.server.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_broken_request_goes_on_with_what_the_registry_lacks() {
    let bytes = content(3 * MIB);
    let flaws = Flaws { breaks: vec![(0, 2 * MIB), (1, MIB / 2)], ..Flaws::default() };
    let registry = FakeRegistry::start(flaws).await;
    push(&registry, &bytes).await.unwrap();
    assert_eq!(registry.blob(&digest(&bytes)).unwrap(), bytes);
    assert_eq!(registry.received(), bytes.len());
}

#[tokio::test]
async fn a_registry_that_keeps_nothing_gets_it_all_again() {
    let bytes = content(MIB);
    let flaws = Flaws { breaks: vec![(0, MIB / 2), (1, 0)], forgets_partial: true, ..Flaws::default() };
    let registry = FakeRegistry::start(flaws).await;
    push(&registry, &bytes).await.unwrap();
    assert_eq!(registry.blob(&digest(&bytes)).unwrap(), bytes);
}

#[tokio::test]
async fn a_registry_that_damaged_what_it_kept_gets_it_all_again_once() {
    let bytes = content(MIB);
    let flaws = Flaws { breaks: vec![(0, MIB / 2)], damages_partial: true, ..Flaws::default() };
    let registry = FakeRegistry::start(flaws).await;
    push(&registry, &bytes).await.unwrap();
    assert_eq!(registry.blob(&digest(&bytes)).unwrap(), bytes);
    // A source with other content gets no second chance.
    let wrong = repository(&registry.server, options(&Waits::default()));
    let source = BytesSource(Bytes::from_static(b"other"));
    let error = wrong.push_blob(&digest(b"right"), 5, &source, None).await.unwrap_err();
    assert_eq!(error.code(), "DIGEST_INVALID");
    assert_eq!(registry.count("DELETE"), 1, "the upload is cancelled");
    assert_eq!(registry.open_uploads(), 1, "the damaged one is left to the registry");
}

#[tokio::test]
async fn a_lost_answer_is_found_out_by_the_blob() {
    let bytes = content(MIB);
    let registry = FakeRegistry::start(Flaws { lost_answers: vec![0], ..Flaws::default() }).await;
    push(&registry, &bytes).await.unwrap();
    assert_eq!(registry.count("PUT"), 1);
}

#[tokio::test]
async fn a_forgotten_upload_begins_anew() {
    let bytes = content(MIB);
    let registry = FakeRegistry::start(Flaws { forgets: vec![0], ..Flaws::default() }).await;
    push(&registry, &bytes).await.unwrap();
    assert_eq!(registry.blob(&digest(&bytes)).unwrap(), bytes);
    assert_eq!(registry.count("POST"), 2);
}

#[tokio::test]
async fn long_requests_that_are_refused_become_chunks() {
    let bytes = content(10 * MIB + 17);
    let registry = FakeRegistry::start(Flaws { max_body: Some(3 * MIB), ..Flaws::default() }).await;
    push(&registry, &bytes).await.unwrap();
    assert_eq!(registry.blob(&digest(&bytes)).unwrap(), bytes);
    let registry = FakeRegistry::start(Flaws { max_body: Some(100), ..Flaws::default() }).await;
    assert_eq!(push(&registry, &bytes).await.unwrap_err().status(), Some(413));
}

#[tokio::test]
async fn chunks_survive_breaks_lost_answers_and_a_second_break() {
    let bytes = content(40 * MIB + 5);
    let flaws = Flaws { breaks: vec![(0, 5 * MIB), (1, MIB)], lost_answers: vec![3, 5], ..Flaws::default() };
    let registry = FakeRegistry::start(flaws).await;
    let repository = repository(&registry.server, options(&Waits::default()));
    chunks(&repository, &bytes, 3 * MIB + 1).await.unwrap();
    assert_eq!(registry.blob(&digest(&bytes)).unwrap(), bytes);
    assert_eq!(registry.received(), bytes.len());
}

#[tokio::test]
async fn one_byte_and_none_are_told_apart() {
    for length in 0..4 {
        let bytes = content(length);
        for flaws in [
            Flaws::default(),
            Flaws { breaks: vec![(0, 1)], ..Flaws::default() },
            Flaws { breaks: vec![(0, 0)], ..Flaws::default() },
            Flaws { lost_answers: vec![0], ..Flaws::default() },
            Flaws { breaks: vec![(0, 1), (1, 1)], ..Flaws::default() },
        ] {
            for in_chunks in [false, true] {
                let registry = FakeRegistry::start(flaws.clone()).await;
                let repository = repository(&registry.server, options(&Waits::default()));
                let sent = match in_chunks {
                    true => chunks(&repository, &bytes, 10).await,
                    false => push(&registry, &bytes).await.map(|_| ()),
                };
                assert!(sent.is_ok(), "{length} {flaws:?} {in_chunks}: {sent:?}");
                assert_eq!(registry.blob(&digest(&bytes)).unwrap(), bytes);
            }
        }
    }
}

#[tokio::test]
async fn chunks_are_as_long_as_the_registry_wants() {
    let bytes = content(50 * MIB);
    let registry = FakeRegistry::start(Flaws { min_chunk: Some(20 * MIB), ..Flaws::default() }).await;
    let patient = repository(&registry.server, options(&Waits::default()));
    chunks(&patient, &bytes, MIB).await.unwrap();
    let sent: Vec<_> = registry
        .server
        .seen()
        .iter()
        .filter(|seen| seen.method == "PATCH")
        .map(|seen| seen.body.len())
        .collect();
    assert_eq!(sent, [20 * MIB, 20 * MIB, 10 * MIB]);
    let registry = FakeRegistry::start(Flaws { min_chunk: Some(1 << 30), ..Flaws::default() }).await;
    let greedy = repository(&registry.server, options(&Waits::default()));
    let error = chunks(&greedy, &bytes, MIB).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_stream_whose_upload_is_lost_is_an_error_of_its_own() {
    let bytes = content(MIB);
    for flaws in
        [Flaws { forgets: vec![0], ..Flaws::default() }, Flaws { forgets: vec![1], ..Flaws::default() }]
    {
        let registry = FakeRegistry::start(flaws).await;
        let repository = repository(&registry.server, options(&Waits::default()));
        let error = chunks(&repository, &bytes, MIB).await.unwrap_err();
        assert!(matches!(error.problem(), Problem::UploadLost), "{error}");
    }
}

#[tokio::test]
async fn a_mount_saves_the_bytes_and_every_refusal_leads_to_an_upload() {
    let bytes = content(100);
    let source = BytesSource(Bytes::from(bytes.clone()));
    let from = "team/base".parse().unwrap();
    for (status, expected) in [
        (201, Pushed::Mounted),
        (202, Pushed::Uploaded),
        (400, Pushed::Uploaded),
        (403, Pushed::Uploaded),
        (404, Pushed::Uploaded),
        (405, Pushed::Uploaded),
    ] {
        let registry = FakeRegistry::start(Flaws { mount_status: Some(status), ..Flaws::default() }).await;
        let repository = repository(&registry.server, options(&Waits::default()));
        let pushed = repository.push_blob(&digest(&bytes), 100, &source, Some(&from)).await.unwrap();
        assert_eq!(pushed, expected, "{status}");
        assert_eq!(registry.server.seen()[0].query("from"), ["team/base"]);
        assert_eq!(registry.blob(&digest(&bytes)).is_some(), expected == Pushed::Uploaded);
        // Without content at hand the upload is not left behind.
        let is_mounted = repository.mount_blob(&digest(&bytes), &from).await.unwrap();
        assert_eq!(is_mounted, status == 201);
        assert_eq!(registry.open_uploads(), 0);
    }
}

struct Failing;

impl BlobSource for Failing {
    fn open(&self, _offset: u64) -> futures::future::BoxFuture<'_, std::io::Result<ByteStream>> {
        let failed = futures::stream::iter([
            Ok(Bytes::from_static(b"12")),
            Err(std::io::Error::other("disk on fire")),
        ]);
        Box::pin(async { Ok(Box::pin(failed) as ByteStream) })
    }
}

#[tokio::test]
async fn a_source_that_fails_or_has_another_length_is_named_and_not_repeated() {
    let registry = FakeRegistry::start(Flaws::default()).await;
    let waits = Waits::default();
    let repository = repository(&registry.server, options(&waits));
    let short = BytesSource(Bytes::from_static(b"12"));
    let long = BytesSource(Bytes::from_static(b"123456"));
    let sources: [(&dyn BlobSource, &str); 3] =
        [(&Failing, "disk on fire"), (&short, "shorter"), (&long, "longer")];
    for (source, reason) in sources {
        let error = repository.push_blob(&digest(b"12345"), 5, source, None).await.unwrap_err();
        assert!(matches!(error.problem(), Problem::Source(_)), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert!(waits.all().is_empty());
    assert_eq!(registry.open_uploads(), 0);
}

#[tokio::test]
async fn a_part_of_a_file_and_a_blob_elsewhere_are_sources() {
    let bytes = content(2 * MIB);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let (start, end) = (1234, MIB + 99);
    let part = FileSource { path: file.path().to_owned(), start: start as u64, length: (end - start) as u64 };
    let wanted = digest(&bytes[start..end]);
    let flaws = Flaws { breaks: vec![(0, 1000)], ..Flaws::default() };
    let registry = FakeRegistry::start(flaws.clone()).await;
    let here = repository(&registry.server, options(&Waits::default()));
    here.push_blob(&wanted, part.length, &part, None).await.unwrap();
    assert_eq!(registry.blob(&wanted).unwrap(), bytes[start..end]);

    let there = FakeRegistry::start(flaws).await;
    let target = repository(&there.server, options(&Waits::default()));
    let source = RemoteSource { repository: here, digest: wanted.clone(), size_bytes: part.length };
    target.push_blob(&wanted, part.length, &source, None).await.unwrap();
    assert_eq!(there.blob(&wanted).unwrap(), bytes[start..end]);
}

#[tokio::test]
async fn a_registry_that_does_not_follow_the_protocol_is_named() {
    for (post, patch, reason) in [
        (Reply::new(202), Reply::new(202), "an upload without a `Location`"),
        (Reply::new(200), Reply::new(202), "status 200"),
        (
            Reply::new(202).header("Location", "/u"),
            Reply::new(202).header("Range", "0-99"),
            "acknowledges 100 bytes",
        ),
        (
            Reply::new(202).header("Location", "/u"),
            Reply::new(202).header("Range", "5-9"),
            "the range \"5-9\"",
        ),
        (
            Reply::new(202).header("Location", "http://169.254.169.254/u"),
            Reply::new(202),
            "its address is internal",
        ),
    ] {
        let server = Server::start(move |seen| match seen.method.as_str() {
            "POST" => post.clone(),
            "PATCH" => patch.clone(),
            _ => Reply::new(404),
        })
        .await;
        let repository = repository(&server, options(&Waits::default()));
        let error = chunks(&repository, b"12345", 5).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn an_upload_elsewhere_gets_no_password() {
    let store = Server::start(|_| Reply::new(201)).await;
    let elsewhere = format!("http://localhost:{}/up?signature=x", store.address.port());
    let server = Server::start(move |seen| match seen.header("authorization") {
        None => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
        Some(_) => Reply::new(202).header("Location", &elsewhere),
    })
    .await;
    let repository = repository(&server, crate::support::with_user(&Waits::default(), "alice"));
    let source = BytesSource(Bytes::from_static(b"12345"));
    repository.push_blob(&digest(b"12345"), 5, &source, None).await.unwrap();
    let [seen] = &store.seen()[..] else { panic!() };
    assert_eq!(seen.header("authorization"), None);
    assert!(seen.target.starts_with("/up?signature=x&digest=sha256%3A"), "{}", seen.target);
}

#[tokio::test]
async fn an_upload_that_stands_still_is_broken_off() {
    struct Silent;
    impl BlobSource for Silent {
        fn open(&self, _offset: u64) -> futures::future::BoxFuture<'_, std::io::Result<ByteStream>> {
            Box::pin(async { Ok(Box::pin(futures::stream::pending()) as ByteStream) })
        }
    }
    let registry = FakeRegistry::start(Flaws::default()).await;
    let waits = Waits::default();
    let mut options = impatient(&waits);
    options.retry.total = std::time::Duration::ZERO;
    let repository = repository(&registry.server, options);
    let error = repository.push_blob(&digest(b"12345"), 5, &Silent, None).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Timeout(_)), "{error}");
}

#[tokio::test]
async fn the_end_of_an_upload_may_take_longer_than_an_answer() {
    use std::time::Duration;
    let server = Server::start(|seen| match seen.method.as_str() {
        "POST" | "PATCH" => Reply::new(202).header("Location", "/u"),
        "PUT" => Reply::new(201).after(Duration::from_secs(1)),
        _ => Reply::new(404),
    })
    .await;
    let mut options = options(&Waits::default());
    options.timeouts.answer = Duration::from_millis(200);
    chunks(&repository(&server, options), b"12345", 5).await.unwrap();
    assert_eq!(server.seen().iter().filter(|seen| seen.method == "PUT").count(), 1);
}

#[tokio::test]
async fn a_registry_that_loses_each_upload_is_given_up() {
    let bytes = content(16 * MIB + 1);
    // In each round the whole blob is refused, the first chunk is accepted, and the second finds no upload.
    let rounds = 20;
    let flaws = Flaws {
        max_body: Some(16 * MIB),
        forgets: (0..rounds).map(|round| 3 * round + 2).collect(),
        ..Flaws::default()
    };
    let registry = FakeRegistry::start(flaws).await;
    let mut options = options(&Waits::default());
    options.retry.total = std::time::Duration::from_secs(2);
    let source = BytesSource(Bytes::from(bytes.clone()));
    let repository = repository(&registry.server, options);
    let error = repository.push_blob(&digest(&bytes), bytes.len() as u64, &source, None).await.unwrap_err();
    assert!(error.to_string().contains("the registry lost the upload"), "{error}");
    assert!(registry.count("POST") < rounds);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Whatever breaks, the blob arrives whole or the push fails; after few breaks it arrives.
    #[test]
    fn no_pattern_of_breaks_damages_a_blob(
        length in prop_oneof![0usize..5, 0usize..200_000],
        breaks in prop::collection::btree_map(0usize..12, 0usize..200_000, 0..6),
        lost_answers in prop::collection::btree_set(0usize..12, 0..4),
        forgets in prop::collection::btree_set(0usize..12, 0..2),
        forgets_partial in any::<bool>(),
        in_chunks in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bytes = content(length);
            let is_replayable = !in_chunks || forgets.is_empty();
            let registry = FakeRegistry::start(Flaws {
                breaks: breaks.into_iter().collect(),
                lost_answers: lost_answers.into_iter().collect(),
                forgets: forgets.into_iter().collect(),
                forgets_partial,
                ..Flaws::default()
            }).await;
            let result = if in_chunks {
                let repository = repository(&registry.server, options(&Waits::default()));
                chunks(&repository, &bytes, 70_000).await
            } else {
                push(&registry, &bytes).await.map(|_| ())
            };
            match result {
                Ok(()) => assert_eq!(registry.blob(&digest(&bytes)).unwrap(), bytes),
                Err(error) => assert!(!is_replayable && matches!(error.problem(), Problem::UploadLost), "{error}"),
            }
        });
    }
}
