//! Which failures are repeated, how often, and when.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sampan_client::{ClientOptions, Problem, RegistryClient, RetryPolicy};

use crate::server::{Reply, Server};
use crate::support::{Waits, impatient, options, repository};

/// A server that gives these answers in turn, and the last for ever.
async fn answering(replies: Vec<Reply>) -> Server {
    let count = AtomicU32::new(0);
    Server::start(move |_| {
        let index = count.fetch_add(1, Ordering::Relaxed) as usize;
        replies[index.min(replies.len() - 1)].clone()
    })
    .await
}

fn tags() -> Reply {
    Reply::new(200).json(r#"{"tags":["a"]}"#)
}

#[tokio::test]
async fn failures_of_the_moment_are_repeated() {
    let statuses = [408, 425, 429, 500, 502, 503, 504, 522];
    let mut replies: Vec<_> = statuses.into_iter().map(Reply::new).collect();
    replies.extend([Reply::broken(), tags().cut_after(3), tags()]);
    let (server, waits) = (answering(replies.clone()).await, Waits::default());
    assert_eq!(repository(&server, options(&waits)).tags().await.unwrap().unwrap().len(), 1);
    assert_eq!(server.seen().len(), replies.len());
    assert_eq!(waits.all().len(), replies.len() - 1);
    assert!(waits.all()[8] > waits.all()[0] * 4, "{:?}", waits.all());
}

#[tokio::test]
async fn other_failures_are_final() {
    for status in [400, 403, 405, 409, 501] {
        let (server, waits) = (answering(vec![Reply::new(status), tags()]).await, Waits::default());
        let error = repository(&server, options(&waits)).tags().await.unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert!(waits.all().is_empty());
    }
}

#[tokio::test]
async fn a_registry_that_stays_away_is_given_up_after_ten_minutes() {
    let (server, waits) = (answering(vec![Reply::new(503)]).await, Waits::default());
    let error = repository(&server, options(&waits)).tags().await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    assert!(waits.total() > Duration::from_secs(500) && waits.total() <= Duration::from_secs(600));
    assert!(waits.all().iter().all(|wait| *wait <= Duration::from_secs(30)));
}

#[tokio::test]
async fn retry_after_is_obeyed_within_the_time_that_is_left() {
    let busy = Reply::new(429).header("Retry-After", 200);
    let (server, waits) = (answering(vec![busy.clone(), busy, tags()]).await, Waits::default());
    repository(&server, options(&waits)).tags().await.unwrap();
    assert_eq!(waits.all(), [Duration::from_secs(200); 2]);

    let (server, waits) =
        (answering(vec![Reply::new(429).header("Retry-After", 601)]).await, Waits::default());
    let error = repository(&server, options(&waits)).tags().await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(601)));
    assert!(waits.all().is_empty());
    assert!(error.to_string().contains("601 s"), "{error}");
}

#[tokio::test]
async fn without_a_policy_nothing_is_repeated() {
    let (server, waits) = (answering(vec![Reply::broken(), tags()]).await, Waits::default());
    let options = ClientOptions { retry: RetryPolicy::NONE, ..options(&waits) };
    let error = repository(&server, options).tags().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Broken(_)), "{error}");
}

#[tokio::test]
async fn a_host_that_never_answered_is_given_up_early() {
    let server = answering(vec![tags()]).await;
    let url = server.url();
    drop(server);
    let waits = Waits::default();
    let registry = RegistryClient::new(url.parse().unwrap(), options(&waits)).unwrap();
    let error = registry.ping().await.unwrap_err();
    // Another test may have taken the port; then it is the connection that breaks.
    assert!(
        matches!(error.problem(), Problem::Connect(_) | Problem::Broken(_) | Problem::NotFound(_)),
        "{error}"
    );
    if matches!(error.problem(), Problem::Connect(_)) {
        assert!(!waits.all().is_empty() && waits.total() <= Duration::from_secs(5), "{:?}", waits.all());
    }
}

#[tokio::test]
async fn silence_is_a_failure() {
    let headers_only = tags().stalling_after(0);
    let (server, waits) = (answering(vec![headers_only, tags()]).await, Waits::default());
    repository(&server, impatient(&waits)).tags().await.unwrap();
    assert_eq!(waits.all().len(), 1);
}

#[tokio::test]
async fn a_server_that_sends_byte_by_byte_is_given_up() {
    let pause = Duration::from_millis(1);
    let slow = move |status| Reply::new(status).body(vec![b' '; 5000]).byte_by_byte(pause);
    let server = Server::start(move |seen| slow(if seen.path().contains("blobs") { 403 } else { 200 })).await;
    let mut options = ClientOptions { retry: RetryPolicy::NONE, ..options(&Waits::default()) };
    options.timeouts.per_mebibyte = Duration::from_millis(200);
    let repository = repository(&server, options.clone());
    let error = repository.tags().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::TooSlow(_)), "{error}");
    let digest = crate::support::digest(&[b' '; 5000]);
    let error = repository.manifest(&digest.clone().into()).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::TooSlow(_)), "{error}");
    // The words of an error are left out; the status is what counts.
    let error = repository.blob(&digest, None).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Denied(_)), "{error}");
    let server = Server::start(move |_| slow(200)).await;
    let repository = crate::support::repository(&server, options);
    let mut blob = repository.blob(&digest, None).await.unwrap().unwrap();
    let error = loop {
        match blob.next().await {
            Ok(bytes) => assert!(bytes.is_some(), "the whole blob arrived"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error.problem(), Problem::TooSlow(_)), "{error}");
}

#[tokio::test]
async fn a_deletion_that_was_repeated_finds_nothing_and_is_done() {
    let (server, waits) = (answering(vec![Reply::broken(), Reply::new(404)]).await, Waits::default());
    let reference = "latest".parse().unwrap();
    assert!(!repository(&server, options(&waits)).delete_manifest(&reference).await.unwrap());
    let (server, waits) = (answering(vec![Reply::new(202)]).await, Waits::default());
    assert!(repository(&server, options(&waits)).delete_manifest(&reference).await.unwrap());
}
