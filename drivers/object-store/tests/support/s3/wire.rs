//! `Request` and `Answer`: what goes over the wire.

use std::collections::BTreeMap;
use std::io::BufRead;

use percent_encoding::percent_decode_str;

use super::Sort;

pub(super) struct Request {
    pub(super) method: String,
    pub(super) key: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// The length that `HEAD` reports.
    pub(super) len: Option<usize>,
}

impl Request {
    pub(super) fn sort(&self) -> Sort {
        let asks = |name: &str| self.query.contains_key(name);
        let copies = self.headers.contains_key("x-amz-copy-source");
        match self.method.as_str() {
            "GET" if asks("list-type") => Sort::List,
            "GET" if asks("lifecycle") || asks("uploads") => Sort::Other,
            "GET" => Sort::Get,
            "HEAD" => Sort::Head,
            "PUT" if copies && asks("partNumber") => Sort::CopyPart,
            "PUT" if copies => Sort::Copy,
            "PUT" if asks("partNumber") => Sort::Part,
            "PUT" if self.headers.contains_key("if-none-match") => Sort::Create,
            "PUT" if self.headers.contains_key("if-match") => Sort::Update,
            "PUT" => Sort::Put,
            "POST" if asks("uploads") => Sort::Begin,
            "POST" if asks("uploadId") => Sort::Complete,
            _ => Sort::Delete,
        }
    }
}

pub(super) fn read(stream: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |len| len.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    };
    let key = decode(path.trim_start_matches('/').strip_prefix("registry").unwrap_or_default());
    let key = key.trim_start_matches('/').to_owned();
    Some(Request { method, key, query: query.split('&').map(pair).collect(), headers, body })
}

/// The bytes of a header such as `bytes=0-99`.
pub(super) fn bounds(range: &str, len: usize) -> std::ops::Range<usize> {
    let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
    first.parse().unwrap()..last.parse().map_or(len, |last: usize| (last + 1).min(len))
}

pub(super) fn yes(headers: Vec<(String, String)>) -> Answer {
    Answer { status: 200, headers, body: Vec::new(), len: None }
}

pub(super) fn xml(document: String) -> Answer {
    Answer { body: document.into_bytes(), ..yes(Vec::new()) }
}

pub(super) fn refusal(status: u16, code: &str) -> Answer {
    let document = format!("<Error><Code>{code}</Code><Message>It is {code} here.</Message></Error>");
    Answer { status, ..xml(document) }
}

/// The answer of nginx without a route.
pub(super) fn page() -> Answer {
    let body = b"<html><head><title>404 Not Found</title></head></html>".to_vec();
    Answer { status: 404, body, ..yes(vec![("Content-Type".to_owned(), "text/html".to_owned())]) }
}

/// The metadata that a request sets.
pub(super) fn metadata(request: &Request) -> Vec<(String, String)> {
    let metadata = request.headers.iter().filter(|(name, _)| name.starts_with("x-amz-meta-"));
    metadata.map(|(name, value)| (name.clone(), value.clone())).collect()
}
