//! From a socket to a request: listeners, TLS, timeouts, limits and a graceful shutdown.
//!
//! A [`Server`] owns its [`Listener`]s, every connection and every task it starts; when [`Server::run`]
//! returns, none is left. It does not know the registry: it passes requests to one `tower` service, with a
//! [`Peer`] among their extensions.
//!
//! `activity.rs` defines the timeouts of a connection (slow headers, idle and stalled peers),
//! `connections.rs` the limits on their number. A transfer at or above the minimum speed may last forever.

mod activity;
mod bodies;
pub mod certificate;
mod certificate_authority;
mod connection;
mod connections;
mod file_limit;
mod file_sender;
mod header_limit;
mod hints;
mod listener;
mod monitored_io;
mod options;
mod pace;
mod peer;
mod plain_stream;
mod reader_limit;
mod running_clock;
mod server;
mod statistics;
mod stream;
#[cfg(test)]
#[path = "../test_log.rs"]
mod test_log;
pub mod tls;
mod unix_socket;

pub use self::bodies::BodyStalled;
pub use self::connection::Handler;
pub use self::file_limit::{connections_within, files_for, raise_file_limit, soft_file_limit};
pub use self::file_sender::FileSender;
pub use self::listener::{BindError, Listener};
pub use self::options::ServeOptions;
pub use self::peer::{ClientCertificate, Peer, PeerAddress, Scheme};
pub use self::plain_stream::PlainStream;
pub use self::reader_limit::{ReaderLimit, ReaderPermit};
pub use self::server::{Drained, Security, Server};
pub use self::statistics::Statistics;
