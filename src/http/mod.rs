//! The HTTP API: OCI distribution-spec 1.1 and its main branch, and what Docker's clients rely on.
//!
//! Handlers translate, the engine decides: status codes and headers exist here alone, and nothing here knows of paths in
//! the store. Absent on purpose: sockets and TLS (`serve`), how a client proves who it is (`auth`).

use axum::Router;
use tower::ServiceBuilder;

use layers::Around;

pub mod body;
mod client_address;
mod context;
mod doubt;
mod endpoint;
pub mod error;
mod extract;
pub mod fold_name;
mod handlers;
mod headers;
mod layers;
mod location;
mod mapping;
mod metrics;
mod multipart;
mod prefix;
mod repository_metrics;
mod routes;
mod state;

pub use client_address::TrustedProxies;
pub use context::RequestContext;
pub use endpoint::Endpoint;
pub use error::{ApiError, ErrorCode};
pub use metrics::HttpMetrics;
pub use prefix::{InvalidPrefix, Prefix};
pub use state::{AccessSink, AppState, HttpOptions, TraceParent};

/// Everything that a client can reach, ready to be served.
///
/// The layers, from the outside in:
///
/// 1. `Trace` makes a span of the whole, if traces are wanted;
/// 2. `Observe` gives the request its id, and says when and how it ended, whatever happens further in;
/// 3. `Dress` adds the headers that every answer of the API carries, also those that the two further in give themselves;
/// 4. `CatchPanic` makes an answer of a panic, so that the layers outside see one;
/// 5. `GuardHealth` answers probes, and everything while a health check fails;
/// 6. `FoldName` must be outside the router, which chooses the handler by the path that is rewritten here;
/// 7. `LimitUploads` reads the rewritten path.
pub fn router(state: AppState) -> Router {
    let api = ServiceBuilder::new()
        .layer(Around(layers::Trace::new(&state)))
        .layer(Around(layers::Observe::new(&state)))
        .layer(Around(layers::Dress::new(&state)))
        .layer(Around(layers::CatchPanic))
        .layer(Around(layers::GuardHealth::new(&state)))
        .layer(Around(layers::FoldName::new(&state)))
        .layer(Around(layers::LimitUploads::new(&state)))
        .service(routes::table().with_state(state));
    Router::new().fallback_service(api)
}
