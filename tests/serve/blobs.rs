//! Transfers of blobs from a directory to clients: every path gives the same bytes, whatever the clients do.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures::stream;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sampan::auth::Anonymous;
use sampan::http::{Api, AppState, HttpOptions, HttpServices};
use sampan::serve::{Security, ServeOptions};
use sampan_driver::DriverConfig;
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::Registry;
use sampan_engine::oci::Digest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use super::support::Running;
use super::tls::Fixture;

/// Several windows and a remainder.
const SIZE: usize = 3 * 1024 * 1024 + 12_345;

/// More than any pair of socket buffers holds.
const LARGE: usize = 64 * 1024 * 1024;

/// A registry over a directory, with one blob.
struct Store {
    dir: tempfile::TempDir,
    router: Router,
    digest: Digest,
    content: Bytes,
}

impl Store {
    async fn with_blob_of(size: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = FilesystemConfig { rootdirectory: dir.path().to_owned(), ..FilesystemConfig::default() };
        let registry = Registry::builder(config.build().await.unwrap()).build();
        let mut state = 1_u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()
        });
        let mut content: Vec<u8> = noise.take(size / 8 + 1).flatten().collect();
        content.truncate(size);
        let content = Bytes::from(content);
        let digest = Digest::sha256_of(&content);
        let body = Box::pin(stream::iter([Ok(content.clone())]));
        registry.repository("a/b".parse().unwrap()).uploads().put(&digest, None, body).await.unwrap();
        let state =
            AppState::new(registry, Arc::new(Anonymous), HttpOptions::default(), HttpServices::default());
        let router = Router::new().fallback_service(Api::new(state));
        Self { dir, router, digest, content }
    }

    async fn serve(&self, options: ServeOptions) -> Running {
        Running::of(self.router.clone(), options, Security::Plain).await
    }

    /// The file that has the blob.
    fn file(&self) -> PathBuf {
        let hex = self.digest.to_string().replace("sha256:", "");
        let blobs = self.dir.path().join("docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    fn path(&self) -> String {
        format!("/v2/a/b/blobs/{}", self.digest)
    }

    fn get(&self, more: &str) -> String {
        format!("GET {} HTTP/1.1\r\nhost: test\r\n{more}\r\n", self.path())
    }

    fn get_range(&self, range: &Range<usize>) -> String {
        self.get(&format!("range: bytes={}-{}\r\n", range.start, range.end - 1))
    }

    /// The number of open handles on the blob in this process.
    fn open_handles(&self) -> usize {
        let handles = fs::read_dir("/proc/self/fd").unwrap();
        let targets = handles.filter_map(|handle| fs::read_link(handle.ok()?.path()).ok());
        targets.filter(|target| target.starts_with(self.dir.path()) && target.ends_with("data")).count()
    }
}

/// A range of the blob: small ones, large ones, and those that end at a window's edge.
fn ranges() -> impl Strategy<Value = Range<usize>> {
    let edge =
        prop::sample::select(vec![0, 1, 65_535, 65_536, 1 << 20, (1 << 20) + 1, 2 << 20, SIZE - 1, SIZE]);
    let place = prop_oneof![edge, 0..=SIZE];
    (place.clone(), place).prop_map(|(one, other)| {
        let start = one.min(other).min(SIZE - 1);
        start..one.max(other).max(start + 1)
    })
}

fn cases(cases: u32) -> Config {
    Config { failure_persistence: None, ..Config::with_cases(cases) }
}

/// Reads the headers of a response, and its length.
async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> (String, usize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let length = length.parse().unwrap();
    (head, length)
}

async fn read_response(io: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let (_, length) = read_head(io).await;
    let mut body = vec![0; length];
    io.read_exact(&mut body).await.unwrap();
    body
}

async fn http2<IO>(io: IO) -> http2::SendRequest<Empty<Bytes>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Every kind of connection, each kept alive.
struct Ways<'a> {
    store: &'a Store,
    plain: TcpStream,
    tls: tokio_rustls::client::TlsStream<TcpStream>,
    http2: http2::SendRequest<Empty<Bytes>>,
    http2_over_tls: http2::SendRequest<Empty<Bytes>>,
}

impl<'a> Ways<'a> {
    async fn open(store: &'a Store) -> Self {
        // Creating certificates takes a while on a busy machine, without a request meanwhile.
        let patient = Duration::from_secs(3600);
        let options = ServeOptions { h2c: true, header_timeout: patient, ..ServeOptions::default() };
        let plain = store.serve(options.clone()).await;
        let site = Fixture::new();
        let security = Security::Tls(site.load().await);
        let secure = Running::of(store.router.clone(), options, security).await;
        let mut client = site.client();
        let tls = client.connect(&secure).await.unwrap();
        client.protocols = vec![b"h2".to_vec()];
        let ways = Self {
            store,
            plain: plain.connect().await,
            tls,
            http2: http2(plain.connect().await).await,
            http2_over_tls: http2(client.connect(&secure).await.unwrap()).await,
        };
        // The servers run until the runtime ends.
        plain.into_ended();
        secure.into_ended();
        ways
    }

    async fn check(&mut self, range: Range<usize>) {
        let request = self.store.get_range(&range);
        let expected = &self.store.content[range.clone()];
        self.plain.write_all(request.as_bytes()).await.unwrap();
        assert!(read_response(&mut self.plain).await == expected, "{range:?} over plain TCP");
        self.tls.write_all(request.as_bytes()).await.unwrap();
        self.tls.flush().await.unwrap();
        assert!(read_response(&mut self.tls).await == expected, "{range:?} over TLS");
        for (way, sender) in [("HTTP/2", &mut self.http2), ("HTTP/2 over TLS", &mut self.http2_over_tls)] {
            let request = hyper::Request::get(format!("https://test{}", self.store.path()))
                .header("range", format!("bytes={}-{}", range.start, range.end - 1))
                .body(Empty::new());
            let response = sender.send_request(request.unwrap()).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body == expected, "{range:?} over {way}");
        }
    }
}

#[test]
fn every_range_has_the_same_bytes_on_every_connection() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let store = runtime.block_on(Store::with_blob_of(SIZE));
    let ways = std::cell::RefCell::new(runtime.block_on(Ways::open(&store)));
    let run = |range| {
        runtime.block_on(ways.borrow_mut().check(range));
        Ok(())
    };
    TestRunner::new(cases(24)).run(&ranges(), run).unwrap();
}

/// The request of a client.
#[derive(Clone, Debug)]
enum Ask {
    Range(Range<usize>),
    Whole,
    Head,
    Check,
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let ask = prop_oneof![
        4 => ranges().prop_map(Ask::Range),
        1 => Just(Ask::Whole),
        1 => Just(Ask::Head),
        1 => Just(Ask::Check)
    ];
    prop::collection::vec(ask, 1..6)
}

impl Ask {
    fn request(&self, store: &Store) -> String {
        match self {
            Self::Range(range) => store.get_range(range),
            Self::Whole => store.get(""),
            Self::Head => store.get("").replacen("GET", "HEAD", 1),
            Self::Check => "GET /v2/ HTTP/1.1\r\nhost: test\r\n\r\n".to_owned(),
        }
    }

    fn body<'a>(&self, store: &'a Store) -> &'a [u8] {
        match self {
            Self::Range(range) => &store.content[range.clone()],
            Self::Whole => &store.content,
            Self::Head => b"",
            Self::Check => b"{}",
        }
    }

    /// Sends all requests at once, over a socket with a small buffer, and reads the answers in small pieces.
    async fn check_all(asks: Vec<Self>, piece: usize, store: &Store, server: &Running) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut client =
            tokio::io::BufReader::with_capacity(piece, socket.connect(server.address).await.unwrap());
        let requests: String = asks.iter().map(|ask| ask.request(store)).collect();
        client.write_all(requests.as_bytes()).await.unwrap();
        for ask in asks {
            let (head, length) = read_head(&mut client).await;
            let expected = ask.body(store);
            let mut body = vec![0; expected.len()];
            client.read_exact(&mut body).await.unwrap();
            assert!(body == expected, "{ask:?} has the wrong bytes after {head}");
            assert!(matches!(ask, Self::Head) && length == SIZE || length == body.len(), "{head}");
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_whatever_the_client_reads_at_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let store = runtime.block_on(Store::with_blob_of(SIZE));
    let server = runtime.block_on(store.serve(ServeOptions::default()));
    let run = |(asks, piece)| {
        runtime.block_on(Ask::check_all(asks, piece, &store, &server));
        Ok(())
    };
    TestRunner::new(cases(16)).run(&(asks(), 100_usize..50_000), run).unwrap();
}

/// Requests the whole blob and reads its beginning.
async fn begin(store: &Store, server: &Running) -> (TcpStream, Vec<u8>) {
    let mut client = server.connect().await;
    client.write_all(store.get("connection: close\r\n").as_bytes()).await.unwrap();
    let (_, length) = read_head(&mut client).await;
    assert_eq!(length, store.content.len());
    let mut first = vec![0; 100_000];
    client.read_exact(&mut first).await.unwrap();
    (client, first)
}

#[tokio::test]
async fn a_blob_that_is_removed_while_it_is_sent_arrives_whole() {
    let store = Store::with_blob_of(LARGE).await;
    let server = store.serve(ServeOptions::default()).await;
    let (mut client, mut received) = begin(&store, &server).await;
    fs::remove_file(store.file()).unwrap();
    client.read_to_end(&mut received).await.unwrap();
    assert!(received == store.content);
}

#[tokio::test]
async fn a_truncated_file_breaks_only_its_own_connection() {
    let store = Store::with_blob_of(LARGE).await;
    let server = store.serve(ServeOptions::default()).await;
    let (mut client, mut received) = begin(&store, &server).await;
    fs::File::options().write(true).open(store.file()).unwrap().set_len(LARGE as u64 - 1000).unwrap();
    // The transfer ends early, by a reset or by an end of stream.
    let _ = client.read_to_end(&mut received).await;
    assert!(received.len() < LARGE && store.content.starts_with(&received), "{} bytes", received.len());
    let mut other = server.connect().await;
    other.write_all(store.get_range(&(5..100_005)).as_bytes()).await.unwrap();
    assert!(read_response(&mut other).await == store.content[5..100_005]);
}

#[tokio::test]
async fn a_client_that_goes_leaves_no_file_open() {
    let store = Store::with_blob_of(LARGE).await;
    let server = store.serve(ServeOptions::default()).await;
    let (client, _) = begin(&store, &server).await;
    assert_eq!(store.open_handles(), 1);
    drop(client);
    let closed = async {
        while store.open_handles() > 0 || server.statistics.open() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(60), closed).await.expect("the file stays open");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_a_file_is_cut_and_a_slow_one_is_not() {
    let store = Store::with_blob_of(LARGE).await;
    let server = store.serve(ServeOptions::default()).await;
    let (mut slow, mut received) = begin(&store, &server).await;
    let (stopped, _) = begin(&store, &server).await;
    while received.len() < LARGE {
        sleep(Duration::from_secs(50)).await;
        let mut piece = vec![0; 8 * 1024 * 1024];
        let mut filled = 0;
        while filled < piece.len() && received.len() + filled < LARGE {
            filled += slow.read(&mut piece[filled..]).await.unwrap();
        }
        received.extend_from_slice(&piece[..filled]);
    }
    assert!(received == store.content);
    let cut = async {
        while server.statistics.cut() == 0 {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(Duration::from_secs(600), cut).await.expect("it is never cut");
    drop(stopped);
    assert_eq!(server.statistics.cut(), 1);
}
