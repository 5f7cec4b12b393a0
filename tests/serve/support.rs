//! A running server, a service for it, and a client that sends exact bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Error, Router};
use futures::StreamExt;
use sampan::serve::{BodyStalled, Drained, Listener, Peer, Security, ServeOptions, Server, Statistics};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// A server that runs until it is stopped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) statistics: Statistics,
    /// Lets the handler of `/gated` finish.
    pub(super) gate: Arc<Notify>,
    /// The number of bytes that `/upload` has received.
    pub(super) received: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

impl Running {
    pub(super) async fn start(options: ServeOptions) -> Self {
        Self::start_with(options, Security::Plain).await
    }

    pub(super) async fn start_with(options: ServeOptions, security: Security) -> Self {
        let state = Handles::default();
        Self::serving(service(state.clone()), state, options, security).await
    }

    /// A server of another service than the one below.
    pub(super) async fn of(service: Router, options: ServeOptions, security: Security) -> Self {
        Self::serving(service, Handles::default(), options, security).await
    }

    async fn serving(service: Router, handles: Handles, options: ServeOptions, security: Security) -> Self {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap(), "http.addr").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::new(service, options).listen(listener, security);
        let statistics = server.statistics();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(server.run(async move {
            let _ = stopped.await;
        }));
        let Handles { gate, received } = handles;
        Self { address, statistics, gate, received, stop, ended }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Stops the server, and returns its final state.
    pub(super) fn stop(self) -> JoinHandle<Drained> {
        self.stop.send(()).unwrap();
        self.ended
    }

    /// The server's task, which is never stopped: this leaks the sender of the stop signal.
    pub(super) fn into_ended(self) -> JoinHandle<Drained> {
        std::mem::forget(self.stop);
        self.ended
    }
}

/// State that a test and the service below share.
#[derive(Clone, Default)]
struct Handles {
    gate: Arc<Notify>,
    received: Arc<AtomicUsize>,
}

/// The service: small answers, endless answers, answers that wait, and a receiver of bodies.
fn service(handles: Handles) -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/peer", get(|Extension(peer): Extension<Peer>| async move { format!("{peer:?}") }))
        .route("/endless", get(|| async { Body::from_stream(futures::stream::repeat_with(chunk)) }))
        .route("/gated", get(gated))
        .route("/upload", post(upload))
        .route("/refuse", post(|| async { (StatusCode::UNAUTHORIZED, "no") }))
        .with_state(handles)
}

fn chunk() -> Result<Bytes, Error> {
    Ok(Bytes::from_static(&[b'x'; 64 * 1024]))
}

/// Sends `begun`, and `ended` after the gate has opened.
async fn gated(State(Handles { gate, .. }): State<Handles>) -> Body {
    let begun = futures::stream::once(async { Ok::<_, Error>("begun,") });
    let ended = futures::stream::once(async move {
        gate.notified().await;
        Ok("ended")
    });
    Body::from_stream(begun.chain(ended))
}

async fn upload(State(Handles { received, .. }): State<Handles>, body: Body) -> (StatusCode, String) {
    let mut length = 0;
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => {
                length += chunk.len();
                received.store(length, Ordering::Relaxed);
            }
            Err(error) => {
                let cause = error.into_inner();
                assert!(cause.is::<BodyStalled>() || cause.is::<hyper::Error>(), "{cause:?}");
                return (StatusCode::REQUEST_TIMEOUT, format!("{length} bytes and then: {cause}"));
            }
        }
    }
    (StatusCode::OK, format!("{length} bytes"))
}

/// Sends a request without a body and reads the response; keeps the connection.
pub(super) async fn get_kept<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO, path: &str) -> String {
    io.write_all(format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n").as_bytes()).await.unwrap();
    let mut response = Vec::new();
    loop {
        let mut byte = [0];
        assert_eq!(
            io.read(&mut byte).await.unwrap(),
            1,
            "ended early: {}",
            String::from_utf8_lossy(&response)
        );
        response.push(byte[0]);
        if response.ends_with(b"\r\n\r\n") {
            break;
        }
    }
    let head = String::from_utf8(response).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap_or_else(|| panic!("no length: {head}"));
    let mut body = vec![0; length.parse().unwrap()];
    io.read_exact(&mut body).await.unwrap();
    String::from_utf8(body).unwrap()
}

/// Sends bytes and reads until the server closes.
pub(super) async fn exchange<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO, sent: &[u8]) -> String {
    io.write_all(sent).await.unwrap();
    read_to_end(io).await
}

pub(super) async fn read_to_end<IO: AsyncRead + Unpin>(io: &mut IO) -> String {
    let mut received = Vec::new();
    // A client that is cut may see a reset instead of an end; only the absence of further bytes matters.
    let _ = io.read_to_end(&mut received).await;
    String::from_utf8_lossy(&received).into_owned()
}

/// Runs `work` while a paused clock does not advance. Otherwise the clock jumps ahead whenever no task is ready, which
/// on a busy machine can be before the kernel has delivered the data.
pub(super) async fn in_no_time<T>(work: impl Future<Output = T>) -> T {
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let holding = tokio::task::spawn_blocking(move || is_over.recv().is_err());
    let result = work.await;
    drop(over);
    holding.await.unwrap();
    result
}
