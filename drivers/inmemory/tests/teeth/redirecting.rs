//! `Redirecting`: an in-memory store behind an HTTP server, so that redirects can be correct or wrong.

#![expect(clippy::expect_used, reason = "a server of the tests that cannot serve fails the tests")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use async_trait::async_trait;
use sampan_driver::*;
use url::Url;

/// A decorator that serves the content of `inner`.
#[derive(Debug)]
pub(crate) struct Redirecting {
    inner: Arc<dyn StorageDriver>,
    address: SocketAddr,
}

impl Redirecting {
    /// Starts a server on a free port; it ends with the process.
    pub(crate) fn new(inner: Arc<dyn StorageDriver>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let served = inner.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                answer(&served, connection).expect("the suite waits for the answer");
            }
        });
        Self { inner, address }
    }
}

fn answer(driver: &Arc<dyn StorageDriver>, connection: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    lines.find(String::is_empty);
    let (method, path) = request.split_once(' ').unwrap_or_default();
    let path = path.split(' ').next().unwrap_or_default().parse().expect("a path of the store");
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let content = runtime.block_on(driver.get_content(&path)).map_err(std::io::Error::other)?;
    let mut connection = connection;
    write!(connection, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len())?;
    if method == "GET" {
        connection.write_all(&content)?;
    }
    Ok(())
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Redirecting {
    sampan_driver::forward! { self => self.inner;
        name get_content put_content put_all reader writer stat list list_holding walk rename delete delete_tree
        delete_all sync_deletions check
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { redirect: true, ..self.inner.capabilities() }
    }

    async fn redirect_url(&self, path: &DriverPath, _: RedirectRequest) -> Result<Option<Url>> {
        Ok(format!("http://{}{path}", self.address).parse().ok())
    }
}
