//! A raw client on one HTTP/1.1 connection, for requests that tools would never send.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A connection to a registry.
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
}

/// An answer whose body may still be unread.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    /// The body, unless the caller streams it.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The path of the `Location` header.
    #[track_caller]
    pub(crate) fn location(&self) -> String {
        let location = self.header("location").unwrap_or_else(|| panic!("no Location in {self:?}"));
        match location.split_once("://") {
            Some((_, rest)) => rest[rest.find('/').unwrap()..].to_owned(),
            None => location.to_owned(),
        }
    }
}

impl Wire {
    /// Connects.
    pub(crate) fn connect(host: SocketAddr) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(host).unwrap()), host }
    }

    /// Sends one request with a small body, and returns its answer.
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.begin(method, path, headers, body.len() as u64);
        self.write(body);
        self.finish(method)
    }

    /// Sends the headers of a request whose body follows.
    pub(crate) fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body_len: u64) {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {body_len}\r\n", self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.write(head.as_bytes());
    }

    /// Sends a part of a body. The registry may have answered already and closed the connection; the answer is still readable.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        match self.stream.get_mut().write_all(bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {}
            written => written.unwrap(),
        }
    }

    /// Reads the answer.
    pub(crate) fn finish(&mut self, method: &str) -> Answer {
        let mut answer = self.head();
        let len = match answer.header("content-length") {
            Some(len) if method != "HEAD" && answer.status != 304 => len.parse().unwrap(),
            _ => 0,
        };
        let mut body = vec![0; len];
        let read = self.stream.read_exact(&mut body);
        read.unwrap_or_else(|error| {
            panic!("the body of this answer to {method} breaks off ({error}): {answer:?}")
        });
        answer.body = body;
        answer
    }

    /// Reads the headers of the answer, and leaves its body to `body`.
    pub(crate) fn head(&mut self) -> Answer {
        let status = self.line().split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Answer { status, headers, body: Vec::new() }
    }

    /// The stream of a body.
    pub(crate) fn body(&mut self) -> &mut impl Read {
        &mut self.stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}
