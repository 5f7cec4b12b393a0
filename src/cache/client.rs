//! `Client`: the party for which an upstream is asked: requests that wait for one are served in turn by it.

use std::net::IpAddr;

/// The party for which an upstream is asked.
///
/// It is an address, as the access log has it, and not a user: the nodes of a cluster often share one account, and wait one
/// by one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Client {
    /// No client: copies and completions. They have one turn together, as if they were one client, so that they neither starve
    /// nor delay a client by more than one request for each place.
    Background,
    /// A client without an address, such as behind a unix socket.
    Local,
    /// The clients of an address, or of a network of IPv6.
    Address(IpAddr),
}
