//! The client of the API against the built binary, on a good line and on a bad one.

use rand::SeedableRng;
use rand::rngs::StdRng;
use sampan_client::{ClientOptions, Credentials, Secret, TlsOptions};

use crate::clients::support::{ApiClient, Fixture, FlakyProxy, TokenServer, filesystem_config, registry};

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(test)
}

fn alice(password: &str) -> Credentials {
    Credentials::password("alice", Secret::new(password))
}

#[test]
fn everything_works_over_tls_with_a_password() {
    let site = Fixture::new("localhost");
    site.set_password("alice", "wonderland");
    let server = site.serve(&format!("addr: '127.0.0.1:0', tls: {{{}}}", site.tls()), &site.auth());
    let tls = TlsOptions { authorities: Some(site.path("certs/ca.crt")), ..TlsOptions::default() };
    let options = ClientOptions { tls, credentials: alice("wonderland"), ..ClientOptions::default() };
    // Without a scheme the client finds https by itself.
    let address = format!("localhost:{}", server.address.port());
    run(ApiClient::new(&address, options.clone()).round_trip());
    let wrong = ApiClient::new(&address, ClientOptions { credentials: alice("looking-glass"), ..options });
    run(async {
        let error = wrong.0.ping().await.unwrap_err().to_string();
        assert!(
            error.contains("refuses the credentials of alice") && !error.contains("looking-glass"),
            "{error}"
        );
    });
}

#[test]
fn everything_works_with_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = TokenServer::start();
    let config = filesystem_config(&directory.path().join("data")) + &tokens.auth_section(&tokens.jwks_url());
    let server = registry(directory.path(), &config);
    let credentials = Credentials::password("anne", Secret::new("secret"));
    let client = ApiClient::new(&server.host(), ClientOptions { credentials, ..ClientOptions::default() });
    run(async {
        let app = client.0.repository("team/app".parse().unwrap());
        assert!(app.tags().await.unwrap().is_none());
        let content = bytes::Bytes::from_static(b"content");
        let digest = sampan_engine::oci::Digest::sha256_of(&content);
        app.push_blob(&digest, 7, &sampan_client::BytesSource(content), None).await.unwrap();
        // The mount needs both repositories in one token.
        let other = client.0.repository("team/other".parse().unwrap());
        assert!(other.mount_blob(&digest, app.name()).await.unwrap());
        assert!(client.0.repositories().await.unwrap().is_some());
        let forbidden = client.0.repository("elsewhere".parse().unwrap()).tags().await.unwrap_err();
        assert_eq!(forbidden.status(), Some(401), "{forbidden}");
    });
}

#[test]
fn a_storm_between_client_and_registry_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let line = FlakyProxy::to(&format!("http://{}", server.address));
    line.storm(StdRng::seed_from_u64(7), 150);
    // A deletion whose answer is lost was done all the same, so the tour ends before its deletions.
    run(ApiClient::new(&format!("http://{}", line.address), ClientOptions::default()).push_and_read());
    assert!(!line.take_seen().is_empty());
}
