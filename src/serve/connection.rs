//! Serves one connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use futures::future::{Either, ready};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

use super::activity::{Activity, CutReason, NextCheck};
use super::bodies::{RequestBody, ResponseBody};
use super::connections::ConnectionSlot;
use super::file_sender::FileSender;
use super::header_limit;
use super::hints;
use super::listener::Accepted;
use super::monitored_io::MonitoredIo;
use super::options::ServeOptions;
use super::peer::{ClientCertificate, Peer, PeerAddress, Scheme};
use super::plain_stream::PlainStream;
use super::reader_limit::ReaderLimit;
use super::server::Phase;
use super::statistics::Statistics;
use super::stream::{Stream, watched};
use super::tls::TlsReloader;

/// The HTTP/2 receive windows of one request body and of the connection, in bytes.
///
/// With the protocol's default of 64 KiB, latency limits the speed of a push.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// The size of the read buffer of an HTTP/1 connection, and of hyper's write buffer.
///
/// A push holds several such buffers, written or not. hyper's default of 408 KiB saves no processor time
/// (`tests/benches/README.md`).
const BUFFER_BYTES: usize = 256 * 1024;

/// The most concurrent requests of one HTTP/2 connection. Each holds some 300 KiB if its client does not
/// read.
const MAX_STREAMS: u32 = 64;

/// The most blobs that one HTTP/2 connection may hold open, unless its peer is a proxy. More than clients
/// pull at once.
const MAX_BLOBS: usize = 32;

/// The most manifests and lists; each is wholly in memory, and clients read them quickly.
const MAX_DOCUMENTS: usize = 8;

/// The most response bytes that HTTP/2 buffers for a client that does not read: hyper's default of 400 KiB is
/// no faster.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How long a resting connection may take to send its goodbye when another connection needs its place.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(100);

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// The response to a client that speaks plain HTTP to a TLS port; users will search for these words.
const PLAIN_HTTP_REFUSED: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// The service that handles requests.
pub trait Handler:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Handler for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// State shared by all connections of a server.
#[derive(Clone, Debug)]
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) options: ServeOptions,
    pub(super) statistics: Statistics,
    pub(super) phase: watch::Receiver<Phase>,
    /// Owns every task, including those of HTTP/2 requests.
    pub(super) tasks: TaskTracker,
}

/// A kind of socket.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Waits for the first byte without consuming it; `None` at the end, or if the socket does not support
    /// it.
    fn first_byte(&self) -> impl Future<Output = io::Result<Option<u8>>> + Send;

    /// The sender of files over this socket, if it supports that.
    fn files(&self) -> Option<FileSender>;
}

impl Socket for PlainStream {
    async fn first_byte(&self) -> io::Result<Option<u8>> {
        Self::first_byte(self).await
    }

    fn files(&self) -> Option<FileSender> {
        Some(Self::files(self).clone())
    }
}

impl Socket for UnixStream {
    async fn first_byte(&self) -> io::Result<Option<u8>> {
        Ok(None)
    }

    fn files(&self) -> Option<FileSender> {
        None
    }
}

/// Serves a connection until it ends, is cut, yields its place, or the server stops.
pub(super) async fn serve<S: Handler>(
    accepted: Accepted,
    address: PeerAddress,
    place: &ConnectionSlot,
    tls: Option<&TlsReloader>,
    shared: Shared<S>,
) {
    match accepted {
        Accepted::Tcp(socket) => serve_socket(PlainStream::new(socket), address, place, tls, shared).await,
        Accepted::Unix(socket) => serve_socket(socket, address, place, tls, shared).await,
    }
}

async fn serve_socket<IO: Socket, S: Handler>(
    socket: IO,
    address: PeerAddress,
    place: &ConnectionSlot,
    tls: Option<&TlsReloader>,
    shared: Shared<S>,
) {
    let activity = place.activity();
    let Some(tls) = tls else {
        let peer = Peer { address, scheme: Scheme::Http, client_certificate: None };
        let versions = if shared.options.h2c { Versions::Any } else { Versions::Http1 };
        let files = socket.files();
        let socket = MonitoredIo::new(socket, activity.clone());
        return serve_http(socket, files, place, peer, versions, shared).await;
    };
    let mut phase = shared.phase.clone();
    let handshake = timeout(shared.options.handshake_timeout, shake_hands(socket, tls, activity));
    let handshake = tokio::select! {
        handshake = handshake => handshake.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        // The server owes this client nothing yet.
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
        () = place.needed() => return,
    };
    let stream = match handshake {
        Ok(Some(stream)) => stream,
        Ok(None) => return,
        Err(error) => {
            shared.statistics.handshake_failed();
            tracing::info!(%address, "TLS handshake failed: {error}{}", hints::remedy(&error));
            return;
        }
    };
    let (_, session) = stream.get_ref();
    let presented = session.peer_certificates().and_then(|certificates| certificates.first());
    let client_certificate = presented
        .map(|leaf| ClientCertificate { leaf: leaf.as_ref().into(), is_verified: tls.verifies_clients() });
    let versions = match session.alpn_protocol() {
        Some(b"h2") => Versions::Http2,
        _ => Versions::Http1,
    };
    activity.handshake_done(if versions == Versions::Http2 { Version::HTTP_2 } else { Version::HTTP_11 });
    let peer = Peer { address, scheme: Scheme::Https, client_certificate };
    serve_http(stream, None, place, peer, versions, shared).await;
}

/// Accepts TLS with the current configuration; `None` for a client that did not speak TLS.
async fn shake_hands<IO: Socket>(
    socket: IO,
    tls: &TlsReloader,
    activity: &Activity,
) -> io::Result<Option<tokio_rustls::server::TlsStream<MonitoredIo<IO>>>> {
    let first = socket.first_byte().await?;
    let mut socket = MonitoredIo::new(socket, activity.clone());
    if first.is_some_and(|byte| byte != TLS_HANDSHAKE && byte.is_ascii_uppercase()) {
        socket.write_all(PLAIN_HTTP_REFUSED).await?;
        socket.shutdown().await?;
        return Ok(None);
    }
    match TlsAcceptor::from(tls.config()).accept(socket).into_fallible().await {
        Ok(stream) => Ok(Some(stream)),
        Err((error, mut socket)) => {
            // The client may already be sending: without a graceful shutdown, a reset would overtake the
            // alert with the reason.
            let _ = socket.shutdown().await;
            Err(error)
        }
    }
}

/// The HTTP versions that a connection accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Versions {
    Http1,
    Http2,
    /// The version that the client starts with.
    Any,
}

async fn serve_http<IO, S>(
    io: IO,
    files: Option<FileSender>,
    place: &ConnectionSlot,
    peer: Peer,
    versions: Versions,
    shared: Shared<S>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Handler,
{
    let Shared { service, options, statistics, mut phase, tasks } = shared;
    let activity = place.activity();
    let executor =
        StreamExecutor { tasks, activity: activity.clone(), peer: peer.address, options: options.clone() };
    let readers = ReaderLimit::new(MAX_BLOBS, MAX_DOCUMENTS);
    let readers = (!options.trusts(peer.address)).then_some(readers);
    let requests = activity.clone();
    let of_requests = options.clone();
    let of_connection = peer.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let version = request.version();
        let in_flight = requests.request_began(version);
        let mut request =
            request.map(|body| Body::new(RequestBody::new(body, requests.clone(), &of_requests)));
        request.extensions_mut().insert(of_connection.clone());
        // HTTP/2 frames are split and copied, so placeholders would not survive.
        match (version >= Version::HTTP_2, &readers, &files) {
            (true, Some(readers), _) => _ = request.extensions_mut().insert(readers.clone()),
            (false, _, Some(files)) => _ = request.extensions_mut().insert(files.clone()),
            _ => {}
        }
        let response = match header_limit::objection(&request) {
            Some(objection) => Either::Left(ready(Ok(objection.refusal(version)))),
            None => Either::Right(service.clone().oneshot(request)),
        };
        async move {
            let response = response.await?;
            Ok::<_, Infallible>(response.map(|body| ResponseBody::new(body, in_flight, Stream::current())))
        }
    });
    let builder = builder(versions, executor);
    // The server may already be draining when this task starts.
    phase.mark_changed();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    loop {
        let look_again = match activity.next_check(&options) {
            NextCheck::Again(at) => at,
            NextCheck::Idle => {
                activity.closing();
                connection.as_mut().graceful_shutdown();
                continue;
            }
            NextCheck::Cut(reason) => {
                statistics.connection_cut();
                match reason {
                    // Its client sees a response that ends early.
                    CutReason::Stalled => tracing::warn!(address = %peer.address, "connection cut: {reason}"),
                    _ => tracing::debug!(address = %peer.address, %reason, "connection cut"),
                }
                return;
            }
        };
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                match ended {
                    Err(_) if peer.scheme == Scheme::Http && activity.began_with(TLS_HANDSHAKE) => {
                        hints::tls_to_a_plain_port(peer.address);
                    }
                    Err(error) => {
                        tracing::debug!(address = %peer.address, %error, "connection broken");
                    }
                    Ok(()) => {}
                }
                return;
            }
            changed = phase.changed() => {
                let now = *phase.borrow_and_update();
                if changed.is_ok() && now == Phase::Serving {
                    continue;
                }
                // The server is gone, or an unused connection has no request to finish.
                if changed.is_err() || now == Phase::Stopping || activity.is_unused() {
                    return;
                }
                activity.closing();
                connection.as_mut().graceful_shutdown();
            }
            () = place.needed() => {
                if activity.is_unused() {
                    return;
                }
                if !activity.is_idle() {
                    place.stay();
                    continue;
                }
                activity.closing();
                connection.as_mut().graceful_shutdown();
                // The connection ends here, in time or not.
                let _ = timeout(GOODBYE_TIMEOUT, connection).await;
                return;
            }
            () = sleep_until(look_again) => {}
        }
    }
}

fn builder(versions: Versions, executor: StreamExecutor) -> auto::Builder<StreamExecutor> {
    let mut builder = auto::Builder::new(executor);
    builder = match versions {
        Versions::Http1 => builder.http1_only(),
        Versions::Http2 => builder.http2_only(),
        Versions::Any => builder,
    };
    builder
        .http1()
        .max_buf_size(BUFFER_BYTES)
        // `Activity` cuts slow headers: hyper's own timer would also run while a connection is idle.
        .header_read_timeout(None)
        // Writes large buffers to the socket as they are instead of copying them together.
        .writev(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(header_limit::MAX_HEAD_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

/// Spawns the tasks of HTTP/2 requests on the server's tracker, each as a [`Stream`].
#[derive(Clone, Debug)]
struct StreamExecutor {
    tasks: TaskTracker,
    activity: Activity,
    peer: PeerAddress,
    options: ServeOptions,
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let stream = Stream::new(self.activity.clone(), self.options.min_body_speed);
        self.tasks.spawn(watched(stream, self.peer, self.options.stall_timeout, async move {
            future.await;
        }));
    }
}
