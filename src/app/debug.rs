//! The debug listener: its parts, and its time.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::oneshot;

use super::{AppError, network};
use crate::collector::Collector;
use crate::config::{self, Loaded};
use crate::debug::{MetricsPage, Parts, router};
use crate::health::Board;
use crate::serve::{Drained, Security, ServeOptions, Server};
use crate::telemetry::Metrics;

/// The server at `http.debug.addr`, if there is to be one.
pub(super) async fn server(
    loaded: &Loaded,
    health: Board,
    metrics: Option<Metrics>,
    collector: Arc<Collector>,
) -> Result<Option<Server<Router>>, AppError> {
    let Some(debug) = &loaded.config.http.debug else { return Ok(None) };
    let Some(listener) = network::debug_listener(debug).await? else { return Ok(None) };
    let path = debug.prometheus.path.clone();
    let metrics = metrics.map(|metrics| MetricsPage { path, metrics });
    let parts = Parts { health, metrics, config: config::show(loaded), collector };
    // Its pages are small; what takes longer at the end is not waited for.
    let options = ServeOptions {
        max_connections: 64,
        drain_timeout: Duration::from_secs(1),
        ..ServeOptions::default()
    };
    let server = Server::new(router(parts), options).greeting("debug server listening");
    Ok(Some(server.listen(listener, Security::Plain)))
}

/// Serves until the registry is over, and gives how that ended.
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
