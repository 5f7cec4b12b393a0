//! A receiver of notifications, which accepts them, fails or hangs, as the test sets it.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

/// The receiver's reaction to a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ReceiverMode {
    Takes,
    Fails,
    Hangs,
}

/// A running receiver.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

struct Shared {
    mood: Mutex<ReceiverMode>,
    taken: Mutex<Vec<(HeaderMap, String)>>,
    attempts: Mutex<u32>,
    /// One condition variable for each of the two mutexes.
    taken_news: Condvar,
    attempt_news: Condvar,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        let shared = Arc::new(Shared {
            mood: Mutex::new(ReceiverMode::Takes),
            taken: Mutex::default(),
            attempts: Mutex::default(),
            taken_news: Condvar::new(),
            attempt_news: Condvar::new(),
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/events", post(receive)).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, shared, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    pub(crate) fn is(&self, mood: ReceiverMode) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    /// Waits until the total of attempts reaches this number.
    #[track_caller]
    pub(crate) fn wait_for_attempts(&self, number: u32) {
        let attempts = self.shared.attempts.lock().unwrap();
        let wait = self
            .shared
            .attempt_news
            .wait_timeout_while(attempts, Duration::from_secs(60), |made| *made < number);
        assert!(!wait.unwrap().1.timed_out());
    }

    /// Waits until the receiver has accepted this many events, and returns them with their headers.
    #[track_caller]
    pub(crate) fn wait_for(&self, number: usize) -> Vec<(HeaderMap, String)> {
        let taken = self.shared.taken.lock().unwrap();
        let enough = |taken: &mut Vec<(HeaderMap, String)>| taken.len() < number;
        let (taken, timeout) =
            self.shared.taken_news.wait_timeout_while(taken, Duration::from_secs(60), enough).unwrap();
        assert!(!timeout.timed_out(), "{} of {number} events came: {taken:?}", taken.len());
        taken.clone()
    }

    /// The same, without the headers.
    #[track_caller]
    pub(crate) fn events(&self, number: usize) -> Vec<Value> {
        let event = |(_, body): (HeaderMap, String)| {
            let envelope: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(envelope["events"].as_array().unwrap().len(), 1);
            envelope["events"][0].clone()
        };
        self.wait_for(number).into_iter().map(event).collect()
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> StatusCode {
    *shared.attempts.lock().unwrap() += 1;
    shared.attempt_news.notify_all();
    let mood = *shared.mood.lock().unwrap();
    match mood {
        ReceiverMode::Fails => StatusCode::INTERNAL_SERVER_ERROR,
        ReceiverMode::Hangs => std::future::pending().await,
        ReceiverMode::Takes => {
            shared.taken.lock().unwrap().push((headers, body));
            shared.taken_news.notify_all();
            StatusCode::OK
        }
    }
}
