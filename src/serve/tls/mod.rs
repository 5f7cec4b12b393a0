//! TLS: from the files and words of a configuration to what rustls needs, and again whenever the files change.
//!
//! Nothing here falls back to less: a section that cannot be served as written is an error.
//!
//! Records are of up to 16 KiB and rustls buffers 64 KiB of a response before it waits for the socket; both are
//! its defaults and the place to turn when pulls over TLS are to be made cheaper.

mod certificates;
mod cipher_suites;
mod client_auth;
mod error;
mod reloader;
mod settings;

pub use self::error::TlsError;
pub use self::reloader::TlsReloader;
pub use self::settings::{ClientAuth, TlsSettings, TlsVersion};

#[cfg(test)]
mod tests;
