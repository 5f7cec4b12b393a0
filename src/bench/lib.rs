//! Measures OCI registries from outside: how fast they answer, and what the server spends on it.
//!
//! Any registry can be measured, by its URL and over HTTP/1.1 alone; nothing here knows ours.
//! With two, the same work is given to them in turn (A B A B …), and the ratios are medians over the pairs, since a
//! machine that is busier for a minute is then busier for both.
//!
//! Three rules keep the figures honest.
//! What is pushed is new each time, so that no registry gets away with knowing it already.
//! Making content, hashing it, connecting, asking for tokens, setting up and cleaning up happen while the clock stands.
//! Nothing is tried again: a request that fails ends the run, because a figure with failures in it means nothing.
//!
//! Printing is left to the caller; [`Report`] can be displayed as a table and serialized.

mod auth;
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
mod side;
mod table;
mod tls;
mod work;

pub use error::{Error, Result};
pub use options::{Credentials, Kind, Options, Target, TlsOptions};
pub use report::{Comparison, Figures, Ratio, Report, Row};
pub use run::run;
pub use work::Work;
