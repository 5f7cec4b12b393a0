//! `Server`: listeners, their connections, and a shutdown that waits for them.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::connection::{self, Handler, Shared};
use super::connections::{Connections, Occasionally};
use super::listener::Listener;
use super::options::ServeOptions;
use super::statistics::Statistics;
use super::tls::TlsReloader;

/// The pause after an `accept` error that persists, such as too many open files.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(250);

/// How long cut connections may take to end; their tasks only need to be dropped.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);

/// A server to configure and then [run](Self::run).
#[derive(Debug)]
pub struct Server<S> {
    service: S,
    options: ServeOptions,
    listeners: Vec<(Listener, Security)>,
    statistics: Statistics,
    log_prefix: &'static str,
}

/// Whether a listener uses TLS. A TLS listener accepts nothing else.
#[derive(Clone, Debug)]
pub enum Security {
    /// Plain connections.
    Plain,
    /// TLS; the files are watched while the server runs.
    Tls(Arc<TlsReloader>),
}

/// How a server ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Connections cut because their requests exceeded the drain timeout.
    pub aborted: usize,
}

/// The phase of a server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    Serving,
    /// No new connections; running requests finish.
    Draining,
    /// All connections end.
    Stopping,
}

impl<S: Handler> Server<S> {
    /// Creates a server that passes requests to `service`.
    pub fn new(service: S, options: ServeOptions) -> Self {
        Self {
            service,
            options,
            listeners: Vec::new(),
            statistics: Statistics::default(),
            log_prefix: "listening on",
        }
    }

    /// Replaces `listening on` before the address in the log.
    #[must_use]
    pub fn log_prefix(mut self, log_prefix: &'static str) -> Self {
        self.log_prefix = log_prefix;
        self
    }

    /// Adds a listener.
    #[must_use]
    pub fn listen(mut self, listener: Listener, security: Security) -> Self {
        self.listeners.push((listener, security));
        self
    }

    /// The server's counters.
    pub fn statistics(&self) -> Statistics {
        self.statistics.clone()
    }

    /// Serves until `shutdown` completes; then stops accepting, lets running requests finish, and cuts those
    /// that exceed the drain timeout.
    ///
    /// Dropping the future cuts everything at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let Self { service, options, listeners, statistics, log_prefix } = self;
        let (phase, phase_seen) = watch::channel(Phase::Serving);
        let tasks = TaskTracker::new();
        let shared = Shared {
            service,
            statistics,
            phase: phase_seen.clone(),
            tasks: tasks.clone(),
            options: options.clone(),
        };
        let connections = Arc::new(Connections::new(options.clone()));
        let helpers = TaskTracker::new();
        for (listener, security) in listeners {
            let tls = match security {
                Security::Plain => None,
                Security::Tls(reloader) => Some(reloader),
            };
            let kind = if tls.is_some() { ", tls" } else { "" };
            tracing::info!("{log_prefix} {listener}{kind}");
            if let Some(reloader) = tls.clone() {
                helpers.spawn(until_draining(phase_seen.clone(), async move { reloader.watch().await }));
            }
            let accepting = accept(listener, tls, Arc::clone(&connections), shared.clone());
            helpers.spawn(until_draining(phase_seen.clone(), accepting));
        }
        drop(shared);

        shutdown.await;
        phase.send_replace(Phase::Draining);
        // Close the listeners before waiting for anything, so that a successor can bind at once.
        helpers.close();
        helpers.wait().await;
        tasks.close();
        let open = connections.open();
        if open > 0 {
            tracing::info!(
                open,
                "shutting down, waiting up to {:?} for {}; a second signal ends at once",
                options.drain_timeout,
                in_words(open)
            );
        }
        if timeout(options.drain_timeout, tasks.wait()).await.is_ok() {
            return Drained { aborted: 0 };
        }
        let aborted = connections.open();
        if aborted > 0 {
            tracing::warn!(aborted, "cutting {} that exceeded the drain timeout", in_words(aborted));
        }
        phase.send_replace(Phase::Stopping);
        if timeout(ABORT_TIMEOUT, tasks.wait()).await.is_err() {
            tracing::error!(tasks = tasks.len(), "tasks of cut connections do not end; ending without them");
        }
        Drained { aborted }
    }
}

fn in_words(connections: usize) -> String {
    format!("{connections} connection{}", if connections == 1 { "" } else { "s" })
}

async fn until_draining(mut phase: watch::Receiver<Phase>, work: impl Future<Output = ()>) {
    tokio::select! {
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => {}
        () = work => {}
    }
}

async fn accept<S: Handler>(
    listener: Listener,
    tls: Option<Arc<TlsReloader>>,
    connections: Arc<Connections>,
    shared: Shared<S>,
) {
    let mut error_log = Occasionally::default();
    loop {
        let (accepted, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                if error_log.is_due() {
                    tracing::error!(
                        %error,
                        "cannot accept connections on {listener}: if too many files are open, raise the limit \
                         (ulimit -n, LimitNOFILE) or lower http.limits.maxconnections"
                    );
                }
                sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        // Listeners do not starve each other: each requests a place only for an accepted connection.
        let Some(place) = connections.admit(address).await else { continue };
        let (tls, shared, tasks) = (tls.clone(), shared.clone(), shared.tasks.clone());
        let open = shared.statistics.opened();
        tasks.spawn(async move {
            let _held_until_the_end = open;
            connection::serve(accepted, address, &place, tls.as_deref(), shared).await;
        });
    }
}

/// Whether the error concerns one client that disconnected before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected};
    // Setting an option on a dead socket fails with InvalidInput.
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | InvalidInput | NotConnected
    )
}
