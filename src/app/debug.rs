//! The debug listener: its parts, and its lifetime.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use sampan_cache::Caches;
use sampan_config::{DebugConfig, HttpConfig, ListenAddress, Loaded};
use tokio::sync::oneshot;

use super::{AppError, network};
use crate::debug::{MetricsPage, Parts, router};
use crate::health::HealthStatus;
use crate::maintenance::{Collector, Syncer, Verifier};
use crate::serve::{Drained, Security, ServeOptions, Server};
use crate::telemetry::Metrics;

/// The components of a registry that the debug listener shows.
pub(super) struct DebugParts {
    pub(super) collector: Arc<Collector>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) caches: Option<Caches>,
    pub(super) syncer: Option<Arc<Syncer>>,
}

/// The server at `http.debug.addr`, if configured.
pub(super) async fn server(
    loaded: &Loaded,
    health: HealthStatus,
    metrics: Option<Metrics>,
    shown: DebugParts,
) -> Result<Option<Server<Router>>, AppError> {
    let Some(debug) = &loaded.config.http.debug else { return Ok(None) };
    let Some(listener) = network::debug_listener(debug).await? else { return Ok(None) };
    let path = debug.prometheus.path.clone();
    let metrics = metrics.map(|metrics| MetricsPage { path, metrics });
    let hosts = hosts(&loaded.config.http, debug);
    let DebugParts { collector, verifier, caches, syncer } = shown;
    let config = sampan_config::show(loaded);
    let parts = Parts { health, metrics, config, collector, verifier, caches, syncer, hosts };
    // Its pages are small, so the shutdown does not wait for longer answers.
    let options = ServeOptions {
        max_connections: 64,
        drain_timeout: Duration::from_secs(1),
        ..ServeOptions::default()
    };
    let server = Server::new(router(parts), options).log_prefix("debug server listening");
    Ok(Some(server.listen(listener, Security::Plain)))
}

/// The host names that the listener accepts: those of the configuration, and this machine's.
fn hosts(http: &HttpConfig, debug: &DebugConfig) -> Vec<String> {
    let system = rustix::system::uname();
    let mut hosts = debug.hosts.clone();
    hosts.push(system.nodename().to_string_lossy().into_owned());
    hosts.extend(http.host.as_ref().and_then(|host| host.as_url().host_str()).map(str::to_owned));
    if let Some(ListenAddress::Tcp { host: Some(host), .. }) = &debug.addr {
        hosts.push(host.clone());
    }
    hosts
}

/// Serves until the registry has ended, and returns the result.
pub(super) async fn run(server: Option<Server<Router>>, over: oneshot::Receiver<Drained>) -> Drained {
    let mut drained = Drained { aborted: 0 };
    let over = async {
        if let Ok(ended) = over.await {
            drained = ended;
        }
    };
    match server {
        Some(server) => _ = server.run(over).await,
        None => over.await,
    }
    drained
}
