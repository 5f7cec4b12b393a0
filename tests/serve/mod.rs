//! Servers on real sockets: what clients see of limits, TLS and shutdown.

mod blobs;
mod http2;
mod limits;
mod plain;
mod raw_http2;
mod shutdown;
mod strict;
mod support;
mod tls;
