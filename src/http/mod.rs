//! The HTTP API: OCI distribution-spec 1.1 and its main branch, and the behaviour that Docker's clients rely
//! on.
//!
//! Handlers translate, the engine decides. Status codes and headers exist only here; paths in the store do
//! not. Absent on purpose: sockets and TLS (`serve`), authentication (`auth`).

pub mod body;
mod client_address;
mod content;
mod context;
mod credentials;
mod dispatch;
mod document_budget;
pub mod error;
mod extract;
mod handlers;
mod headers;
mod layers;
mod mapping;
mod metrics;
mod multipart;
mod page;
mod page_gate;
mod page_slot;
mod page_tokens;
mod prefix;
mod proxy_warning;
mod record;
mod repository_metrics;
pub mod route;
mod service;
mod state;
mod url_builder;

pub use client_address::TrustedProxies;
pub use context::RequestContext;
pub use error::{ApiError, ErrorCode};
pub use metrics::HttpMetrics;
pub use page_gate::PageGate;
pub use page_slot::PageSlot;
pub use prefix::{InvalidPrefix, Prefix};
pub use service::Api;
pub use state::{AccessSink, AppState, HttpOptions, HttpServices, TraceParent};
