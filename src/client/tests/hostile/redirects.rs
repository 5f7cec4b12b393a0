//! Redirects: where they lead, and what goes along.

use sampan_client::Problem;

use crate::server::{Reply, Server};
use crate::support::{Waits, content, digest, options, repository, with_user};

/// A registry with Basic that redirects blobs to `target`, and a client with a password.
async fn redirecting(target: impl Into<String>) -> Server {
    let target = target.into();
    Server::start(move |seen| match seen.header("authorization") {
        Some(_) => Reply::new(307).header("Location", &target),
        None => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
    })
    .await
}

#[tokio::test]
async fn credentials_stay_behind_when_a_redirect_leaves_the_origin() {
    let bytes = content(1000);
    let body = bytes.clone();
    let store = Server::start(move |_| Reply::new(200).body(body.clone())).await;
    // A user in the URL would become a login.
    let target = format!("http://user:pw@localhost:{}/bucket/blob?signature=x", store.address.port());
    let server = redirecting(target).await;
    let repository = repository(&server, with_user(&Waits::default(), "alice"));
    let mut blob = repository.blob(&digest(&bytes), Some(1000)).await.unwrap().unwrap();
    while blob.next().await.unwrap().is_some() {}
    let [seen] = &store.seen()[..] else { panic!() };
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.target, "/bucket/blob?signature=x");
}

#[tokio::test]
async fn credentials_go_along_within_the_origin() {
    let bytes = content(10);
    let body = bytes.clone();
    let server = Server::start(move |seen| match (seen.path(), seen.header("authorization")) {
        (_, None) => Reply::new(401).header("WWW-Authenticate", "Basic realm=x"),
        ("/elsewhere", Some(_)) => Reply::new(200).body(body.clone()),
        _ => Reply::new(302).header("Location", "/elsewhere"),
    })
    .await;
    let repository = repository(&server, with_user(&Waits::default(), "alice"));
    let mut blob = repository.blob(&digest(&bytes), None).await.unwrap().unwrap();
    assert_eq!(blob.next().await.unwrap().unwrap(), bytes);
}

#[tokio::test]
async fn a_refusal_by_another_server_gets_no_password() {
    let store = Server::start(|_| Reply::new(401).header("WWW-Authenticate", "Basic realm=gimme")).await;
    let server = redirecting(format!("http://localhost:{}/", store.address.port())).await;
    let repository = repository(&server, with_user(&Waits::default(), "alice"));
    let error = repository.blob(&digest(b""), None).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Status { status: 401, .. }), "{error}");
    assert!(store.seen().iter().all(|seen| seen.header("authorization").is_none()));
}

/// Fails if a store that refuses a signed URL counts as a registry that refuses the account, or the anonymous client.
#[tokio::test]
async fn a_store_that_refuses_a_url_says_nothing_of_the_account() {
    let store = Server::start(|_| Reply::new(403)).await;
    let target = format!("http://localhost:{}/", store.address.port());
    let open = Server::start(move |_| Reply::new(307).header("Location", &target)).await;
    for options in [options(&Waits::default()), with_user(&Waits::default(), "alice")] {
        let repository = repository(&open, options);
        for error in [
            repository.blob(&digest(b""), None).await.map(|_| ()).unwrap_err(),
            repository.blob_info(&digest(b"")).await.map(|_| ()).unwrap_err(),
            repository.manifest(&"latest".parse().unwrap()).await.map(|_| ()).unwrap_err(),
        ] {
            assert!(matches!(error.problem(), Problem::Status { status: 403, .. }), "{error}");
            assert!(!error.is_refused_without_account());
        }
    }
}

#[tokio::test]
async fn redirects_have_a_limit() {
    let server = Server::start(|seen| Reply::new(302).header("Location", format!("{}x", seen.target))).await;
    let repository = repository(&server, options(&Waits::default()));
    let error = repository.blob(&digest(b""), None).await.unwrap_err();
    assert!(error.to_string().contains("number of redirects exceeds the limit of 5"), "{error}");
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn strange_targets_are_refused() {
    for (target, reason) in [
        ("http://169.254.169.254/latest/meta-data?secret=x", "its address is internal"),
        ("http://[fd00:ec2::254]/", "its address is internal"),
        ("http://0.0.0.0/", "its address is internal"),
        ("file:///etc/passwd", "neither http nor https"),
        ("http://[", "no URL"),
    ] {
        let server = redirecting(target).await;
        let repository = repository(&server, with_user(&Waits::default(), "alice"));
        let error = repository.blob(&digest(b""), None).await.unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains("secret"), "{target}: {error}");
    }
    let server = Server::start(|_| Reply::new(302)).await;
    let error = repository(&server, options(&Waits::default())).blob(&digest(b""), None).await.unwrap_err();
    assert!(error.to_string().contains("without a `Location`"), "{error}");
}

#[tokio::test]
async fn a_header_that_is_too_long_is_not_followed() {
    let server =
        Server::start(|_| Reply::new(302).header("Location", format!("/{}", "x".repeat(20_000)))).await;
    let error = repository(&server, options(&Waits::default())).blob(&digest(b""), None).await.unwrap_err();
    assert!(error.to_string().contains("without a `Location`"), "{error}");
}

#[tokio::test]
async fn endless_headers_break_the_exchange() {
    let server = Server::start(|_| {
        (0..10_000).fold(Reply::new(200), |reply, n| reply.header(&format!("X-{n}"), "y".repeat(100)))
    })
    .await;
    let error = repository(&server, options(&Waits::default())).tags().await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Broken(_)), "{error}");
}

#[tokio::test]
async fn a_write_follows_only_redirects_that_keep_its_method() {
    let server = Server::start(|seen| match (seen.method.as_str(), seen.path()) {
        ("PUT", "/v2/team/app/manifests/a") => Reply::new(307).header("Location", "/v2/moved"),
        ("PUT", "/v2/moved") => Reply::new(201),
        ("PUT", _) => Reply::new(301).header("Location", "/v2/moved"),
        _ => Reply::new(404),
    })
    .await;
    let repository = repository(&server, options(&Waits::default()));
    let put = async |tag: &str| {
        let reference = tag.parse().unwrap();
        repository.put_manifest(&reference, "application/vnd.oci.image.index.v1+json", "{}".into()).await
    };
    put("a").await.unwrap();
    assert_eq!(server.seen().last().unwrap().body, b"{}");
    let error = put("b").await.unwrap_err();
    assert!(error.to_string().contains("does not follow redirects"), "{error}");
}
