//! The requests of the distribution specification that a run measures.

use http::Method;
use http::header::LOCATION;
use sha2::{Digest, Sha256};

use crate::client::{Answer, BenchRequest, Body, Connection};
use crate::content::{Blob, digest_of};
use crate::error::{Error, Result};

/// The media type of pushed manifests.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

const OCTETS: &str = "application/octet-stream";

/// The number of parts of a chunked push.
const CHUNKS: u64 = 4;

/// The way to push a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PushMethod {
    /// POST, PUT.
    Monolithic,
    /// POST, PATCH, PUT.
    Streamed,
    /// POST, PATCH …, PUT.
    Chunked,
}

/// An item to get.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    /// GET or HEAD.
    pub(crate) method: Method,
    /// Its path.
    pub(crate) path: String,
    /// Its media type, if requested.
    pub(crate) accept: Option<&'static str>,
    /// Its expected length and digest, if known.
    pub(crate) expected: Option<(u64, String)>,
}

impl Fetch {
    fn ask(&self) -> BenchRequest<'_> {
        let ask = BenchRequest::new(self.method.clone(), &self.path);
        match self.accept {
            Some(types) => ask.accept(types),
            None => ask,
        }
    }
}

impl Connection {
    /// Pushes a blob; returns the number of requests.
    pub(crate) async fn push(&mut self, repository: &str, blob: &Blob, how: PushMethod) -> Result<u64> {
        let start = format!("{}/v2/{repository}/blobs/uploads/", self.endpoint().prefix);
        let mut location = self.step(BenchRequest::new(Method::POST, &start), 202).await?;
        let mut requests = 2;
        let last = match how {
            PushMethod::Monolithic => Body::whole(blob),
            PushMethod::Streamed => {
                let body = Body::Blob { blob: blob.clone(), at: 0, end: blob.size, announced: false };
                location =
                    self.step(BenchRequest::new(Method::PATCH, &location).content(OCTETS, body), 202).await?;
                requests += 1;
                Body::Bytes(Default::default())
            }
            PushMethod::Chunked => {
                let chunk = blob.size.div_ceil(CHUNKS);
                let mut at = 0;
                while at < blob.size {
                    let end = blob.size.min(at + chunk);
                    let body = Body::Blob { blob: blob.clone(), at, end, announced: true };
                    let ask =
                        BenchRequest::new(Method::PATCH, &location).content(OCTETS, body).range(at, end);
                    location = self.step(ask, 202).await?;
                    requests += 1;
                    at = end;
                }
                Body::Bytes(Default::default())
            }
        };
        let separator = if location.contains('?') { '&' } else { '?' };
        let end = format!("{location}{separator}digest={}", blob.digest);
        let answer = self.ask(BenchRequest::new(Method::PUT, &end).content(OCTETS, last)).await?;
        self.expect(Method::PUT, &end, &answer, 201)?;
        Ok(requests)
    }

    /// Pushes a manifest under a tag.
    pub(crate) async fn push_manifest(&mut self, repository: &str, tag: &str, manifest: &Blob) -> Result<()> {
        let path = format!("{}/v2/{repository}/manifests/{tag}", self.endpoint().prefix);
        let answer =
            self.ask(BenchRequest::new(Method::PUT, &path).content(MANIFEST, Body::whole(manifest))).await?;
        self.expect(Method::PUT, &path, &answer, 201)
    }

    /// Gets an item of known length; returns the number of bytes.
    pub(crate) async fn fetch(&mut self, fetch: &Fetch) -> Result<u64> {
        let answer = self.ask(fetch.ask()).await?;
        self.expect(fetch.method.clone(), &fetch.path, &answer, 200)?;
        if let (Some((len, _)), &Method::GET) = (&fetch.expected, &fetch.method) {
            self.require(fetch, answer.len == *len, || format!("{} bytes came, not {len}", answer.len))?;
        }
        Ok(answer.len)
    }

    /// Gets an item and compares it with the pushed content.
    pub(crate) async fn verify(&mut self, fetch: &Fetch) -> Result<()> {
        let Some((len, digest)) = &fetch.expected else { return self.fetch(fetch).await.map(|_| ()) };
        let mut hash = Sha256::new();
        let answer = self.exchange(fetch.ask(), |piece| hash.update(piece)).await?;
        self.expect(fetch.method.clone(), &fetch.path, &answer, 200)?;
        if fetch.method == Method::HEAD {
            let told = answer.header(http::header::CONTENT_LENGTH).and_then(|told| told.parse().ok());
            return self.require(fetch, told == Some(*len), || {
                format!("its length is given as {told:?}, not {len}")
            });
        }
        let found = digest_of(hash);
        self.require(fetch, found == *digest, || format!("what came has the digest {found}"))
    }

    /// Deletes an item; `false` if the registry does not support deletion.
    pub(crate) async fn delete(&mut self, path: &str) -> Result<bool> {
        let answer = self.ask(BenchRequest::new(Method::DELETE, path)).await?;
        match answer.status {
            202 | 404 => Ok(true),
            400 | 401 | 403 | 405 | 501 => Ok(false),
            _ => Err(answer.refusal(format!("DELETE {}{path}", self.endpoint().host))),
        }
    }

    async fn step(&mut self, ask: BenchRequest<'_>, status: u16) -> Result<String> {
        let (method, path) = ask.name();
        let answer = self.ask(ask).await?;
        self.expect(method.clone(), path, &answer, status)?;
        let location = answer.header(LOCATION).unwrap_or_default();
        self.endpoint().path_of(location).ok_or_else(|| Error::Nonsense {
            request: format!("{method} {}{path}", self.endpoint().host),
            problem: format!("the upload continues at `{location}`, which is not this server"),
        })
    }

    fn expect(&self, method: Method, path: &str, answer: &Answer, status: u16) -> Result<()> {
        if answer.status == status {
            return Ok(());
        }
        Err(answer.refusal(format!("{method} {}{path}", self.endpoint().host)))
    }

    fn require(&self, fetch: &Fetch, holds: bool, problem: impl FnOnce() -> String) -> Result<()> {
        if holds {
            return Ok(());
        }
        let request = format!("{} {}{}", fetch.method, self.endpoint().host, fetch.path);
        Err(Error::Nonsense { request, problem: problem() })
    }
}
