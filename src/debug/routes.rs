//! The routes of the debug listener; add a page here.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::Parts;
use super::guard::{self, Guard};
use super::handlers::{
    go_offline, go_online, index_text, livez, not_found, readyz, show_cache, show_config, show_gc,
    show_health, show_index, show_metrics, show_sync, show_verify, start_gc,
};

/// The routes of all pages.
pub(super) fn table(parts: Parts) -> Router {
    let Parts { health, metrics, config, collector, verifier, caches, syncer, hosts } = parts;
    let mut pages = vec!["/debug/health", "/debug/config", "/debug/gc", "/debug/verify", "/livez", "/readyz"];
    let mut router = Router::new()
        .route("/debug/health", get(show_health).with_state(health.clone()))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz).with_state(health))
        .route("/debug/config", get(show_config).with_state(config))
        .route("/debug/gc", get(show_gc).post(start_gc).with_state(collector.clone()))
        .route("/debug/verify", get(show_verify).with_state(verifier));
    if let Some(caches) = caches {
        pages.extend(["/debug/cache", "/debug/offline"]);
        let offline = post(go_offline).delete(go_online).with_state((caches.clone(), collector));
        let offline = offline.merge(get(show_cache).with_state(caches.clone()));
        router =
            router.route("/debug/cache", get(show_cache).with_state(caches)).route("/debug/offline", offline);
    }
    if let Some(syncer) = syncer {
        pages.push("/debug/sync");
        router = router.route("/debug/sync", get(show_sync).with_state(syncer));
    }
    if let Some(page) = &metrics {
        pages.push(&page.path);
        router = router.route(&page.path, get(show_metrics).with_state(page.metrics.clone()));
    }
    let open = ["/debug/health", "/livez", "/readyz"]
        .into_iter()
        .chain(metrics.as_ref().map(|page| page.path.as_str()));
    let guard = Guard::new(hosts, open.map(str::to_owned).collect());
    let index = index_text(&pages);
    if !pages.contains(&"/") {
        router = router.route("/", get(show_index).with_state(index.clone()));
    }
    let router = router.fallback(not_found).with_state(index);
    router.layer(from_fn_with_state(guard, guard::guard))
}
