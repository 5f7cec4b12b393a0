//! `Redirecting`: a store in memory with an HTTP server in front, so that redirects can be true or false.

#![expect(clippy::expect_used, reason = "a server of the tests that cannot serve fails the tests")]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use sampan_driver::*;
use url::Url;

/// A decorator that serves what `inner` has.
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
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { redirect: true, ..self.inner.capabilities() }
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        self.inner.get_content(path).await
    }

    async fn put_content(&self, path: &DriverPath, content: Bytes, mode: PutMode) -> Result<()> {
        self.inner.put_content(path, content, mode).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        self.inner.reader(path, range).await
    }

    async fn writer(&self, path: &DriverPath, mode: WriteMode) -> Result<Box<dyn FileWriter>> {
        self.inner.writer(path, mode).await
    }

    async fn stat(&self, path: &DriverPath) -> Result<FileInfo> {
        self.inner.stat(path).await
    }

    fn list(&self, path: &DriverPath, after: Option<&str>) -> BoxStream<'static, Result<DirEntry>> {
        self.inner.list(path, after)
    }

    fn list_holding(
        &self,
        path: &DriverPath,
        after: Option<&str>,
        holding: &str,
    ) -> BoxStream<'static, Result<DirEntry>> {
        self.inner.list_holding(path, after, holding)
    }

    fn walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> BoxStream<'static, Result<FileInfo>> {
        self.inner.walk(path, after)
    }

    async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        self.inner.rename(from, to).await
    }

    async fn delete(&self, path: &DriverPath) -> Result<()> {
        self.inner.delete(path).await
    }

    async fn delete_tree(&self, path: &DriverPath) -> Result<()> {
        self.inner.delete_tree(path).await
    }

    fn delete_all(
        &self,
        paths: BoxStream<'static, DriverPath>,
        until: Deadline,
    ) -> BoxStream<'static, (DriverPath, Result<()>)> {
        self.inner.delete_all(paths, until)
    }

    async fn sync_deletions(&self, paths: &[DriverPath]) -> Result<()> {
        self.inner.sync_deletions(paths).await
    }

    async fn check(&self) -> Result<Condition> {
        self.inner.check().await
    }

    async fn redirect_url(&self, path: &DriverPath, _: RedirectRequest) -> Result<Option<Url>> {
        Ok(format!("http://{}{path}", self.address).parse().ok())
    }
}
