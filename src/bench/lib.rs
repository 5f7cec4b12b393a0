//! Measures OCI registries from outside: their speed, and the resources of the server.
//!
//! Works with any registry, by its URL and over HTTP/1.1; knows nothing of ours. With two servers it gives each the same work
//! in turn (A B A B …), and the ratios are medians over the pairs, so a busy minute of the machine affects both.
//!
//! Three rules keep the figures honest.
//! Pushed content is new each time, so no registry can skip it. Making content, hashing, connecting, fetching tokens, set-up
//! and clean-up are outside the measured time. A run never retries: a failed request ends it, because figures with failures
//! mean nothing.
//!
//! The caller prints; [`Report`] can be displayed as a table and serialized.

mod auth;
mod benched_server;
mod client;
mod cold;
mod content;
mod endpoint;
mod error;
mod job;
mod material;
mod measure;
mod options;
mod process;
mod registry;
mod report;
mod run;
mod table;
mod tls;
mod workload;

pub use error::{Error, Result};
pub use options::{Credentials, Kind, Options, Target, TlsOptions};
pub use report::{Comparison, Figures, Ratio, Report, Row};
pub use run::run;
pub use workload::Workload;
