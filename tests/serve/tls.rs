//! Servers with TLS: negotiation, client certificates, and replaced certificates.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use sampan::atomic_write::Existing;
use sampan::config::{ClientAuth, Config, Environment, Http2Config, Source, TlsConfig, TlsVersion};
use sampan::serve::certificate::{CertificateRequest, create};
use sampan::serve::tls::TlsReloader;
use sampan::serve::{Security, ServeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::support::{Running, exchange, get_kept, read_to_end};

/// A folder with an authority and a certificate for `localhost`.
pub(super) struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        site.certify(site.dir.path());
        site
    }

    /// Creates another certificate, by a new authority if the folder has none yet.
    fn certify(&self, folder: &Path) {
        let names = vec!["localhost".to_owned()];
        let folder = folder.to_owned();
        create(&CertificateRequest { names, folder, days: 30, existing: Existing::Replace }).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The section of the certificate.
    fn section(&self) -> TlsConfig {
        let (certificate, key) = (self.path("domain.crt"), self.path("domain.key"));
        let tls = format!("{{ certificate: '{}', key: '{}' }}", certificate.display(), key.display());
        let text = format!("version: 0.1\nstorage: inmemory\nhttp: {{ tls: {tls} }}\n");
        let source = Source::Text { name: "config.yml".to_owned(), text };
        Config::load(source, &Environment::default()).unwrap().config.http.tls.unwrap()
    }

    pub(super) async fn load(&self) -> Arc<TlsReloader> {
        TlsReloader::load(self.section(), Http2Config { disabled: false }).await.unwrap()
    }

    async fn serve(&self, section: TlsConfig) -> (Running, Arc<TlsReloader>) {
        self.serve_with(section, Http2Config { disabled: false }).await
    }

    async fn serve_with(&self, section: TlsConfig, http2: Http2Config) -> (Running, Arc<TlsReloader>) {
        let reloader = TlsReloader::load(section, http2).await.unwrap();
        let security = Security::Tls(Arc::clone(&reloader));
        (Running::start_with(ServeOptions::default(), security).await, reloader)
    }

    pub(super) fn client(&self) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.crt")).unwrap()).unwrap();
        Client { roots, identity: None, protocols: Vec::new(), versions: rustls::ALL_VERSIONS }
    }
}

pub(super) struct Client {
    roots: RootCertStore,
    identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    pub(super) protocols: Vec<Vec<u8>>,
    versions: &'static [&'static rustls::SupportedProtocolVersion],
}

impl Client {
    pub(super) async fn connect(&self, server: &Running) -> io::Result<TlsStream<TcpStream>> {
        connect_with(self.config(), server).await
    }

    /// The configuration, which holds the sessions to resume.
    fn config(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions)
            .unwrap()
            .with_root_certificates(self.roots.clone());
        let mut config = match &self.identity {
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate.clone()], key.clone_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols.clone_from(&self.protocols);
        Arc::new(config)
    }
}

async fn connect_with(config: Arc<ClientConfig>, server: &Running) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config).connect(name, server.connect().await).await
}

static TLS12: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];
static TLS13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone()
}

fn on_disk(site: &Fixture) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(site.path("domain.crt")).unwrap()
}

#[tokio::test]
async fn a_made_certificate_is_trusted_through_its_authority() {
    let site = Fixture::new();
    let (server, reloader) = site.serve(site.section()).await;
    let mut client = site.client().connect(&server).await.unwrap();
    let peer = get_kept(&mut client, "/peer").await;
    assert!(peer.ends_with("scheme: Https, client_certificate: None }"), "{peer}");
    let days = (reloader.expires_at() - time::OffsetDateTime::now_utc()).whole_days();
    assert!((29..=30).contains(&days), "{days}");
}

#[tokio::test]
async fn http2_is_negotiated_unless_disabled() {
    let site = Fixture::new();
    let client = Client { protocols: vec![b"h2".to_vec(), b"http/1.1".to_vec()], ..site.client() };
    for (disabled, expected) in [(false, &b"h2"[..]), (true, b"http/1.1")] {
        let (server, _) = site.serve_with(site.section(), Http2Config { disabled }).await;
        let stream = client.connect(&server).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(expected));
    }
}

#[tokio::test]
async fn http2_over_tls_answers() {
    use http_body_util::{BodyExt, Empty};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let site = Fixture::new();
    let (server, _) = site.serve(site.section()).await;
    let client = Client { protocols: vec![b"h2".to_vec()], ..site.client() };
    let io = TokioIo::new(client.connect(&server).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request =
        hyper::Request::get("https://localhost/peer").body(Empty::<hyper::body::Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.version(), hyper::Version::HTTP_2);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"scheme: Https, client_certificate: None }"), "{body:?}");
}

#[tokio::test]
async fn tls13_alone_refuses_tls12() {
    let site = Fixture::new();
    let settings = TlsConfig { minimumtls: TlsVersion::Tls13, ..site.section() };
    let (server, _) = site.serve(settings).await;
    let tls12 = Client { versions: TLS12, ..site.client() };
    tls12.connect(&server).await.unwrap_err();
    site.client().connect(&server).await.unwrap();
    let (server, _) = site.serve(site.section()).await;
    tls12.connect(&server).await.unwrap();
}

#[tokio::test]
async fn tls11_is_refused_with_a_fatal_alert() {
    let site = Fixture::new();
    let (server, _) = site.serve(site.section()).await;
    // The hello of a client for TLS 1.1: version 3.2, one suite, no compression, no extensions.
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    hello.extend([0x00, 0x00, 0x02, 0xc0, 0x14, 0x01, 0x00]);
    let mut handshake = vec![0x01, 0x00, 0x00, hello.len() as u8];
    handshake.extend(hello);
    let mut record = vec![0x16, 0x03, 0x01, 0x00, handshake.len() as u8];
    record.extend(handshake);
    let mut client = server.connect().await;
    client.write_all(&record).await.unwrap();
    let mut alert = [0; 7];
    client.read_exact(&mut alert).await.unwrap();
    // protocol_version, or handshake_failure if the library checks the missing extensions first.
    assert!(alert[0] == 0x15 && alert[5] == 2 && matches!(alert[6], 40 | 70), "no refusal: {alert:?}");
}

#[tokio::test]
async fn plain_http_is_answered_with_a_hint_at_tls() {
    let site = Fixture::new();
    let (server, _) = site.serve(site.section()).await;
    let response = exchange(&mut server.connect().await, b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.0 400 Bad Request\r\n"), "{response}");
    assert!(response.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_handshake_is_cut() {
    let site = Fixture::new();
    let (server, _) = site.serve(site.section()).await;
    let begun = tokio::time::Instant::now();
    for beginning in [&b""[..], b"\x16", b"\x16\x03\x01\x00\x50\x01"] {
        assert_eq!(exchange(&mut server.connect().await, beginning).await, "");
    }
    assert_eq!(begun.elapsed().as_secs(), 30, "ten seconds each");
    assert_eq!(server.statistics.failed_handshakes(), 3);
}

#[tokio::test]
async fn an_open_connection_survives_a_reload_and_new_ones_get_the_new_certificate() {
    let site = Fixture::new();
    let (server, reloader) = site.serve(site.section()).await;
    let client = site.client();
    let mut old = client.connect(&server).await.unwrap();
    let first = shown(&old);
    assert_eq!(first, on_disk(&site));

    site.certify(site.dir.path());
    reloader.reload().await.unwrap();
    let new = client.connect(&server).await.unwrap();
    assert_eq!(shown(&new), on_disk(&site));
    assert_ne!(shown(&new), first);
    assert_eq!(get_kept(&mut old, "/").await, "hello");

    fs::write(site.path("domain.key"), "nonsense").unwrap();
    let error = reloader.reload().await.unwrap_err().to_string();
    assert!(error.contains("http.tls.key") && error.contains("domain.key"), "{error}");
    assert_eq!(shown(&client.connect(&server).await.unwrap()), shown(&new), "the last good one stays");
}

#[tokio::test(start_paused = true)]
async fn a_symlink_swap_is_noticed_without_a_signal() {
    let site = Fixture::new();
    // As in a secret that Kubernetes mounts: files are links through `..data`, which is a link to a folder.
    for folder in ["v1", "v2"] {
        fs::create_dir(site.path(folder)).unwrap();
        for file in ["ca.crt", "ca.key"] {
            fs::copy(site.path(file), site.path(folder).join(file)).unwrap();
        }
        site.certify(&site.path(folder));
    }
    symlink("v1", site.path("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        let target = file.replace("tls", "..data/domain");
        symlink(target, site.path(file)).unwrap();
    }
    let (certificate, key) = (site.path("tls.crt"), site.path("tls.key"));
    let (server, _) = site.serve(TlsConfig { certificate, key, ..site.section() }).await;
    let client = site.client();
    let read = |folder: &str| CertificateDer::from_pem_file(site.path(folder).join("domain.crt")).unwrap();
    assert_eq!(shown(&client.connect(&server).await.unwrap()), read("v1"));

    symlink("v2", site.path("..new")).unwrap();
    fs::rename(site.path("..new"), site.path("..data")).unwrap();
    let noticed = async {
        while shown(&client.connect(&server).await.unwrap()) != read("v2") {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), noticed).await.expect("it is never noticed");
}

/// A client certificate, signed by `issuer`.
fn identity(issuer: &Issuer<'_, KeyPair>) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "client");
    let certificate = params.signed_by(&key, issuer).unwrap();
    (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    authority_with(CertificateParams::new(Vec::new()).unwrap(), name)
}

fn authority_with(mut params: CertificateParams, name: &str) -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    (pem, Issuer::new(params, key))
}

/// What the server sees of the client; nothing if it does not accept it.
async fn peer_shown_to(client: &Client, server: &Running) -> String {
    // In TLS 1.3 a client learns only from the first answer whether the server accepts it.
    let Ok(mut stream) = client.connect(server).await else { return String::new() };
    let _ = stream.write_all(b"GET /peer HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
    read_to_end(&mut stream).await
}

#[tokio::test]
async fn each_mode_of_client_authentication_accepts_the_right_clients() {
    let site = Fixture::new();
    let (trusted, trusted_issuer) = authority("trusted");
    let (_, other_issuer) = authority("other");
    fs::write(site.path("clients.crt"), trusted).unwrap();
    let check = async |mode: ClientAuth, none: bool, stranger: bool, friend: bool| {
        let clientcas = vec![site.path("clients.crt")];
        let (server, _) = site.serve(TlsConfig { clientcas, clientauth: mode, ..site.section() }).await;
        let cases = [
            ("none", None, none),
            ("stranger", Some(identity(&other_issuer)), stranger),
            ("friend", Some(identity(&trusted_issuer)), friend),
        ];
        for (who, identity, expected) in cases {
            let is_verified =
                matches!(mode, ClientAuth::VerifyClientCertIfGiven | ClientAuth::RequireAndVerifyClientCert);
            let shows = match identity {
                Some(_) => format!("Some(ClientCertificate {{ is_verified: {is_verified}, .. }})"),
                None => "None".to_owned(),
            };
            let client = Client { identity, ..site.client() };
            let answer = peer_shown_to(&client, &server).await;
            let is_in = answer.contains(&format!("client_certificate: {shows}"));
            assert_eq!(is_in, expected, "{mode:?}, {who}: {answer}");
        }
    };
    check(ClientAuth::RequestClientCert, true, true, true).await;
    check(ClientAuth::RequireAnyClientCert, false, true, true).await;
    check(ClientAuth::VerifyClientCertIfGiven, true, false, true).await;
    check(ClientAuth::RequireAndVerifyClientCert, false, false, true).await;
}

#[tokio::test]
async fn only_an_authority_that_is_valid_now_vouches_for_clients() {
    let site = Fixture::new();
    let now = time::OffsetDateTime::now_utc();
    let lasting_from = |begin: i64, name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = now + time::Duration::days(begin);
        params.not_after = now + time::Duration::days(begin + 10);
        authority_with(params, name)
    };
    let [(old, old_issuer), (valid, valid_issuer), (early, early_issuer)] =
        [(-11, "old"), (-1, "valid"), (1, "early")].map(|(begin, name)| lasting_from(begin, name));
    for (authorities, valid_counts) in
        [(format!("{old}{valid}{early}"), true), (format!("{old}{early}"), false)]
    {
        fs::write(site.path("clients.crt"), authorities).unwrap();
        let clientcas = vec![site.path("clients.crt")];
        let clientauth = ClientAuth::VerifyClientCertIfGiven;
        let (server, _) = site.serve(TlsConfig { clientcas, clientauth, ..site.section() }).await;
        for (issuer, counts) in [(&old_issuer, false), (&valid_issuer, valid_counts), (&early_issuer, false)]
        {
            let client = Client { identity: Some(identity(issuer)), ..site.client() };
            let is_in = peer_shown_to(&client, &server).await.contains("is_verified: true");
            assert_eq!(is_in, counts, "{issuer:?}");
        }
        assert!(peer_shown_to(&site.client(), &server).await.contains("client_certificate: None"));
    }
}

#[tokio::test]
async fn a_session_is_resumed_unless_clients_have_certificates() {
    let site = Fixture::new();
    let (trusted, issuer) = authority("trusted");
    fs::write(site.path("clients.crt"), trusted).unwrap();
    let with_authority =
        |clientauth| TlsConfig { clientcas: vec![site.path("clients.crt")], clientauth, ..site.section() };
    for (section, expected) in [
        (site.section(), HandshakeKind::Resumed),
        (with_authority(ClientAuth::RequestClientCert), HandshakeKind::Full),
        (with_authority(ClientAuth::RequireAnyClientCert), HandshakeKind::Full),
        (with_authority(ClientAuth::VerifyClientCertIfGiven), HandshakeKind::Full),
        (with_authority(ClientAuth::RequireAndVerifyClientCert), HandshakeKind::Full),
    ] {
        let mode = section.clientauth;
        let (server, _) = site.serve(section).await;
        for versions in [TLS12, TLS13] {
            let identity = Some(identity(&issuer));
            let config = Client { identity, versions, ..site.client() }.config();
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let mut stream = connect_with(Arc::clone(&config), &server).await.unwrap();
                // In TLS 1.3 the tickets come before the answer.
                assert_eq!(get_kept(&mut stream, "/").await, "hello");
                kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            }
            assert_eq!(kinds, [HandshakeKind::Full, expected], "{mode:?}, {versions:?}");
        }
    }
}
