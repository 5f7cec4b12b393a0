//! `Upstream`: a registry to cache, over real sockets. It answers by the rules until a test scripts its answers.
//!
//! Every answer has headers, and every error words, that no client of a cache may see: see [`SECRET`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use sampan_engine::oci::{Digest, media_type};
use serde_json::{Value, json};

use super::hostile_server::{Reply, Seen, Server};
use super::image::{descriptor, manifest};

/// In headers, cookies and errors of every upstream.
pub(crate) const SECRET: &str = "upstream-secret";

/// The account of an upstream that wants one.
pub(crate) const ACCOUNT: (&str, &str) = ("robot", "hunter2");

/// A running registry.
pub(crate) struct Upstream {
    server: Server,
    state: Arc<Mutex<State>>,
}

/// Changes the answer that the rules give.
type Script = dyn Fn(&Seen, Reply) -> Reply + Send + Sync;

#[derive(Default)]
struct State {
    /// By name and reference: type and content.
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    blobs: BTreeMap<(String, String), Vec<u8>>,
    referrers: BTreeMap<(String, String), Vec<Value>>,
    login: Login,
    /// The tokens issued so far.
    tokens: usize,
    script: Option<Arc<Script>>,
    seen: Vec<Seen>,
    /// The bytes of blobs that the rules sent.
    blob_bytes: u64,
    has_catalog: bool,
}

/// How clients log in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Login {
    #[default]
    None,
    /// With a token that anyone gets.
    AnonymousToken,
    /// With a token for [`ACCOUNT`].
    Token,
}

/// A pushed image.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) manifest: Vec<u8>,
    pub(crate) digest: Digest,
    /// The blobs, the configuration first.
    pub(crate) blobs: Vec<Digest>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        let server = Server::start(move |seen| {
            let (honest, script) = {
                let mut state = shared.lock().unwrap();
                state.seen.push(seen.clone());
                (state.answer(seen), state.script.clone())
            };
            let reply = match script {
                Some(script) => script(seen, honest),
                None => honest,
            };
            reply.header("X-Upstream", SECRET).header("Set-Cookie", SECRET).header("Server", SECRET)
        })
        .await;
        Self { server, state }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Wants a login from now on.
    pub(crate) fn want(&self, login: Login) {
        self.state.lock().unwrap().login = login;
    }

    /// Changes answers from now on.
    pub(crate) fn script(&self, script: impl Fn(&Seen, Reply) -> Reply + Send + Sync + 'static) {
        self.state.lock().unwrap().script = Some(Arc::new(script));
    }

    /// Answers everything except for tokens so.
    pub(crate) fn answer_all(&self, reply: Reply) {
        self.script(move |seen, honest| if seen.path() == "/token" { honest } else { reply.clone() });
    }

    /// Answers by the rules from now on.
    pub(crate) fn behave(&self) {
        self.state.lock().unwrap().script = None;
    }

    /// The requests since the last call, as `METHOD path`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = std::mem::take(&mut self.state.lock().unwrap().seen);
        seen.iter().map(|seen| format!("{} {}", seen.method, seen.path())).collect()
    }

    /// The requests that were not read by [`requests`](Self::requests).
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// The bytes of blobs that were sent by the rules.
    pub(crate) fn blob_bytes(&self) -> u64 {
        self.state.lock().unwrap().blob_bytes
    }

    /// Lists its repositories from now on.
    pub(crate) fn show_catalog(&self) {
        self.state.lock().unwrap().has_catalog = true;
    }

    /// Loses a tag.
    pub(crate) fn untag(&self, name: &str, tag: &str) {
        self.state.lock().unwrap().manifests.remove(&(name.to_owned(), tag.to_owned())).unwrap();
    }

    /// Loses a blob.
    pub(crate) fn lose_blob(&self, name: &str, digest: &Digest) {
        self.state.lock().unwrap().blobs.remove(&(name.to_owned(), digest.to_string())).unwrap();
    }

    /// Adds a blob.
    pub(crate) fn blob(&self, name: &str, content: impl Into<Vec<u8>>) -> Digest {
        let content = content.into();
        let digest = Digest::sha256_of(&content);
        self.state.lock().unwrap().blobs.insert((name.to_owned(), digest.to_string()), content);
        digest
    }

    /// Adds a manifest under its digest and a reference.
    pub(crate) fn manifest(&self, name: &str, reference: &str, kind: &str, content: &[u8]) -> Digest {
        let digest = Digest::sha256_of(content);
        let mut state = self.state.lock().unwrap();
        for reference in [reference.to_owned(), digest.to_string()] {
            state.manifests.insert((name.to_owned(), reference), (kind.to_owned(), content.to_vec()));
        }
        digest
    }

    /// Adds an image of a configuration and layers.
    pub(crate) fn image(&self, name: &str, tag: &str, layers: &[&[u8]]) -> Image {
        let config = format!(r#"{{"of":"{name}:{tag}"}}"#);
        let mut blobs = vec![self.blob(name, config.clone())];
        blobs.extend(layers.iter().map(|layer| self.blob(name, *layer)));
        let mut manifest = manifest(config.as_bytes(), b"");
        let layers = layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer));
        manifest["layers"] = layers.collect();
        let manifest = manifest.to_string().into_bytes();
        let digest = self.manifest(name, tag, media_type::OCI_MANIFEST, &manifest);
        Image { manifest, digest, blobs }
    }

    /// Adds an index of images for these platforms; its `blobs` are the images.
    pub(crate) fn index(&self, name: &str, tag: &str, images: &[(&str, &Image)]) -> Image {
        let children = images.iter().map(|(platform, image)| {
            let (os, architecture) = platform.split_once('/').unwrap();
            let mut child = descriptor(media_type::OCI_MANIFEST, &image.manifest);
            child["platform"] = json!({ "os": os, "architecture": architecture });
            child
        });
        let children: Vec<Value> = children.collect();
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children });
        let manifest = index.to_string().into_bytes();
        let digest = self.manifest(name, tag, media_type::OCI_INDEX, &manifest);
        let blobs = images.iter().map(|(_, image)| image.digest.clone()).collect();
        Image { manifest, digest, blobs }
    }

    /// Adds an artifact that is attached to `subject`.
    pub(crate) fn attach(&self, name: &str, subject: &Image, artifact_type: &str) -> Digest {
        let mut artifact = manifest(b"{}", artifact_type.as_bytes());
        artifact["artifactType"] = artifact_type.into();
        artifact["subject"] = descriptor(media_type::OCI_MANIFEST, &subject.manifest);
        let artifact = artifact.to_string();
        let digest =
            self.manifest(name, &subject.digest.to_string().replace(':', "."), "", artifact.as_bytes());
        self.manifest(name, &digest.to_string(), media_type::OCI_MANIFEST, artifact.as_bytes());
        let mut entry = descriptor(media_type::OCI_MANIFEST, artifact.as_bytes());
        entry["artifactType"] = artifact_type.into();
        let mut state = self.state.lock().unwrap();
        state.manifests.remove(&(name.to_owned(), subject.digest.to_string().replace(':', ".")));
        let key = (name.to_owned(), subject.digest.to_string());
        state.referrers.entry(key).or_default().push(entry);
        digest
    }
}

impl State {
    fn answer(&mut self, seen: &Seen) -> Reply {
        let path = seen.path().to_owned();
        if path == "/token" {
            return self.token(seen);
        }
        let Some(rest) = path.strip_prefix("/v2/") else { return Reply::new(404) };
        if rest == "_catalog" && self.has_catalog {
            let names: BTreeSet<_> = self.manifests.keys().map(|(name, _)| name).collect();
            return Reply::new(200).json(&json!({ "repositories": names }).to_string());
        }
        let split = |part: &str| rest.split_once(part).map(|(name, rest)| (name.to_owned(), rest.to_owned()));
        let name = ["/manifests/", "/blobs/", "/tags/", "/referrers/"].iter().find_map(|part| split(part));
        let name = name.map(|(name, _)| name).unwrap_or_default();
        if let Some(refused) = self.refusal(seen, &name) {
            return refused;
        }
        if let Some(key) = split("/manifests/") {
            return match self.manifests.get(&key) {
                Some((kind, content)) => Reply::new(200)
                    .header("Content-Type", kind)
                    .header("Docker-Content-Digest", Digest::sha256_of(content))
                    .body(content.clone()),
                None => missing("MANIFEST_UNKNOWN"),
            };
        }
        if let Some(key) = split("/blobs/") {
            let Some(content) = self.blobs.get(&key) else { return missing("BLOB_UNKNOWN") };
            let (reply, sent) = part(seen, content);
            if seen.method == "GET" {
                self.blob_bytes += sent;
            }
            return reply.header("Content-Type", "application/octet-stream");
        }
        if split("/tags/").is_some() {
            let tags: Vec<_> = self
                .manifests
                .keys()
                .filter(|(of, reference)| *of == name && !reference.contains(':'))
                .map(|(_, reference)| reference)
                .collect();
            return match tags.is_empty() {
                true => missing("NAME_UNKNOWN"),
                false => Reply::new(200).json(&json!({ "name": name, "tags": tags }).to_string()),
            };
        }
        if let Some(key) = split("/referrers/") {
            let found = self.referrers.get(&key).cloned().unwrap_or_default();
            let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": found });
            return Reply::new(200).header("Content-Type", media_type::OCI_INDEX).body(index.to_string());
        }
        Reply::new(404)
    }

    fn refusal(&self, seen: &Seen, name: &str) -> Option<Reply> {
        let token = seen.header("authorization").and_then(|text| text.strip_prefix("Bearer "));
        if self.login == Login::None || token.is_some_and(|token| token.starts_with("token-")) {
            return None;
        }
        let host = seen.header("host").unwrap_or_default();
        let challenge = format!(
            r#"Bearer realm="http://{host}/token",service="{SECRET}",scope="repository:{name}:pull""#
        );
        Some(error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge))
    }

    fn token(&mut self, seen: &Seen) -> Reply {
        // `robot:hunter2`.
        let is_known = seen.header("authorization") == Some("Basic cm9ib3Q6aHVudGVyMg==");
        if self.login == Login::Token && !is_known {
            return error(401, "UNAUTHORIZED");
        }
        self.tokens += 1;
        Reply::new(200)
            .json(&json!({ "token": format!("token-{}", self.tokens), "expires_in": 300 }).to_string())
    }
}

/// The part of a blob that a request wants, and its length.
fn part(seen: &Seen, content: &[u8]) -> (Reply, u64) {
    let range = seen.header("range").and_then(|text| text.strip_prefix("bytes="));
    let Some((start, end)) = range.and_then(|text| text.split_once('-')) else {
        return (Reply::new(200).body(content), content.len() as u64);
    };
    let start: usize = start.parse().unwrap();
    let end = end.parse().unwrap_or(usize::MAX).min(content.len().saturating_sub(1));
    if start >= content.len() {
        return (Reply::new(416).header("Content-Range", format!("bytes */{}", content.len())), 0);
    }
    let range = format!("bytes {start}-{end}/{}", content.len());
    let part = &content[start..=end];
    (Reply::new(206).header("Content-Range", range).body(part), part.len() as u64)
}

fn missing(code: &str) -> Reply {
    error(404, code)
}

/// An error with words that only the log may have.
pub(crate) fn error(status: u16, code: &str) -> Reply {
    let body = json!({ "errors": [{ "code": code, "message": SECRET, "detail": SECRET }] });
    Reply::new(status).json(&body.to_string())
}
