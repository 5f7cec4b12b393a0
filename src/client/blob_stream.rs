//! `BlobStream`: the content of a blob, verified, and resumed after a broken connection.

use bytes::Bytes;
use futures::stream::{self, Stream};
use http::Method;
use http::header::RANGE;
use sampan_engine::oci::Digest;

use crate::blobs::content_range;
use crate::error::{ClientError, Problem};
use crate::hasher::Hasher;
use crate::repository::RepositoryClient;
use crate::retry::{Attempts, RetryPolicy};
use crate::transport::{Answer, PROGRESS_BYTES};

/// The bytes of a blob in order.
///
/// The end without an error means that the content has its digest; a caller must not use the bytes as that blob before. After
/// a broken connection or a silence the stream asks the registry again, with `Range`, and passes over what it has if the
/// server ignores that.
#[derive(Debug)]
pub struct BlobStream {
    repository: RepositoryClient,
    digest: Digest,
    size_bytes: Option<u64>,
    /// `None` for a stream that begins within the blob.
    hasher: Option<HasherOf>,
    position: u64,
    connection: Option<OpenBody>,
    attempts: Attempts,
    /// The position at the last failure.
    failed_at: u64,
    is_finished: bool,
}

/// A connection, and how many of its next bytes the stream has already.
#[derive(Debug)]
struct OpenBody {
    answer: Answer,
    skip: u64,
}

struct HasherOf(Hasher);

impl BlobStream {
    pub(crate) async fn open(
        repository: RepositoryClient,
        digest: Digest,
        size_bytes: Option<u64>,
        offset: u64,
    ) -> Result<Option<Self>, ClientError> {
        let attempts = repository.attempts();
        let hasher = (offset == 0).then(|| HasherOf(Hasher::new(digest.algorithm())));
        let mut stream = Self {
            repository,
            digest,
            size_bytes,
            hasher,
            position: offset,
            connection: None,
            attempts,
            failed_at: offset,
            is_finished: size_bytes.is_some_and(|size| size > 0 && size == offset),
        };
        if stream.is_finished {
            return Ok(Some(stream));
        }
        loop {
            match stream.connect().await {
                Ok(()) => return Ok(Some(stream)),
                Err(error) if error.status() == Some(404) => return Ok(None),
                Err(error) => stream.wait(error).await?,
            }
        }
    }

    /// The same stream, which from here on asks again by another policy: opening it was another matter.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryPolicy) -> Self {
        self.attempts = self.repository.connection().attempts(Some(retry));
        self
    }

    /// The same stream without the comparison at its end, for a caller that hashes the bytes itself. Their number is compared
    /// all the same.
    #[must_use]
    pub fn unverified(mut self) -> Self {
        self.hasher = None;
        self
    }

    /// The blob's length in bytes, if the descriptor or the registry says it.
    pub fn size_bytes(&self) -> Option<u64> {
        self.size_bytes
    }

    /// The position of the next byte.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes; `None` at the end, when the content is verified. Cancelling it loses nothing.
    ///
    /// # Errors
    ///
    /// The content does not have its digest or length, or the registry stayed away for longer than the retries allow.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while !self.is_finished {
            let step = match self.connection.is_some() {
                true => self.step().await,
                false => self.connect().await.map(|()| None),
            };
            match step {
                Ok(Some(bytes)) => return Ok(Some(bytes)),
                Ok(None) => {}
                Err(error) => {
                    self.connection = None;
                    self.wait(error).await?;
                }
            }
        }
        Ok(None)
    }

    /// The same as a stream of the `futures` crate.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ClientError>> + Send {
        stream::try_unfold(self, async |mut blob| Ok(blob.next().await?.map(|bytes| (bytes, blob))))
    }

    /// Reads from the connection; `None` if there is more to do before bytes come.
    async fn step(&mut self) -> Result<Option<Bytes>, ClientError> {
        let Some(reading) = &mut self.connection else { return Ok(None) };
        let Some(mut bytes) = reading.answer.chunk().await? else {
            return self.end().map(|()| None);
        };
        let passed = reading.skip.min(bytes.len() as u64);
        reading.skip -= passed;
        let bytes = bytes.split_off(passed as usize);
        let after = self.position + bytes.len() as u64;
        if let Some(expected) = self.size_bytes.filter(|size| after > *size) {
            return Err(reading.answer.at(Problem::Length { expected, actual: after }));
        }
        self.position = after;
        if let Some(HasherOf(hasher)) = &mut self.hasher {
            hasher.update(&bytes);
        }
        if self.position >= self.failed_at + PROGRESS_BYTES {
            self.attempts.progressed();
        }
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// The connection has no more bytes.
    fn end(&mut self) -> Result<(), ClientError> {
        let Some(OpenBody { answer, skip }) = self.connection.take() else { return Ok(()) };
        if skip > 0 || self.size_bytes.is_some_and(|size| self.position < size) {
            return Err(answer.at(Problem::Broken("it ended early".to_owned())));
        }
        if let Some(HasherOf(hasher)) = &self.hasher {
            let actual = hasher.digest();
            if actual != self.digest {
                return Err(answer.at(Problem::Digest { expected: self.digest.clone(), actual }));
            }
        }
        self.is_finished = true;
        Ok(())
    }

    /// Asks for the rest.
    async fn connect(&mut self) -> Result<(), ClientError> {
        let mut call = self.repository.read(Method::GET, &format!("blobs/{}", self.digest));
        if self.position > 0 {
            call = call.header(RANGE, &format!("bytes={}-", self.position));
        }
        let connection = self.repository.connection();
        let answer = connection.once(&call).await?;
        let (total, skip) = match answer.status() {
            200 => (answer.content_length(), self.position),
            206 => match content_range(&answer) {
                Some(range)
                    if self.position > 0 && range.bytes.is_some_and(|(first, _)| first == self.position) =>
                {
                    (range.total, 0)
                }
                _ => {
                    let problem = format!("the part begins elsewhere than at byte {}", self.position);
                    return Err(answer.at(Problem::Protocol(problem)));
                }
            },
            // All bytes are here, and nothing told so before.
            416 if self.position > 0 && self.size_bytes.is_none() => {
                self.size_bytes = Some(self.position);
                self.connection = Some(OpenBody { answer, skip: 0 });
                return self.end();
            }
            _ => return Err(connection.error(answer).await),
        };
        match (self.size_bytes, total) {
            (Some(expected), Some(actual)) if expected != actual => {
                return Err(answer.at(Problem::Length { expected, actual }));
            }
            (None, Some(_)) => self.size_bytes = total,
            _ => {}
        }
        self.connection = Some(OpenBody { answer, skip });
        Ok(())
    }

    /// Waits before the next attempt.
    async fn wait(&mut self, error: ClientError) -> Result<(), ClientError> {
        self.failed_at = self.position;
        self.repository.connection().wait(&mut self.attempts, error).await
    }
}

impl std::fmt::Debug for HasherOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}
