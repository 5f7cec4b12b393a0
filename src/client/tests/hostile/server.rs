//! `Server`: an HTTP/1 server that answers as a test says, also against all rules.
//!
//! The integration tests take this file, too.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query; the absolute URL at a proxy.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// The values of a parameter of the query, decoded.
    pub(crate) fn query(&self, name: &str) -> Vec<String> {
        let url: url::Url = format!("http://x{}", self.target).parse().unwrap();
        url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
    }
}

/// An answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// Announces this length instead of the true one; `None` for chunks.
    length: Option<Option<u64>>,
    /// Breaks the connection after so many bytes of the body.
    cut: Option<usize>,
    /// Stays silent after the body's bytes, until the test ends.
    stalls: bool,
    /// Breaks the connection without an answer.
    is_broken: bool,
    /// Answers only after so long.
    delay: Duration,
    /// Sends the body byte by byte, with such pauses.
    pause: Option<Duration>,
    /// Answers only when this is open.
    gate: Option<Gate>,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// No answer: the connection breaks.
    pub(crate) fn broken() -> Self {
        Self { is_broken: true, ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn json(self, body: &str) -> Self {
        self.header("Content-Type", "application/json").body(body)
    }

    pub(crate) fn cut_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self
    }

    pub(crate) fn announcing(mut self, length: Option<u64>) -> Self {
        self.length = Some(length);
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    #[allow(dead_code, reason = "each test binary uses a part")]
    pub(crate) fn behind(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    pub(crate) fn byte_by_byte(mut self, pause: Duration) -> Self {
        self.pause = Some(pause);
        self
    }

    pub(crate) fn stalling_after(mut self, bytes: usize) -> Self {
        self.cut = Some(bytes);
        self.stalls = true;
        self
    }
}

/// Holds answers until a test lets them go.
#[allow(dead_code, reason = "each test binary uses a part")]
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// How many requests came, and how many of them may be answered.
    counts: watch::Sender<(usize, usize)>,
}

#[allow(dead_code, reason = "each test binary uses a part")]
impl Gate {
    pub(crate) fn new() -> Self {
        Self { counts: watch::Sender::new((0, 0)) }
    }

    /// Lets `count` more answers go.
    pub(crate) fn open(&self, count: usize) {
        self.counts.send_modify(|(_, allowed)| *allowed = allowed.saturating_add(count));
    }

    /// Lets all answers go.
    pub(crate) fn open_for_all(&self) {
        self.open(usize::MAX);
    }

    /// The number of requests that came.
    pub(crate) fn arrived(&self) -> usize {
        self.counts.borrow().0
    }

    /// Waits until `count` requests came.
    pub(crate) async fn wait_for(&self, count: usize) {
        self.counts.subscribe().wait_for(|(arrived, _)| *arrived >= count).await.unwrap();
    }

    async fn pass(&self) {
        let mut number = 0;
        self.counts.send_modify(|(arrived, _)| {
            *arrived += 1;
            number = *arrived;
        });
        self.counts.subscribe().wait_for(|(_, allowed)| *allowed >= number).await.unwrap();
    }
}

type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;
/// How much of a request's body to read before the connection breaks; the handler sees what was read.
type Cutter = dyn Fn(&Seen) -> Option<usize> + Send + Sync;

/// A running server; it ends with the value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(None, |_| None, handler).await
    }

    pub(crate) async fn start_with(
        tls: Option<TlsAcceptor>,
        cutter: impl Fn(&Seen) -> Option<usize> + Send + Sync + 'static,
        handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (handler, cutter): (Arc<Handler>, Arc<Cutter>) = (Arc::new(handler), Arc::new(cutter));
        let log = seen.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (handler, cutter, log, tls) = (handler.clone(), cutter.clone(), log.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, &*handler, &*cutter, &log).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &*handler, &*cutter, &log).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, scheme, seen, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests as `METHOD path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path())).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    handler: &Handler,
    cutter: &Cutter,
    log: &Mutex<Vec<Seen>>,
) {
    let mut buffer = Vec::new();
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
            return;
        }
        if buffer.starts_with(b"\x16\x03") {
            // TLS where none is spoken: web servers answer so.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
            return;
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut rest = buffer.split_off(end + 4);
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target)) = (first.next(), first.next()) else { return };
    let headers =
        lines.filter_map(|line| line.split_once(": ").map(|(key, value)| (key.to_owned(), value.to_owned())));
    let mut seen = Seen {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    let length = seen.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let cut = cutter(&seen);
    let wanted = cut.map_or(length, |cut| cut.min(length));
    while rest.len() < wanted && stream.read_buf(&mut rest).await.unwrap_or(0) > 0 {}
    rest.truncate(wanted);
    seen.body = rest;
    log.lock().unwrap().push(seen.clone());
    let reply = handler(&seen);
    if cut.is_some() || reply.is_broken {
        return;
    }
    let mut answer = format!("HTTP/1.1 {} Test\r\nConnection: close\r\n", reply.status);
    for (key, value) in &reply.headers {
        answer.push_str(&format!("{key}: {value}\r\n"));
    }
    let length = reply.length.unwrap_or(Some(reply.body.len() as u64));
    match length {
        Some(length) => answer.push_str(&format!("Content-Length: {length}\r\n\r\n")),
        None => answer.push_str("Transfer-Encoding: chunked\r\n\r\n"),
    }
    tokio::time::sleep(reply.delay).await;
    if let Some(gate) = &reply.gate {
        gate.pass().await;
    }
    let mut bytes = answer.into_bytes();
    if let Some(pause) = reply.pause {
        let _ = stream.write_all(&bytes).await;
        for byte in reply.body {
            tokio::time::sleep(pause).await;
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
        }
        return;
    }
    if seen.method != "HEAD" {
        let body = &reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())];
        match length {
            Some(_) => bytes.extend_from_slice(body),
            None => {
                for piece in body.chunks(1000) {
                    bytes.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    bytes.extend_from_slice(piece);
                    bytes.extend_from_slice(b"\r\n");
                }
                if reply.cut.is_none() {
                    bytes.extend_from_slice(b"0\r\n\r\n");
                }
            }
        }
    }
    let _ = stream.write_all(&bytes).await;
    let _ = stream.flush().await;
    if reply.stalls {
        // Ends with the task.
        tokio::time::sleep(Duration::from_secs(3600)).await;
    }
    let _ = stream.shutdown().await;
}

/// An authority with certificates of its own.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate and its key, as PEM.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A server of this authority for `name`, which wants client certificates of `clients`.
    pub(crate) fn acceptor(&self, name: &str, clients: Option<&Authority>) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate: CertificateDer<'static> =
            params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let builder = ServerConfig::builder();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.issuer.der().clone()).unwrap();
                builder.with_client_cert_verifier(
                    WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap(),
                )
            }
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![certificate], key).unwrap()))
    }
}
