//! Servers on real sockets: what clients see of limits, TLS and shutdown.

mod blobs;
mod limits;
mod plain;
mod shutdown;
mod support;
mod tls;
