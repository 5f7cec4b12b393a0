//! A registry without the referrers API, as Distribution 2 is.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use sampan_client::{ClientOptions, RegistryClient};
use sampan_engine::oci::{Algorithm, Digest, MediaType};
use serde_json::Value;

/// A registry in threads of the test, which end with their connections.
pub(crate) struct FakeDistribution {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    blobs: HashMap<String, Vec<u8>>,
    /// By repository and digest.
    manifests: BTreeMap<(String, String), Vec<u8>>,
    /// By repository and tag.
    tags: BTreeMap<(String, String), String>,
    refuses_fallback_tags: bool,
    knows_sha256_only: bool,
    manifest_writes: usize,
    /// By the numbers of uploads: what they have.
    uploads: HashMap<usize, Vec<u8>>,
    begun_uploads: usize,
    /// How many uploads it still loses, each with its first chunk.
    losses: usize,
}

impl FakeDistribution {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = shared.clone();
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { address, state }
    }

    pub(crate) fn client(&self) -> RegistryClient {
        let address = format!("http://{}", self.address).parse().unwrap();
        RegistryClient::new(address, ClientOptions::default()).unwrap()
    }

    /// Whether writes of fallback tags are refused.
    pub(crate) fn refuse_fallback_tags(&self, refuses: bool) {
        self.state.lock().unwrap().refuses_fallback_tags = refuses;
    }

    /// Refuses content by any other digest than sha256.
    pub(crate) fn know_sha256_only(&self) {
        self.state.lock().unwrap().knows_sha256_only = true;
    }

    /// The digest of a tag.
    pub(crate) fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        self.state.lock().unwrap().tags.get(&(repository.to_owned(), tag.to_owned())).cloned()
    }

    /// Loses this many uploads, each with its first chunk.
    pub(crate) fn lose_uploads(&self, count: usize) {
        self.state.lock().unwrap().losses = count;
    }

    /// The number of uploads that were begun.
    pub(crate) fn begun_uploads(&self) -> usize {
        self.state.lock().unwrap().begun_uploads
    }

    /// The number of manifests that were written.
    pub(crate) fn manifest_writes(&self) -> usize {
        self.state.lock().unwrap().manifest_writes
    }

    /// The digests that the index under a tag lists, sorted; none without the tag.
    pub(crate) fn entries(&self, repository: &str, tag: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let Some(digest) = state.tags.get(&(repository.to_owned(), tag.to_owned())) else {
            return Vec::new();
        };
        let index: Value =
            serde_json::from_slice(&state.manifests[&(repository.to_owned(), digest.clone())]).unwrap();
        let entries = index["manifests"].as_array().unwrap().iter();
        let mut entries: Vec<String> =
            entries.map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect();
        entries.sort();
        entries
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).unwrap_or(0) > 0 {
        let (mut len, mut header) = (0, String::new());
        while stream.read_line(&mut header).unwrap() > 2 {
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                len = value.trim().parse().unwrap();
            }
            header.clear();
        }
        let mut body = vec![0; len];
        stream.read_exact(&mut body).unwrap();
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let (status, headers, body) = state.lock().unwrap().answer(method, path, body);
        let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        if method != "HEAD" {
            stream.get_mut().write_all(&body).unwrap();
        }
        line.clear();
    }
}

impl State {
    fn answer(&mut self, method: &str, path: &str, body: Vec<u8>) -> (u16, String, Vec<u8>) {
        let path = path.strip_prefix("/v2/").unwrap();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if let Some((repository, upload)) = path.split_once("/blobs/uploads/") {
            return self.upload(method, repository, upload, query, body);
        }
        if let Some((_, digest)) = path.split_once("/blobs/") {
            return match self.blobs.get(digest) {
                Some(bytes) => (200, String::new(), bytes.clone()),
                None => (404, String::new(), Vec::new()),
            };
        }
        match path.split_once("/manifests/") {
            Some((repository, reference)) => self.manifest(method, repository, reference, body),
            // It has no list of tags.
            None if path == "_catalog" => {
                let names: BTreeSet<&String> = self.manifests.keys().map(|(name, _)| name).collect();
                (200, String::new(), serde_json::json!({ "repositories": names }).to_string().into_bytes())
            }
            None => (404, String::new(), b"404 page not found\n".to_vec()),
        }
    }

    fn upload(
        &mut self,
        method: &str,
        repository: &str,
        upload: &str,
        query: &str,
        body: Vec<u8>,
    ) -> (u16, String, Vec<u8>) {
        if method == "POST" {
            self.begun_uploads += 1;
            self.uploads.insert(self.begun_uploads, Vec::new());
            let location = format!("Location: /v2/{repository}/blobs/uploads/{}\r\n", self.begun_uploads);
            return (202, location, Vec::new());
        }
        let number = upload.parse().unwrap();
        if method == "PATCH" && self.losses > 0 {
            self.losses -= 1;
            self.uploads.remove(&number);
        }
        let Some(content) = self.uploads.get_mut(&number) else { return (404, String::new(), Vec::new()) };
        content.extend(body);
        match method {
            "PUT" => {
                let digest = query.split('&').find_map(|pair| pair.strip_prefix("digest=")).unwrap();
                if self.knows_sha256_only && !digest.starts_with("sha256") {
                    return digest_invalid();
                }
                let content = self.uploads.remove(&number).unwrap();
                self.blobs.insert(digest.replace("%3A", ":"), content);
                (201, String::new(), Vec::new())
            }
            "DELETE" => {
                self.uploads.remove(&number);
                (204, String::new(), Vec::new())
            }
            _ => {
                let end = content.len().saturating_sub(1);
                let location = format!("Location: /v2/{repository}/blobs/uploads/{number}\r\n");
                (
                    if method == "PATCH" { 202 } else { 204 },
                    format!("{location}Range: 0-{end}\r\n"),
                    Vec::new(),
                )
            }
        }
    }

    fn manifest(
        &mut self,
        method: &str,
        repository: &str,
        reference: &str,
        body: Vec<u8>,
    ) -> (u16, String, Vec<u8>) {
        let named = |name: &str| (repository.to_owned(), name.to_owned());
        if method == "PUT" {
            if self.refuses_fallback_tags && reference.starts_with("sha256-") {
                return (403, String::new(), Vec::new());
            }
            if self.knows_sha256_only && reference.starts_with("sha512:") {
                return digest_invalid();
            }
            let digest = match reference.parse::<Digest>() {
                Ok(digest) => digest.to_string(),
                Err(_) => Digest::of(Algorithm::Sha256, &body).to_string(),
            };
            self.manifest_writes += 1;
            self.manifests.insert(named(&digest), body);
            if reference != digest {
                self.tags.insert(named(reference), digest.clone());
            }
            return (201, format!("Docker-Content-Digest: {digest}\r\n"), Vec::new());
        }
        let digest = self.tags.get(&named(reference)).map_or(reference, String::as_str).to_owned();
        let Some(bytes) = self.manifests.get(&named(&digest)) else {
            return (404, String::new(), Vec::new());
        };
        let media_type = MediaType::of_manifest(bytes);
        let headers = format!("Docker-Content-Digest: {digest}\r\nContent-Type: {}\r\n", media_type.as_str());
        (200, headers, bytes.clone())
    }
}

/// As Distribution refuses a digest.
fn digest_invalid() -> (u16, String, Vec<u8>) {
    let errors = serde_json::json!({ "errors": [{ "code": "DIGEST_INVALID", "message": "provided digest did not match" }] });
    (400, "Content-Type: application/json\r\n".to_owned(), errors.to_string().into_bytes())
}
