//! Certificates, and what happens without.

use std::path::PathBuf;

use sampan_client::{ClientOptions, PlainHttp, Problem, RegistryClient, TlsOptions, Verification};
use tempfile::TempDir;

use crate::server::{Authority, Reply, Server};
use crate::support::{Waits, options};

struct Files(TempDir);

impl Files {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

fn files() -> Files {
    Files(TempDir::new().unwrap())
}

async fn secure(authority: &Authority, clients: Option<&Authority>) -> Server {
    Server::start_with(Some(authority.acceptor("localhost", clients)), |_| None, |_| Reply::new(200)).await
}

/// Pings `localhost` at the server's port, with the scheme before it if there is one.
async fn ping(
    scheme: &str,
    server: &Server,
    options: ClientOptions,
) -> Result<(), sampan_client::ClientError> {
    let address = format!("{scheme}localhost:{}", server.address.port()).parse().unwrap();
    RegistryClient::new(address, options).unwrap().ping().await
}

fn with_tls(tls: TlsOptions) -> ClientOptions {
    ClientOptions { tls, ..options(&Waits::default()) }
}

#[tokio::test]
async fn a_certificate_is_trusted_by_its_authority_alone() {
    let (authority, files, waits) = (Authority::new(), files(), Waits::default());
    let server = secure(&authority, None).await;
    let error = ping("https://", &server, options(&waits)).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Certificate(_)), "{error}");
    assert!(waits.all().is_empty(), "a certificate does not become better");
    let tls =
        TlsOptions { authorities: Some(files.write("ca.pem", &authority.pem())), ..TlsOptions::default() };
    ping("https://", &server, with_tls(tls.clone())).await.unwrap();
    let tls = TlsOptions { authorities: Some(files.write("ca.pem", &Authority::new().pem())), ..tls };
    let error = ping("https://", &server, with_tls(tls)).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Certificate(_)), "{error}");
    let tls = TlsOptions { verification: Verification::None, ..TlsOptions::default() };
    ping("https://", &server, with_tls(tls)).await.unwrap();
}

#[tokio::test]
async fn http_follows_https_on_this_machine_or_when_asked_for() {
    let server = Server::start(|_| Reply::new(200)).await;
    ping("", &server, options(&Waits::default())).await.unwrap();
    // The first request finds the scheme.
    assert_eq!(server.requests(), ["GET /v2/", "GET /v2/"]);
    let error = ping("https://", &server, options(&Waits::default())).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Connect(reason) if reason.contains("http://")), "{error}");
    let fallback = ClientOptions { plain_http: PlainHttp::Fallback, ..options(&Waits::default()) };
    ping("", &server, fallback.clone()).await.unwrap();
    let error = ping("https://", &server, fallback).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Connect(_)), "{error}");
}

#[tokio::test]
async fn a_bad_certificate_is_no_reason_for_http() {
    let server = secure(&Authority::new(), None).await;
    let fallback = ClientOptions { plain_http: PlainHttp::Fallback, ..options(&Waits::default()) };
    let error = ping("", &server, fallback).await.unwrap_err();
    assert!(matches!(error.problem(), Problem::Certificate(_)), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_registry_gets_the_client_certificate_that_it_wants() {
    let (authority, clients, files, waits) = (Authority::new(), Authority::new(), files(), Waits::default());
    let server = secure(&authority, Some(&clients)).await;
    let trusting =
        TlsOptions { authorities: Some(files.write("ca.pem", &authority.pem())), ..TlsOptions::default() };
    let error = ping("https://", &server, ClientOptions { tls: trusting.clone(), ..options(&waits) })
        .await
        .unwrap_err();
    assert!(matches!(error.problem(), Problem::ClientCertificate(_)), "{error}");
    assert!(waits.all().is_empty());
    let (certificate, key) = clients.issue("client");
    let apart = TlsOptions {
        client_certificate: Some(files.write("client.pem", &certificate)),
        client_key: Some(files.write("client.key", &key)),
        ..trusting.clone()
    };
    ping("https://", &server, with_tls(apart)).await.unwrap();
    let both = files.write("both.pem", &format!("{certificate}{key}"));
    ping("https://", &server, with_tls(TlsOptions { client_certificate: Some(both), ..trusting }))
        .await
        .unwrap();
}

#[test]
fn unusable_files_are_named() {
    let files = files();
    let rubbish = files.write("rubbish.pem", "rubbish");
    let missing = PathBuf::from("/does/not/exist.pem");
    for (tls, name) in [
        (TlsOptions { authorities: Some(rubbish.clone()), ..TlsOptions::default() }, "rubbish.pem"),
        (TlsOptions { authorities: Some(missing.clone()), ..TlsOptions::default() }, "exist.pem"),
        (TlsOptions { client_certificate: Some(rubbish), ..TlsOptions::default() }, "rubbish.pem"),
        (TlsOptions { client_certificate: Some(missing), ..TlsOptions::default() }, "exist.pem"),
    ] {
        let error = RegistryClient::new("host".parse().unwrap(), with_tls(tls)).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn an_upload_stays_with_https_where_the_registry_calls_itself_http() {
    let (authority, files) = (Authority::new(), files());
    let acceptor = authority.acceptor("localhost", None);
    let server = Server::start_with(
        Some(acceptor),
        |_| None,
        |seen| match seen.method.as_str() {
            "POST" => {
                Reply::new(202).header("Location", format!("http://{}/up", seen.header("host").unwrap()))
            }
            _ => Reply::new(201),
        },
    )
    .await;
    let tls =
        TlsOptions { authorities: Some(files.write("ca.pem", &authority.pem())), ..TlsOptions::default() };
    let address = format!("https://localhost:{}", server.address.port()).parse().unwrap();
    let registry = RegistryClient::new(address, with_tls(tls)).unwrap();
    let repository = registry.repository("a".parse().unwrap());
    let source = sampan_client::BytesSource(bytes::Bytes::from_static(b"x"));
    repository.push_blob(&crate::support::digest(b"x"), 1, &source, None).await.unwrap();
    assert_eq!(server.requests(), ["POST /v2/a/blobs/uploads/", "PUT /up"]);
}

#[tokio::test]
async fn an_upload_does_not_leave_tls() {
    let (authority, files, open) = (Authority::new(), files(), Server::start(|_| Reply::new(201)).await);
    let elsewhere = format!("{}/up", open.url());
    let acceptor = authority.acceptor("localhost", None);
    let server =
        Server::start_with(Some(acceptor), |_| None, move |_| Reply::new(202).header("Location", &elsewhere))
            .await;
    let tls =
        TlsOptions { authorities: Some(files.write("ca.pem", &authority.pem())), ..TlsOptions::default() };
    let address = format!("https://localhost:{}", server.address.port()).parse().unwrap();
    let repository = RegistryClient::new(address, with_tls(tls)).unwrap().repository("a".parse().unwrap());
    let source = sampan_client::BytesSource(bytes::Bytes::from_static(b"x"));
    let error = repository.push_blob(&crate::support::digest(b"x"), 1, &source, None).await.unwrap_err();
    assert!(error.to_string().contains("from https to http"), "{error}");
    assert!(open.seen().is_empty());
}
