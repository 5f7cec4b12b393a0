//! The routes of the debug listener; add a page here.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;

use super::Parts;
use super::guard::{self, Guard};
use super::handlers::{config, gc, health, index, metrics, probes};

/// The routes of all pages.
pub(super) fn table(parts: Parts) -> Router {
    let Parts { health, metrics, config, collector, hosts } = parts;
    let mut pages = vec!["/debug/health", "/debug/config", "/debug/gc", "/livez", "/readyz"];
    let mut router = Router::new()
        .route("/debug/health", get(health::show).with_state(health.clone()))
        .route("/livez", get(probes::livez))
        .route("/readyz", get(probes::readyz).with_state(health))
        .route("/debug/config", get(config::show).with_state(config))
        .route("/debug/gc", get(gc::show).post(gc::start).with_state(collector));
    if let Some(page) = &metrics {
        pages.push(&page.path);
        router = router.route(&page.path, get(metrics::show).with_state(page.metrics.clone()));
    }
    let open = ["/debug/health", "/livez", "/readyz"]
        .into_iter()
        .chain(metrics.as_ref().map(|page| page.path.as_str()));
    let guard = Guard::new(hosts, open.map(str::to_owned).collect());
    let index = index::text(&pages);
    if !pages.contains(&"/") {
        router = router.route("/", get(index::show).with_state(index.clone()));
    }
    let router = router.fallback(index::not_found).with_state(index);
    router.layer(from_fn_with_state(guard, guard::guard))
}
