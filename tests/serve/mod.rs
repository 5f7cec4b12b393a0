//! Servers on real sockets: what clients see of limits, TLS and shutdown.

mod limits;
mod plain;
mod shutdown;
mod support;
mod tls;
