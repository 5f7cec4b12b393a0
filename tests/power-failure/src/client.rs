//! A client of the registry that reports events and judges nothing.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use ureq::Agent;
use ureq::http::{Method, Request};

use crate::content::{Blob, Library};

/// A registry.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The length of an upload, from its `Range`.
    pub(crate) fn offset(&self) -> usize {
        let end = self.range.as_deref().and_then(|range| range.rsplit('-').next()?.parse::<usize>().ok());
        end.filter(|end| *end > 0).map_or(0, |end| end + 1)
    }

    fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body[..self.body.len().min(300)]))
    }

    /// The answer, if it is a success.
    pub(crate) fn expect(self, what: &str) -> Result<Self> {
        if self.is_success() { Ok(self) } else { Err(anyhow!("{what}: {}", self.text())) }
    }
}

impl Client {
    pub(crate) fn new(port: u16) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)))
            // The registry closes a connection whose body it did not want; no request may meet that.
            .max_idle_connections(0)
            .build();
        Self { agent: config.into(), base: format!("http://127.0.0.1:{port}") }
    }

    /// Sends a request. Fails when no answer arrives.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes())?)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut response =
            self.agent.run(request.body(body)?).with_context(|| format!("{method} {path}: no answer"))?;
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_owned());
        let (location, range) = (header("location"), header("range"));
        let status = response.status().as_u16();
        let body = if method == "HEAD" {
            Vec::new()
        } else {
            response.body_mut().with_config().limit(1 << 30).read_to_vec().context("the body broke off")?
        };
        // Distribution answers with absolute URLs.
        let location = location.map(|location| match location.split_once("//") {
            Some((_, rest)) => format!("/{}", rest.split_once('/').map_or("", |(_, path)| path)),
            None => location,
        });
        Ok(Answer { status, location, range, body })
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        let accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
        self.send("GET", path, &[("accept", accept.to_owned())], Vec::new())
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Answer> {
        self.send("DELETE", path, &[], Vec::new())
    }

    pub(crate) fn has_blob(&self, repository: &str, digest: &str) -> Result<bool> {
        Ok(self.send("HEAD", &blob_path(repository, digest), &[], Vec::new())?.is_success())
    }

    /// Begins an upload.
    pub(crate) fn begin(&self, repository: &str) -> Result<Answer> {
        self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], Vec::new())
    }

    /// Adds a chunk that begins at `start`.
    pub(crate) fn patch(&self, location: &str, start: usize, chunk: &[u8]) -> Result<Answer> {
        let end = start + chunk.len() - 1;
        self.send(
            "PATCH",
            location,
            &[("content-type", OCTETS.to_owned()), ("content-range", format!("{start}-{end}"))],
            chunk.to_vec(),
        )
    }

    /// Ends an upload with its last bytes.
    pub(crate) fn finish(&self, location: &str, digest: &str, rest: &[u8]) -> Result<Answer> {
        let separator = if location.contains('?') { '&' } else { '?' };
        let path = format!("{location}{separator}digest={digest}");
        self.send("PUT", &path, &[("content-type", OCTETS.to_owned())], rest.to_vec())
    }

    /// Pushes a blob in one of several ways.
    pub(crate) fn push_blob(&self, repository: &str, digest: &str, bytes: &[u8], way: Way) -> Result<Answer> {
        match way {
            Way::Whole => {
                let answer = self.send(
                    "POST",
                    &format!("/v2/{repository}/blobs/uploads/?digest={digest}"),
                    &[("content-type", OCTETS.to_owned())],
                    bytes.to_vec(),
                )?;
                match &answer.location {
                    // A registry may begin an upload instead, as Distribution does.
                    Some(location) if answer.status == 202 => self.finish(location, digest, bytes),
                    _ => Ok(answer),
                }
            }
            Way::Put => {
                let begun = self.begin(repository)?;
                let Some(location) = &begun.location else { return Ok(begun) };
                self.finish(location, digest, bytes)
            }
            Way::Chunks => {
                let begun = self.begin(repository)?;
                let Some(mut location) = begun.location.clone() else { return Ok(begun) };
                let step = bytes.len().div_ceil(3).max(1);
                let mut start = 0;
                for chunk in bytes.chunks(step).take(2) {
                    let answer = self.patch(&location, start, chunk)?;
                    let (true, Some(next)) = (answer.is_success(), answer.location.clone()) else {
                        return Ok(answer);
                    };
                    location = next;
                    start += chunk.len();
                }
                self.finish(&location, digest, &bytes[start..])
            }
        }
    }

    pub(crate) fn mount(&self, repository: &str, digest: &str, from: &str) -> Result<Answer> {
        let path = format!("/v2/{repository}/blobs/uploads/?mount={digest}&from={from}");
        self.send("POST", &path, &[], Vec::new())
    }

    pub(crate) fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        text: &str,
        media_type: &str,
    ) -> Result<Answer> {
        self.send(
            "PUT",
            &manifest_path(repository, reference),
            &[("content-type", media_type.to_owned())],
            text.as_bytes().to_vec(),
        )
    }

    /// Pushes an image or index as clients do: first what the registry lacks, then the manifest.
    pub(crate) fn push_image(
        &self,
        library: &Library,
        repository: &str,
        digest: &str,
        tag: &str,
    ) -> Result<()> {
        let manifest = library.manifest(digest).context("this is no manifest")?;
        for child in &manifest.children {
            self.push_image(library, repository, child, child)?;
        }
        for blob in &manifest.blobs {
            if !self.has_blob(repository, blob)? {
                self.push_blob(repository, blob, &library.bytes(blob), Way::Put)?
                    .expect(&format!("pushing the blob {blob} to {repository}"))?;
            }
        }
        self.put_manifest(repository, tag, &manifest.text, &manifest.media_type)?
            .expect(&format!("pushing the manifest {digest} as {repository}:{tag}"))?;
        Ok(())
    }
}

/// The way of pushing a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Whole,
    Put,
    Chunks,
}

impl Way {
    pub(crate) fn choose(blob: Blob) -> Self {
        match blob.seed % 3 {
            0 => Self::Whole,
            1 => Self::Put,
            _ => Self::Chunks,
        }
    }
}

pub(crate) fn blob_path(repository: &str, digest: &str) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

pub(crate) fn manifest_path(repository: &str, reference: &str) -> String {
    format!("/v2/{repository}/manifests/{reference}")
}

const OCTETS: &str = "application/octet-stream";
