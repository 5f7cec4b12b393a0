//! Mistakes in the configuration of a store: the start reports them soon, with the store's own words and the remedy.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails")]

#[path = "support/s3/mod.rs"]
#[allow(dead_code, reason = "each test has faults of its own")]
mod s3;

use bytes::Bytes;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sampan_driver::DriverConfig;
use sampan_driver_object_store::S3Config;

/// Longer than the five seconds in which the store must answer, since other tests use the processor too.
const SOON: Duration = Duration::from_secs(8);

/// A server that answers each connection with `answer` and closes it.
fn server(answer: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the process.
    std::thread::spawn(move || listener.incoming().flatten().for_each(&answer));
    address
}

/// A server that refuses each request as S3 does.
fn refusing(status: &'static str, code: &'static str, message: &'static str) -> SocketAddr {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    saying(status, body)
}

fn saying(status: &'static str, body: String) -> SocketAddr {
    server(move |mut stream| {
        let _ = stream.read(&mut [0; 8192]);
        let head =
            format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    })
}

/// Opens a store, expects a failure, and checks that the message contains all of `expected`.
async fn check(endpoint: &str, expected: &[&str]) {
    let section = format!(
        r#"{{"region": "us-east-1", "bucket": "registry", "accesskey": "a", "secretkey": "b", "forcepathstyle": true,
            "regionendpoint": "{endpoint}"}}"#
    );
    let config: S3Config = serde_json::from_str(&section).unwrap();
    let begin = Instant::now();
    let error = config.build().await.unwrap_err().to_string();
    assert!(begin.elapsed() < SOON, "{:?}: {error}", begin.elapsed());
    for expected in expected {
        assert!(error.contains(expected), "{expected:?} is not in: {error}");
    }
}

#[tokio::test]
async fn a_missing_bucket_is_reported() {
    let there = refusing("404 Not Found", "NoSuchBucket", "The specified bucket does not exist");
    check(&format!("http://{there}"), &["storage.s3", "create it", "NoSuchBucket"]).await;
}

#[tokio::test]
async fn refused_credentials_are_reported() {
    for (code, remedy) in [
        ("InvalidAccessKeyId", "does not know these credentials"),
        ("SignatureDoesNotMatch", "the secret does not belong"),
        ("AccessDenied", "list, read, write and delete"),
        ("RequestTimeTooSkewed", "set the clock"),
    ] {
        let there = refusing("403 Forbidden", code, "No.");
        check(&format!("http://{there}"), &[code, remedy]).await;
    }
}

#[tokio::test]
async fn a_wrong_region_is_reported() {
    let there = refusing("400 Bad Request", "AuthorizationHeaderMalformed", "expecting 'eu-west-1'");
    check(&format!("http://{there}"), &["correct `region`", "expecting 'eu-west-1'"]).await;
    let there = refusing("301 Moved Permanently", "PermanentRedirect", "must be addressed using eu-west-1");
    check(&format!("http://{there}"), &["correct `region`"]).await;
}

#[tokio::test]
async fn an_endpoint_without_a_listener_is_reported() {
    let there = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check(&format!("http://{there}"), &["cannot be reached", "check the endpoint"]).await;
}

#[tokio::test]
async fn a_silent_endpoint_fails_soon() {
    let there = server(std::mem::forget);
    check(&format!("http://{there}"), &["storage.s3", "check the endpoint"]).await;
}

#[tokio::test]
async fn an_endpoint_other_than_s3_is_reported() {
    let there = saying("200 OK", "<html><body>It works!</body></html>".to_owned());
    check(&format!("http://{there}"), &["no S3", "check the endpoint"]).await;
}

#[tokio::test]
async fn https_to_a_plaintext_server_is_reported() {
    let there = saying("400 Bad Request", String::new());
    check(&format!("https://{there}"), &["does not speak TLS", "http://"]).await;
}

#[tokio::test]
async fn http_to_a_tls_server_is_reported() {
    // The answer of a TLS server to a plaintext request: an alert.
    let there = server(|mut stream| {
        let _ = stream.read(&mut [0; 8192]);
        let _ = stream.write_all(&[21, 3, 1, 0, 2, 2, 70]);
    });
    check(&format!("http://{there}"), &["does not speak plain HTTP", "https://"]).await;
}

/// Only an answer that proves it shows which conditions a store honours; trouble at the start proves nothing.
mod conditional_writes {
    use std::sync::Arc;

    use futures::StreamExt;
    use sampan_driver::{DriverPath, PutMode, StorageDriver, WriteHint, WriteMode};

    use super::*;
    use crate::s3::{Conditions, Fault, S3, Sort};

    async fn open(store: &S3) -> Result<Arc<dyn StorageDriver>, String> {
        let config: S3Config = serde_json::from_str(&store.section("")).unwrap();
        config.build().await.map_err(|error| error.to_string())
    }

    /// Whether the driver sends conditions when it creates an object, and when it updates one.
    async fn conditions(driver: &Arc<dyn StorageDriver>, store: &S3) -> (bool, bool) {
        let staged: DriverPath = "/up/data".parse().unwrap();
        store.take_seen();
        driver.put_content(&"/lock".parse().unwrap(), "1".into(), PutMode::Create).await.unwrap();
        let begun = driver.writer(&staged, WriteMode::Create(WriteHint::default())).await.unwrap();
        begun.close(Bytes::new()).await.unwrap();
        let mut again = driver.writer(&staged, WriteMode::Append).await.unwrap();
        again.write("more".into()).await.unwrap();
        again.close(Bytes::new()).await.unwrap();
        let seen = store.take_seen();
        let sent = |sort| seen.iter().any(|(seen, _)| *seen == sort);
        (sent(Sort::Create), sent(Sort::Update))
    }

    #[tokio::test]
    async fn are_found_whatever_goes_wrong_for_a_moment() {
        let (busy, down) = (Fault::Answer(503, "SlowDown"), Fault::Answer(500, "InternalError"));
        let (mut cases, late) = (Vec::new(), Fault::CutBeforeAnswer);
        for (sort, fault, after, times) in [
            (Sort::List, busy, 0, 2),
            (Sort::Put, busy, 0, 3),
            (Sort::Put, late, 0, 1),
            (Sort::Create, busy, 0, 2),
            (Sort::Create, down, 0, 5),
            (Sort::Create, late, 0, 1),
            (Sort::Create, Fault::Answer(400, "RequestTimeout"), 0, 2),
            (Sort::Update, busy, 0, 2),
            (Sort::Update, busy, 1, 2),
            (Sort::Update, late, 0, 1),
            (Sort::Update, late, 1, 1),
            (Sort::Update, late, 1, 2),
            (Sort::Update, Fault::Answer(429, "TooManyRequests"), 1, 2),
        ] {
            cases.push((Conditions::Quoted, sort, fault, after, times));
            cases.push((Conditions::Unquoted, sort, fault, after, times));
        }
        // A condition that works with quotes needs no third request.
        cases.push((Conditions::Unquoted, Sort::Update, busy, 2, 2));
        cases.push((Conditions::Unquoted, Sort::Update, late, 2, 1));
        let checks = cases.into_iter().map(|(conditioned, sort, fault, after, times)| async move {
            let store = S3::start(conditioned);
            store.fail(sort, fault, after, times);
            let driver = open(&store).await.unwrap();
            let case = format!("{conditioned:?}, {fault:?} of {sort:?} after {after}, {times} times");
            assert!(store.has_failed(), "{case}: did not come to pass");
            assert_eq!(store.keys(), [""; 0], "{case}: something is left");
            assert_eq!(conditions(&driver, &store).await, (true, true), "{case}");
        });
        // A few at a time: creating a client takes a while, and the store must answer within seconds.
        futures::stream::iter(checks).buffer_unordered(4).collect::<Vec<()>>().await;
    }

    #[tokio::test]
    async fn are_given_up_only_for_a_store_that_ignores_or_lacks_them() {
        for conditioned in
            [Conditions::Ignored, Conditions::NotImplemented(501), Conditions::NotImplemented(400)]
        {
            let store = S3::start(conditioned);
            let driver = open(&store).await.unwrap();
            assert_eq!(conditions(&driver, &store).await, (false, false), "{conditioned:?}");
        }
    }

    #[tokio::test]
    async fn are_not_guessed_at_when_trouble_goes_on() {
        let cases = [
            (Sort::Create, Fault::Answer(503, "SlowDown")),
            (Sort::Update, Fault::Answer(500, "InternalError")),
            (Sort::Update, Fault::CutBeforeAnswer),
            (Sort::Create, Fault::Answer(400, "SomethingNew")),
            (Sort::Update, Fault::Silence),
        ];
        let ends = cases.map(|(sort, fault)| async move {
            let store = S3::start(Conditions::Quoted);
            store.fail(sort, fault, 0, usize::MAX);
            let error =
                open(&store).await.err().unwrap_or_else(|| panic!("{fault:?} of {sort:?}: it started"));
            assert!(error.contains("storage.s3") && error.contains("conditional writes"), "{error}");
        });
        futures::future::join_all(ends).await;
    }

    /// A refusal proves nothing about conditions: the driver starts, sends them, and finds out when the store is well.
    #[tokio::test]
    async fn are_found_later_when_the_start_was_refused() {
        for (status, code) in [(403, "QuotaExceeded"), (507, "XMinioStorageFull"), (403, "AccessDenied")] {
            for (sort, conditioned) in [
                (Sort::Put, Conditions::Quoted),
                (Sort::Create, Conditions::Unquoted),
                (Sort::Update, Conditions::Quoted),
            ] {
                let store = S3::start(conditioned);
                // The client repeats a request after a 507 once.
                store.fail(sort, Fault::Answer(status, code), 0, if status == 507 { 2 } else { 1 });
                let driver = open(&store).await.unwrap();
                assert!(store.has_failed(), "{code} of {sort:?}");
                assert_eq!(conditions(&driver, &store).await, (true, true), "{code} of {sort:?}");
            }
        }
    }

    #[tokio::test]
    async fn are_sent_while_the_store_refuses_to_show_them() {
        let store = S3::start(Conditions::Quoted);
        store.fail(Sort::Put, Fault::Answer(403, "AccessDenied"), 0, usize::MAX);
        let driver = open(&store).await.unwrap();
        assert_eq!(conditions(&driver, &store).await, (true, true));
        assert!(!store.has_failed());
    }

    #[tokio::test]
    async fn end_the_start_when_the_credentials_expire() {
        let store = S3::start(Conditions::Quoted);
        store.fail(Sort::Put, Fault::Answer(403, "ExpiredToken"), 0, usize::MAX);
        let error = open(&store).await.unwrap_err();
        assert!(error.contains("have expired"), "{error}");
    }
}

/// The commands that only read, and a read-only registry.
#[tokio::test]
async fn a_process_that_only_reads_writes_nothing() {
    use s3::{Conditions, S3, Sort};
    let store = S3::start(Conditions::Quoted);
    let config: S3Config = serde_json::from_str(&store.section("")).unwrap();
    config.build_read_only().await.unwrap();
    assert_eq!(store.take_seen(), [(Sort::List, String::new())]);
}

#[tokio::test]
async fn what_interrupted_probes_left_is_removed() {
    use s3::{Conditions, S3};
    let store = S3::start(Conditions::Quoted);
    let (now, hour) = (time::OffsetDateTime::now_utc(), time::Duration::hours(1));
    store.put("root/!probe-1", now - 2 * hour);
    store.put("root/!probe-2", now);
    store.put("root/!other", now - 2 * hour);
    store.put("!probe-3", now - 2 * hour);
    let config: S3Config = serde_json::from_str(&store.section(r#", "rootdirectory": "/root""#)).unwrap();
    config.build().await.unwrap();
    assert_eq!(store.keys(), ["!probe-3", "root/!other", "root/!probe-2"]);
}
