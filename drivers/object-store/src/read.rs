//! Reads: a stream without a total time limit that resumes where it broke off.
//!
//! A pull over a slow connection may take hours, so no request has a total timeout. Only the time in which the store owes
//! bytes counts; the time in which the client takes none does not.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult};
use sampan_driver::{ByteRange, DriverPath, FileReader, Operation, with_causes};

use crate::bucket::{Bucket, finished};
use crate::error::{Failure, is_precondition};

impl Bucket {
    /// Opens `range` of the file at `path`.
    pub(crate) async fn read(
        self: &Arc<Self>,
        path: &DriverPath,
        range: ByteRange,
    ) -> Result<FileReader, Failure> {
        let key = self.existing(path)?;
        let wanted = match (range.offset, range.len) {
            (_, Some(0)) => return self.read_resolved(path, key, range).await,
            (0, None) => None,
            (offset, None) => Some(GetRange::Offset(offset)),
            (offset, Some(len)) => Some(GetRange::Bounded(offset..offset.saturating_add(len))),
        };
        let is_partial = wanted.is_some();
        match self.open(&key, GetOptions { range: wanted, ..Default::default() }).await {
            Ok(answer) => Ok(self.reader(path, key, answer)),
            Err(failure) if failure.is_not_found() => Err(Failure::NotFound),
            // Stores report a range beyond the end in many ways, so this asks for the size.
            Err(_) if is_partial => self.read_resolved(path, key, range).await,
            Err(failure) => Err(failure),
        }
    }

    /// The same for a known size.
    async fn read_resolved(
        self: &Arc<Self>,
        path: &DriverPath,
        key: Path,
        range: ByteRange,
    ) -> Result<FileReader, Failure> {
        let found = self.head(&key).await?;
        let Some(range) = range.resolve(found.size) else {
            return Err(Failure::RangeInvalid { size_bytes: found.size });
        };
        if range.is_empty() {
            return Ok(FileReader::new(found.size, range, stream::empty().boxed()));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..Default::default() };
        Ok(self.reader(path, key.clone(), self.open(&key, options).await?))
    }

    async fn open(&self, key: &Path, options: GetOptions) -> Result<GetResult, Failure> {
        let patience = self.options.stall;
        match tokio::time::timeout(patience, self.data.objects().get_opts(key, options)).await {
            Ok(answer) => finished(answer?),
            Err(_) => Err(Failure::NoAnswer(patience)),
        }
    }

    fn reader(self: &Arc<Self>, path: &DriverPath, key: Path, answer: GetResult) -> FileReader {
        let (size, range) = (answer.meta.size, answer.range.clone());
        let reading = ReadState {
            bucket: self.clone(),
            path: path.clone(),
            key,
            tag: answer.meta.e_tag.clone(),
            rest: range.clone(),
            stream: Some(answer.into_stream()),
            failures: 0,
        };
        let stream = stream::try_unfold(reading, |mut reading| async move {
            match reading.next().await {
                Ok(chunk) => Ok(chunk.map(|chunk| (chunk, reading))),
                Err(failure) => Err(failure.at(reading.bucket.name, Operation::Read, &reading.path)),
            }
        });
        FileReader::new(size, range, stream.boxed())
    }
}

struct ReadState {
    bucket: Arc<Bucket>,
    path: DriverPath,
    key: Path,
    /// The version of the object at the start of the read.
    tag: Option<String>,
    rest: Range<u64>,
    stream: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    /// The number of consecutive attempts without a byte.
    failures: u32,
}

impl ReadState {
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while !self.rest.is_empty() {
            let stall = self.bucket.options.stall;
            let failure = match &mut self.stream {
                None => match self.reopen().await {
                    Ok(stream) => {
                        self.stream = Some(stream);
                        continue;
                    }
                    Err(failure) => failure,
                },
                Some(stream) => match tokio::time::timeout(stall, stream.next()).await {
                    Ok(Some(Ok(chunk))) if chunk.is_empty() => continue,
                    Ok(Some(Ok(mut chunk))) => {
                        let room = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX);
                        chunk.truncate(room);
                        self.rest.start += chunk.len() as u64;
                        self.failures = 0;
                        return Ok(Some(chunk));
                    }
                    Ok(Some(Err(error))) => Failure::from(error),
                    Ok(None) => Failure::State("the answer is shorter than announced".to_owned()),
                    Err(_) => Failure::Stalled(stall),
                },
            };
            self.stream = None;
            self.failures += 1;
            if self.failures > MAX_ATTEMPTS || self.tag.is_none() || matches!(failure, Failure::Replaced) {
                return Err(failure);
            }
            tracing::debug!(path = %self.path, offset = self.rest.start, error = with_causes(&failure), "resuming a read");
            tokio::time::sleep(RETRY_DELAY * self.failures).await;
        }
        Ok(None)
    }

    /// Resumes with the same object, or fails if the object has changed.
    async fn reopen(&mut self) -> Result<BoxStream<'static, object_store::Result<Bytes>>, Failure> {
        let options = GetOptions {
            if_match: self.tag.clone(),
            range: Some(GetRange::Bounded(self.rest.clone())),
            ..Default::default()
        };
        match self.bucket.open(&self.key, options).await {
            // Some stores ignore the condition.
            Ok(answer) if answer.meta.e_tag != self.tag => Err(Failure::Replaced),
            Ok(answer) => Ok(answer.into_stream()),
            Err(Failure::Store(error)) if is_precondition(&error) => Err(Failure::Replaced),
            Err(failure) if failure.is_not_found() => Err(Failure::Replaced),
            Err(failure) => Err(failure),
        }
    }
}

/// The maximum number of consecutive attempts without a byte.
const MAX_ATTEMPTS: u32 = 6;

const RETRY_DELAY: Duration = Duration::from_millis(300);
