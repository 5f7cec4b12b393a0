//! Servers on real sockets: limits, TLS and shutdown as clients see them.

mod blobs;
mod bundles;
mod http2;
mod limits;
mod plain;
mod raw_http2;
mod shutdown;
mod strict;
mod support;
mod tls;
