//! One connection, from its first byte to its last.

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

use super::activity::{Activity, Look};
use super::bodies::{RequestBody, ResponseBody};
use super::connections::Place;
use super::file_sender::FileSender;
use super::header_limit;
use super::hints;
use super::listener::Accepted;
use super::monitored_io::Watched;
use super::options::ServeOptions;
use super::peer::{Peer, PeerAddress, Scheme};
use super::plain_stream::PlainStream;
use super::reader_limit::ReaderLimit;
use super::server::Phase;
use super::statistics::Statistics;
use super::stream::{Stream, watched};
use super::tls::TlsReloader;

/// What an HTTP/2 client may send of one body, and of all together, before we have taken it.
///
/// The defaults of the protocol, 64 KiB, make a push as slow as the way to the client is long.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;

/// The most that is read from an HTTP/1 connection at once, and that hyper holds before it writes.
///
/// A push holds several such buffers, written or not. hyper's default of 408 KiB spares no processor time (`docs/performance.md`).
const BUFFER_BYTES: usize = 256 * 1024;

/// How many requests of one HTTP/2 connection may be under way. Each holds some 300 KiB if its client takes nothing.
const MOST_STREAMS: u32 = 64;

/// How many blobs one HTTP/2 connection may have open, unless it is a proxy's. More than clients pull at a time.
const MOST_BLOBS: usize = 32;

/// How many manifests and lists, which are in memory as a whole and soon taken.
const MOST_DOCUMENTS: usize = 8;

/// How much of an answer HTTP/2 holds for a client that takes nothing: hyper's default of 400 KiB makes it no faster.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How long a connection that rests may take to say that it closes, when another one needs its place.
const FAREWELL: Duration = Duration::from_millis(100);

/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// Sent to a client that speaks plain HTTP to a TLS port; the words are those its user will search for.
const PLAIN_HTTP_REFUSED: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    Client sent an HTTP request to an HTTPS server.\n";

/// The service requests are handed to.
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

/// What all connections of a server share.
#[derive(Clone, Debug)]
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) options: ServeOptions,
    pub(super) statistics: Statistics,
    pub(super) phase: watch::Receiver<Phase>,
    /// Owns every task, those of HTTP/2 requests too.
    pub(super) tasks: TaskTracker,
}

/// A kind of socket.
trait Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Waits for the first byte and leaves it unread; `None` if there is none, or if this kind cannot look.
    fn first_byte(&self) -> impl Future<Output = io::Result<Option<u8>>> + Send;

    /// What sends files over this socket, if it can.
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

/// Serves a connection until it ends, is cut, loses its place to another, or the server stops.
pub(super) async fn serve<S: Handler>(
    accepted: Accepted,
    address: PeerAddress,
    place: &Place,
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
    place: &Place,
    tls: Option<&TlsReloader>,
    shared: Shared<S>,
) {
    let activity = place.activity();
    let Some(tls) = tls else {
        let peer = Peer { address, scheme: Scheme::Http, client_certificate: false };
        let versions = if shared.options.h2c { Versions::Any } else { Versions::Http1 };
        let files = socket.files();
        let socket = Watched::new(socket, activity.clone());
        return serve_http(socket, files, place, peer, versions, shared).await;
    };
    let mut phase = shared.phase.clone();
    let handshake = timeout(shared.options.handshake_timeout, shake_hands(socket, tls, activity));
    let handshake = tokio::select! {
        handshake = handshake => handshake.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        // Nothing was promised to this client yet.
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
    let client_certificate = session.peer_certificates().is_some();
    let versions = match session.alpn_protocol() {
        Some(b"h2") => Versions::Http2,
        _ => Versions::Http1,
    };
    activity.handshake_done(if versions == Versions::Http2 { Version::HTTP_2 } else { Version::HTTP_11 });
    let peer = Peer { address, scheme: Scheme::Https, client_certificate };
    serve_http(stream, None, place, peer, versions, shared).await;
}

/// Brings up TLS with the configuration of this moment; `None` for a client that did not want TLS.
async fn shake_hands<IO: Socket>(
    socket: IO,
    tls: &TlsReloader,
    activity: &Activity,
) -> io::Result<Option<tokio_rustls::server::TlsStream<Watched<IO>>>> {
    let first = socket.first_byte().await?;
    let mut socket = Watched::new(socket, activity.clone());
    if first.is_some_and(|byte| byte != TLS_HANDSHAKE && byte.is_ascii_uppercase()) {
        socket.write_all(PLAIN_HTTP_REFUSED).await?;
        socket.shutdown().await?;
        return Ok(None);
    }
    match TlsAcceptor::from(tls.config()).accept(socket).into_fallible().await {
        Ok(stream) => Ok(Some(stream)),
        Err((error, mut socket)) => {
            // The client may be sending already: without a gentle end, a reset would overtake the alert that says why.
            let _ = socket.shutdown().await;
            Err(error)
        }
    }
}

/// Which versions of HTTP a connection may speak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Versions {
    Http1,
    Http2,
    /// Whichever the client begins with.
    Any,
}

async fn serve_http<IO, S>(
    io: IO,
    files: Option<FileSender>,
    place: &Place,
    peer: Peer,
    versions: Versions,
    shared: Shared<S>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Handler,
{
    let Shared { service, options, statistics, mut phase, tasks } = shared;
    let activity = place.activity();
    let executor = StreamExecutor { tasks, activity: activity.clone(), options: options.clone() };
    let readers = ReaderLimit::new(MOST_BLOBS, MOST_DOCUMENTS);
    let readers = (!options.trusts(peer.address)).then_some(readers);
    let requests = activity.clone();
    let of_requests = options.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let version = request.version();
        let in_flight = requests.request_began(version);
        let mut request = request.map(|body| Body::new(RequestBody::new(body, &of_requests)));
        request.extensions_mut().insert(peer);
        // Frames of HTTP/2 are cut and copied on their way.
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
    // The task may have begun when the server was ending already.
    phase.mark_changed();
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    loop {
        let look_again = match activity.look(&options) {
            Look::Again(at) => at,
            Look::Idle => {
                activity.closing();
                connection.as_mut().graceful_shutdown();
                continue;
            }
            Look::Cut(reason) => {
                statistics.connection_cut();
                tracing::debug!(address = %peer.address, %reason, "connection cut");
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
                // A server that is gone has nobody to serve for, and an unused connection nothing to finish.
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
                // Whether it ends in time or not, this is its end.
                let _ = timeout(FAREWELL, connection).await;
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
        // Slow heads are cut by `Activity`: hyper's own timer would run while a connection is merely idle.
        .header_read_timeout(None)
        // Large buffers go to the socket as they are, instead of being copied together.
        .writev(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(header_limit::MAX_HEAD_BYTES)
        .max_concurrent_streams(MOST_STREAMS)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    builder
}

/// Starts the tasks of HTTP/2 requests where the server waits for them at its end, and each as a [`Stream`].
#[derive(Clone, Debug)]
struct StreamExecutor {
    tasks: TaskTracker,
    activity: Activity,
    options: ServeOptions,
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let stream = Stream::new(self.activity.clone(), self.options.min_body_speed);
        self.tasks.spawn(watched(stream, self.options.stall_timeout, async move {
            future.await;
        }));
    }
}
