//! `Listener`: a listening socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;

use sampan_config::ListenAddress;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream, lookup_host};

use super::peer::PeerAddress;
use super::unix_socket::UnixSocket;

/// The length of the kernel's accept queue.
const BACKLOG: u32 = 4096;

/// An open listening socket.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixSocket),
}

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The error of a listen address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key}): {remedy}")]
pub struct BindError {
    address: String,
    /// The configuration key of the address.
    key: &'static str,
    remedy: String,
    source: io::Error,
}

impl Listener {
    /// Binds a socket to `address`, which the configuration has under `key`, such as `http.addr`.
    ///
    /// # Errors
    ///
    /// The address is in use, not permitted, or not one of this machine.
    pub async fn bind(address: &ListenAddress, key: &'static str) -> Result<Self, BindError> {
        let bound = match address {
            ListenAddress::Tcp { host: None, port } => bind_all(*port).map(Kind::Tcp),
            ListenAddress::Tcp { host: Some(host), port } => bind_host(host, *port).await.map(Kind::Tcp),
            ListenAddress::Unix(path) => UnixSocket::bind(path).map(Kind::Unix),
        };
        bound.map(Self).map_err(|source| {
            let remedy = remedy(address, key, &source);
            BindError { address: address.to_string(), key, remedy, source }
        })
    }

    /// Wraps a socket that is already listening, such as one from systemd.
    ///
    /// # Errors
    ///
    /// The socket cannot be made non-blocking.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self(Kind::Tcp(TcpListener::from_std(listener)?)))
    }

    /// Wraps a unix socket that is already listening; its file is not removed on drop.
    ///
    /// # Errors
    ///
    /// The socket cannot be made non-blocking.
    pub fn from_std_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        UnixSocket::from_std(listener).map(Kind::Unix).map(Self)
    }

    /// The bound address and port; `None` for a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix(_) => None,
        }
    }

    /// Accepts a connection. Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<(Accepted, PeerAddress)> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (socket, address) = listener.accept().await?;
                // Each write is complete, so a response must not wait for the client's acknowledgement
                // (Nagle).
                socket.set_nodelay(true)?;
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                Ok((Accepted::Tcp(socket), PeerAddress::Tcp(address)))
            }
            Kind::Unix(socket) => Ok((Accepted::Unix(socket.accept().await?), PeerAddress::Unix)),
        }
    }
}

impl std::fmt::Display for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("a closed socket"),
            },
            Kind::Unix(socket) => socket.fmt(f),
        }
    }
}

/// Binds one socket for IPv6 and IPv4, or for IPv4 alone on a machine without IPv6.
fn bind_all(port: u16) -> io::Result<TcpListener> {
    let bound = TcpSocket::new_v6().and_then(|socket| {
        rustix::net::sockopt::set_ipv6_v6only(socket.as_fd(), false)?;
        listen(socket, (Ipv6Addr::UNSPECIFIED, port).into())
    });
    match bound {
        Err(error) if is_without_ipv6(&error) => bind_tcp((Ipv4Addr::UNSPECIFIED, port).into()),
        other => other,
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
        || error.kind() == io::ErrorKind::AddrNotAvailable
}

/// As for Distribution, `0.0.0.0` and `[::]` are all addresses of the machine, IPv6 and IPv4.
async fn bind_host(host: &str, port: u16) -> io::Result<TcpListener> {
    match host.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => bind_all(port),
        Ok(ip) => bind_tcp(SocketAddr::new(ip, port)),
        Err(_) => bind_named(host, port).await,
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    listen(socket, address)
}

/// Binds the first of the name's addresses that works.
async fn bind_named(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut last = NoAddress("the name has no address".to_owned()).into();
    // IPv4 first, as Go chooses when a name has both.
    let found = lookup_host((host, port)).await.map_err(|error| NoAddress(error.to_string()))?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    for address in addresses {
        match bind_tcp(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A host name without an address, with the resolver's message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoAddress(String);

impl From<NoAddress> for io::Error {
    fn from(error: NoAddress) -> Self {
        Self::other(error)
    }
}

fn listen(socket: TcpSocket, address: SocketAddr) -> io::Result<TcpListener> {
    // Lets a restart bind while connections of the last run time out. A port in use stays refused.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn remedy(address: &ListenAddress, key: &str, error: &io::Error) -> String {
    match error.kind() {
        _ if error.get_ref().is_some_and(|cause| cause.is::<NoAddress>()) => {
            let ListenAddress::Tcp { host: Some(host), port } = address else {
                return format!("check {key}");
            };
            format!(
                "no address is known for the name {host}: correct {key}, or set it to `:{port}` for all addresses"
            )
        }
        io::ErrorKind::AddrInUse => {
            format!("another process listens on it: stop it, or set {key} to another address")
        }
        io::ErrorKind::AddrNotAvailable => {
            let port = match address {
                ListenAddress::Tcp { port, .. } => *port,
                ListenAddress::Unix(_) => 0,
            };
            format!(
                "no network interface of this machine has that address: set {key} to one that has, or to `:{port}` for all"
            )
        }
        io::ErrorKind::PermissionDenied => match address {
            ListenAddress::Unix(_) => {
                "permission to create the file is missing: check the directory's owner and mode".to_owned()
            }
            _ => {
                format!("ports below 1024 need CAP_NET_BIND_SERVICE: grant it, or set {key} to a higher port")
            }
        },
        io::ErrorKind::NotFound => "the directory does not exist: create it".to_owned(),
        _ => format!("check {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn bind(text: &str) -> Result<Listener, BindError> {
        Listener::bind(&text.parse().unwrap(), "http.addr").await
    }

    #[tokio::test]
    async fn a_taken_port_names_address_key_and_remedy() {
        let first = bind("127.0.0.1:0").await.unwrap();
        let address = first.local_addr().unwrap().to_string();
        let error = bind(&address).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "cannot listen on {address} (http.addr): another process listens on it: stop it, \
                 or set http.addr to another address"
            )
        );
    }

    #[tokio::test]
    async fn all_interfaces_are_ipv4_too() {
        let listener = bind("0.0.0.0:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, PeerAddress::Tcp(client.local_addr().unwrap()), "not mapped into IPv6");
    }

    #[tokio::test]
    async fn a_foreign_address_is_explained() {
        let error = bind("192.0.2.1:0").await.unwrap_err().to_string();
        assert!(error.contains("no network interface of this machine has that address"), "{error}");
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_explained() {
        let error = bind("nowhere.invalid:5000").await.unwrap_err().to_string();
        let told = "no address is known for the name nowhere.invalid: correct http.addr, or set it to `:5000` for all addresses";
        assert!(error.contains(told), "{error}");
    }

    #[tokio::test]
    async fn a_name_is_resolved() {
        assert!(bind("localhost:0").await.unwrap().local_addr().unwrap().ip().is_loopback());
    }
}
