//! `Session`: one upload session of a registry, request by request; the decisions are in its callers.

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName, RANGE};
use sampan_engine::oci::{Digest, RepositoryName};
use url::Url;

use crate::auth::Scope;
use crate::connection::Call;
use crate::error::{ClientError, Problem};
use crate::manifests::announced_digest;
use crate::repository::RepositoryClient;
use crate::transport::{Answer, Payload};

/// An open upload.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    url: Url,
    /// The shortest chunk but for the last, in bytes; 0 without a bound.
    pub(crate) min_chunk_bytes: u64,
    /// How many bytes the registry has.
    pub(crate) offset: u64,
}

/// The outcome of a request to mount.
#[derive(Debug)]
pub(crate) enum Mount {
    Mounted,
    /// The registry began an upload instead, or cannot mount.
    Upload(Session),
}

const OCI_CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
const OCTETS: &str = "application/octet-stream";

impl RepositoryClient {
    /// Begins an upload (OCI distribution-spec, "Pushing blobs").
    pub(crate) async fn start_upload(&self) -> Result<Session, ClientError> {
        let answer = self.connection().call(&self.write(Method::POST, "blobs/uploads/")).await?;
        match answer.status() {
            202 => self.session(&answer),
            _ => Err(self.connection().error(answer).await),
        }
    }

    /// Asks to mount a blob of `from`, or of any repository without one, and begins an upload if that is not possible (OCI
    /// distribution-spec, "Mounting a blob from another repository"). Registries that cannot mount answer with errors of
    /// many kinds, so each of them leads to an upload.
    pub(crate) async fn mount(
        &self,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<Mount, ClientError> {
        let mut scope = Scope::push(self.name());
        let mut path = format!("{}/blobs/uploads/?mount={digest}", self.name());
        if let Some(from) = from {
            scope = scope.and(Scope::pull(from));
            path = format!("{path}&from={from}");
        }
        match self.connection().call(&Call::to(Method::POST, path, scope)).await {
            Ok(answer) if answer.status() == 201 => match announced_digest(&answer) {
                Some(actual) if actual != *digest && actual.algorithm() == digest.algorithm() => {
                    Err(answer.at(Problem::Digest { expected: digest.clone(), actual }))
                }
                _ => Ok(Mount::Mounted),
            },
            Ok(answer) if answer.status() == 202 => self.session(&answer).map(Mount::Upload),
            Ok(_) => self.start_upload().await.map(Mount::Upload),
            // The login may not read the other repository.
            Err(error) if error.status() == Some(401) => self.start_upload().await.map(Mount::Upload),
            Err(error) => Err(error),
        }
    }

    fn session(&self, answer: &Answer) -> Result<Session, ClientError> {
        let url = self.connection().transport.location(answer)?;
        let url =
            url.ok_or_else(|| answer.at(Problem::Protocol("an upload without a `Location`".to_owned())))?;
        let min_chunk_bytes = answer.header(OCI_CHUNK_MIN_LENGTH).and_then(|text| text.parse().ok());
        Ok(Session { url, min_chunk_bytes: min_chunk_bytes.unwrap_or_default(), offset: 0 })
    }

    /// Asks how much of an upload the registry has; `None` if it does not know the upload.
    pub(crate) async fn upload_status(&self, session: &mut Session) -> Result<Option<u64>, ClientError> {
        let call = Call::at(Method::GET, session.url.clone(), Scope::push(self.name()));
        let answer = self.connection().call(&call).await?;
        match answer.status() {
            200..=204 => {
                session.follow(self, &answer)?;
                session.offset = received(&answer)?.unwrap_or(0);
                Ok(Some(session.offset))
            }
            404 => Ok(None),
            _ => Err(self.connection().error(answer).await),
        }
    }

    /// Sends one chunk, once. `session.offset` is what the registry has afterwards, which may be less than all of it.
    pub(crate) async fn patch(&self, session: &mut Session, chunk: Bytes) -> Result<(), ClientError> {
        let (start, length) = (session.offset, chunk.len() as u64);
        if length == 0 {
            return Ok(());
        }
        let call = Call::at(Method::PATCH, session.url.clone(), Scope::push(self.name()))
            .header(CONTENT_TYPE, OCTETS)
            .header(CONTENT_RANGE, &format!("{start}-{}", start + length - 1))
            .body(chunk);
        let answer = self.connection().once(&call).await?;
        if !matches!(answer.status(), 200..=204) {
            return Err(self.connection().error(answer).await);
        }
        session.follow(self, &answer)?;
        let end = match received(&answer)? {
            // One byte and no byte look the same.
            Some(0) if start + length == 1 => 1,
            Some(end) => end,
            // Without `Range` the registry has what it acknowledged.
            None => start + length,
        };
        if end < start || end > start + length {
            let problem = format!(
                "it acknowledges {end} bytes of an upload that has between {start} and {}",
                start + length
            );
            return Err(answer.at(Problem::Protocol(problem)));
        }
        session.offset = end;
        Ok(())
    }

    /// Ends an upload with the last bytes, once.
    pub(crate) async fn finish_upload(
        &self,
        session: &Session,
        digest: &Digest,
        payload: Payload,
    ) -> Result<(), ClientError> {
        let mut url = session.url.clone();
        url.query_pairs_mut().append_pair("digest", &digest.to_string());
        let call = Call::at(Method::PUT, url, Scope::push(self.name())).header(CONTENT_TYPE, OCTETS);
        let answer = self.connection().send(&call, payload).await?;
        if !matches!(answer.status(), 200..=204) {
            return Err(self.connection().error(answer).await);
        }
        match announced_digest(&answer) {
            // A registry may answer with its own algorithm.
            Some(actual) if actual != *digest && actual.algorithm() == digest.algorithm() => {
                Err(answer.at(Problem::Digest { expected: digest.clone(), actual }))
            }
            _ => Ok(()),
        }
    }

    /// Gives an upload up. The registry forgets it sooner or later anyway, so failures do not matter.
    pub(crate) async fn cancel_upload(&self, session: &Session) {
        let call = Call::at(Method::DELETE, session.url.clone(), Scope::push(self.name()));
        let _ = self.connection().once(&call).await;
    }
}

impl Session {
    /// Takes over the URL for the next request.
    fn follow(&mut self, repository: &RepositoryClient, answer: &Answer) -> Result<(), ClientError> {
        if let Some(url) = repository.connection().transport.location(answer)? {
            self.url = url;
        }
        Ok(())
    }
}

/// The length that `Range` acknowledges. `0-0` may mean one byte or, as Distribution writes it, none; it is read as none.
fn received(answer: &Answer) -> Result<Option<u64>, ClientError> {
    let Some(text) = answer.header(RANGE) else { return Ok(None) };
    let range = text.strip_prefix("bytes=").unwrap_or(text);
    let end = match range.split_once('-') {
        Some(("0", "0")) => Some(0),
        Some(("0", last)) => last.parse::<u64>().ok().and_then(|last| last.checked_add(1)),
        _ => None,
    };
    match end {
        Some(end) => Ok(Some(end)),
        None => {
            Err(answer
                .at(Problem::Protocol(format!("the range {:?} of an upload", crate::error::shown(text)))))
        }
    }
}
