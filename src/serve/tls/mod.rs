//! TLS: turns the configuration and its files into a rustls configuration, again whenever the files change.
//!
//! No setting falls back to a weaker one: a section that cannot be served as written is an error.
//!
//! Records have up to 16 KiB and rustls buffers 64 KiB of a response before it waits for the socket. Both are
//! its defaults, and the settings to tune if pulls over TLS should become cheaper.

mod authorities;
mod certificates;
mod cipher_suites;
mod client_auth;
mod error;
mod reloader;

pub use self::error::TlsError;
pub use self::reloader::TlsReloader;

#[cfg(test)]
mod tests;
