//! `FlakyProxy`: a proxy between a registry and its store that injects faults on demand.
//!
//! It forwards every request and every answer unchanged, so that signatures hold; it does not distinguish S3 and Azure.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// A proxy before a store.
pub(crate) struct FlakyProxy {
    /// The proxy's address.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Runtime,
}

/// The effect of a request on the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sort {
    /// Any effect.
    Any,
    /// Begins a multipart upload.
    Begin,
    /// Ends a multipart upload.
    Complete,
    Copy,
    Delete,
    Get,
    Head,
    List,
    /// Writes a part.
    Part,
    /// Writes an object.
    Put,
    /// Writes the state of an upload.
    State,
}

/// The fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// The store refuses, with a status and a code of S3.
    Answer(u16, &'static str),
    /// The proxy cuts the connection as soon as it has the headers of the request.
    CutAtOnce,
    /// The proxy cuts the connection while the body of the request is on its way.
    CutInRequest,
    /// The store carries out the request, and the proxy cuts the connection before its answer.
    CutBeforeAnswer,
    /// The proxy cuts the connection in the middle of the answer.
    CutInAnswer,
    /// The proxy reports success, and the store does nothing.
    Lost,
    /// The answer carries this copy status, as those of Azure do.
    CopyStatus(&'static str),
    /// The store carries out the request when the test releases it, whether or not its sender still waits.
    Held,
    /// The store carries out the request after this delay.
    Late(Duration),
}

struct Shared {
    store: String,
    client: reqwest::Client,
    troubles: Mutex<Vec<Trouble>>,
    weather: Mutex<Option<(StdRng, u32)>>,
    seen: Mutex<Vec<(Sort, String)>>,
    /// The number of held requests.
    held: watch::Sender<usize>,
    /// Changes when the test releases them.
    released: watch::Sender<()>,
}

struct Trouble {
    sort: Sort,
    key: String,
    fault: Fault,
    times: usize,
}

/// The error that ends a connection.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the line was cut")
    }
}

impl std::error::Error for Cut {}

type Answer = Result<Response<BoxBody<Bytes, Cut>>, Cut>;

impl FlakyProxy {
    /// A proxy to the server at `store`, such as `http://127.0.0.1:9000`, without faults.
    pub(crate) fn to(store: &str) -> Self {
        let client = reqwest::Client::builder().http1_only().no_proxy().build().unwrap();
        let store = store.trim_end_matches('/').to_owned();
        let shared = Arc::new(Shared {
            store,
            client,
            troubles: Mutex::default(),
            weather: Mutex::default(),
            seen: Mutex::default(),
            held: watch::channel(0).0,
            released: watch::channel(()).0,
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let answering = shared.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = answering.clone();
                let service = service_fn(move |request| shared.clone().hand_on(request));
                let serving = hyper::server::conn::http1::Builder::new();
                tokio::spawn(serving.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, shared, runtime }
    }

    /// From now on the next `times` requests of a sort fail.
    pub(crate) fn fail(&self, sort: Sort, fault: Fault, times: usize) {
        self.fail_at("", sort, fault, times);
    }

    /// The same for requests whose key contains `key`; for deletions of many, if one of the keys does.
    pub(crate) fn fail_at(&self, key: impl Into<String>, sort: Sort, fault: Fault, times: usize) {
        self.shared.troubles.lock().unwrap().push(Trouble { sort, key: key.into(), fault, times });
    }

    /// From now on `per_mille` of all requests fail, each in a way drawn by `rng`.
    pub(crate) fn storm(&self, rng: StdRng, per_mille: u32) {
        *self.shared.weather.lock().unwrap() = Some((rng, per_mille));
    }

    /// Waits until the proxy holds a request.
    pub(crate) fn wait_for_held(&self) {
        let mut held = self.shared.held.subscribe();
        let held =
            async { tokio::time::timeout(HOLD_TIMEOUT, held.wait_for(|held| *held > 0)).await.map(drop) };
        self.runtime.block_on(held).expect("no request came that was to be held");
    }

    /// Releases the held requests, and waits until the store has answered them.
    pub(crate) fn release(&self) {
        self.shared.released.send_replace(());
        let mut held = self.shared.held.subscribe();
        self.runtime.block_on(held.wait_for(|held| *held == 0)).unwrap();
    }

    /// Ends all faults. Returns whether any had still been due.
    pub(crate) fn heal(&self) -> bool {
        *self.shared.weather.lock().unwrap() = None;
        !std::mem::take(&mut *self.shared.troubles.lock().unwrap()).is_empty()
    }

    /// The requests since the last call, with their keys.
    pub(crate) fn take_seen(&self) -> Vec<(Sort, String)> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

impl Shared {
    async fn hand_on(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (sort, is_head) = (sort(&request), request.method() == Method::HEAD);
        let key = request.uri().path().to_owned();
        let (head, body) = request.into_parts();
        let (mut body, mut keys) = (body.boxed_unsync(), key.clone());
        if sort == Sort::Delete {
            // A deletion of many has its keys in its body.
            let listed = body.collect().await.map_err(|_| Cut)?.to_bytes();
            keys.push_str(&String::from_utf8_lossy(&listed));
            body = Full::new(listed).map_err(|never| match never {}).boxed_unsync();
        }
        let fault = self.fault(sort, &keys);
        self.seen.lock().unwrap().push((sort, key));
        if fault == Some(Fault::CutAtOnce) {
            return Err(Cut);
        }
        if fault == Some(Fault::CutInRequest) {
            // The proxy has read some of the body, if there is any.
            let _ = body.frame().await;
            return Err(Cut);
        }
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        match fault {
            Some(Fault::Answer(status, code)) => return Ok(refusal(status, code, is_head)),
            Some(Fault::Lost) => return Ok(yes()),
            _ => {}
        }
        let sending = match fault {
            // Separate tasks, which continue when the sender has gone.
            Some(Fault::Held) => {
                let (shared, mut released) = (self.clone(), self.released.subscribe());
                self.held.send_modify(|held| *held += 1);
                let held = tokio::spawn(async move {
                    let _ = released.changed().await;
                    let sent = shared.carry_out(head, body).await;
                    shared.held.send_modify(|held| *held -= 1);
                    sent
                });
                held.await.map_err(|_| Cut)?
            }
            Some(Fault::Late(delay)) => {
                let shared = self.clone();
                let late = tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    shared.carry_out(head, body).await
                });
                late.await.map_err(|_| Cut)?
            }
            _ => self.carry_out(head, body).await,
        };
        let answer = sending?;
        let mut back = Response::builder().status(answer.status());
        let headers = back.headers_mut().unwrap();
        *headers = answer.headers().clone();
        headers.remove(http::header::TRANSFER_ENCODING);
        headers.remove(http::header::CONNECTION);
        let body = answer.bytes().await.map_err(|_| Cut)?;
        match fault {
            Some(Fault::CutBeforeAnswer) => return Err(Cut),
            Some(Fault::CutInAnswer) if body.is_empty() => return Err(Cut),
            Some(Fault::CutInAnswer) => {
                headers.insert(http::header::CONTENT_LENGTH, body.len().into());
                let half = body.slice(..body.len() / 2);
                // Sends the half before the cut: otherwise the client would see nothing of the answer at all.
                let cut = async {
                    tokio::task::yield_now().await;
                    Err(Cut)
                };
                let frames = stream::iter([Ok(Frame::data(half))]).chain(stream::once(cut));
                return Ok(back.body(BodyExt::boxed(StreamBody::new(frames))).unwrap());
            }
            Some(Fault::CopyStatus(status)) => {
                let name = HeaderName::from_static("x-ms-copy-status");
                headers.insert(name, HeaderValue::from_static(status));
            }
            _ => {}
        }
        Ok(back.body(whole(body)).unwrap())
    }

    /// Makes the store carry out the request.
    async fn carry_out(&self, head: Parts, body: Bytes) -> Result<reqwest::Response, Cut> {
        let url = format!("{}{}", self.store, head.uri);
        // Keeps the host name, because the signature covers it.
        let sent = self.client.request(head.method, url).headers(head.headers).body(body);
        sent.send().await.map_err(|_| Cut)
    }

    fn fault(&self, sort: Sort, key: &str) -> Option<Fault> {
        if let Some((rng, per_mille)) = &mut *self.weather.lock().unwrap() {
            let strikes = rng.random_range(0..1000) < *per_mille;
            return strikes.then(|| STORM[rng.random_range(0..STORM.len())]);
        }
        let mut troubles = self.troubles.lock().unwrap();
        let concerns =
            |trouble: &Trouble| [Sort::Any, sort].contains(&trouble.sort) && key.contains(&trouble.key);
        let index = troubles.iter().position(concerns)?;
        let fault = troubles[index].fault;
        troubles[index].times -= 1;
        if troubles[index].times == 0 {
            troubles.remove(index);
        }
        Some(fault)
    }
}

/// How long a request that the proxy must hold may take to arrive.
const HOLD_TIMEOUT: Duration = Duration::from_secs(120);

/// The faults of a storm.
const STORM: [Fault; 8] = [
    Fault::Answer(500, "InternalError"),
    Fault::Answer(503, "SlowDown"),
    Fault::Answer(429, "TooManyRequests"),
    Fault::CutAtOnce,
    Fault::CutInRequest,
    Fault::CutBeforeAnswer,
    Fault::CutInAnswer,
    Fault::Late(Duration::from_secs(2)),
];

fn sort(request: &Request<Incoming>) -> Sort {
    let query = request.uri().query().unwrap_or_default();
    let asks = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let copies = request.headers().keys().any(|name| name.as_str().ends_with("-copy-source"));
    match *request.method() {
        Method::GET if asks("list-type") || asks("comp") || asks("uploads") => Sort::List,
        Method::GET => Sort::Get,
        Method::HEAD => Sort::Head,
        Method::PUT if copies => Sort::Copy,
        Method::PUT if asks("partNumber") || query.contains("comp=block&") => Sort::Part,
        Method::PUT if query.contains("comp=blocklist") => Sort::Complete,
        Method::PUT if request.uri().path().ends_with("%21upload") => Sort::State,
        Method::PUT => Sort::Put,
        Method::POST if asks("uploads") => Sort::Begin,
        Method::POST if asks("uploadId") => Sort::Complete,
        _ => Sort::Delete,
    }
}

fn refusal(status: u16, code: &str, is_head: bool) -> Response<BoxBody<Bytes, Cut>> {
    let text = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>It is {code} here.</Message></Error>"
    );
    // An answer to HEAD has no body that could give the reason.
    let body = if is_head { Bytes::new() } else { Bytes::from(text) };
    Response::builder().status(status).body(whole(body)).unwrap()
}

fn yes() -> Response<BoxBody<Bytes, Cut>> {
    let tag = format!("\"{:032x}\"", rand::random::<u128>());
    Response::builder().status(200).header("ETag", tag).body(whole(Bytes::new())).unwrap()
}

fn whole(body: Bytes) -> BoxBody<Bytes, Cut> {
    BodyExt::boxed(Full::new(body).map_err(|never| match never {}))
}
