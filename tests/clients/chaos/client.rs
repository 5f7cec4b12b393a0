//! `Client`: one connection after the other to a registry that may die at any moment.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sampan_engine::oci::Digest;

/// A client that asks each replica in turn, connected or not.
pub(super) struct Client {
    replicas: Vec<(SocketAddr, Option<BufReader<TcpStream>>)>,
    turn: usize,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    location: Option<String>,
    pub(super) body: Vec<u8>,
}

/// The registry died, or hangs.
pub(super) type Result<T> = io::Result<T>;

impl Client {
    pub(super) fn new(replicas: Vec<SocketAddr>) -> Self {
        Self { replicas: replicas.into_iter().map(|address| (address, None)).collect(), turn: 0 }
    }

    pub(super) fn head(&mut self, path: &str) -> Result<u16> {
        Ok(self.send("HEAD", path, b"")?.status)
    }

    pub(super) fn get(&mut self, path: &str) -> Result<Answer> {
        self.send("GET", path, b"")
    }

    /// Mounts a blob, if the registry agrees, or uploads it.
    pub(super) fn upload(
        &mut self,
        repository: &str,
        content: &[u8],
        mount_from: Option<&str>,
    ) -> Result<u16> {
        let digest = Digest::sha256_of(content);
        let query = mount_from.map(|from| format!("?mount={digest}&from={from}")).unwrap_or_default();
        let begun = self.send("POST", &format!("/v2/{repository}/blobs/uploads/{query}"), b"")?;
        let Some(location) = begun.location.filter(|_| begun.status == 202) else { return Ok(begun.status) };
        let path = location.find("/v2/").map_or("", |begin| &location[begin..]);
        let separator = if path.contains('?') { '&' } else { '?' };
        // A large blob goes to two of them.
        let (first, rest) = content.split_at(if content.len() > 1_000_000 { content.len() / 2 } else { 0 });
        if !first.is_empty() {
            let status = self.send("PATCH", path, first)?.status;
            if status != 202 {
                return Ok(status);
            }
        }
        Ok(self.send("PUT", &format!("{path}{separator}digest={digest}"), rest)?.status)
    }

    /// One request and its answer, over a new connection if the old one has ended.
    pub(super) fn send(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        self.turn = (self.turn + 1) % self.replicas.len();
        self.exchange(method, path, body)
    }

    fn exchange(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let (address, kept) = &mut self.replicas[self.turn];
        // Put back once the request has succeeded.
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(*address)?;
                stream.set_read_timeout(Some(Duration::from_secs(60)))?;
                BufReader::new(stream)
            }
        };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nAccept: {MANIFEST}\r\nContent-Type: {MANIFEST}\r\nContent-Length: {}\r\n\r\n",
            address,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        stream.get_mut().write_all(&request)?;
        let answer = read(&mut stream, method)?;
        *kept = Some(stream);
        Ok(answer)
    }
}

fn read(stream: &mut BufReader<TcpStream>, method: &str) -> Result<Answer> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
    let (mut location, mut len) = (None, 0);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "location" => location = Some(value.to_owned()),
            "content-length" if method != "HEAD" => len = value.parse().map_err(io::Error::other)?,
            _ => {}
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body)?;
    Ok(Answer { status, location, body })
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
