//! Copies inside the store: by one request if possible, range by range if the file is too large for it.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use http::Method;
use http::header::{HeaderName, HeaderValue};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{CopyOptions, GetOptions, ObjectStoreExt, PutMultipartOptions};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sampan_driver::DriverPath;

use crate::bucket::{Bucket, Raw, finished, with_limit};
use crate::client::Client;
use crate::error::Failure;
use crate::requests::CopyStatus;
use crate::signed::SignedRequest;
use crate::xml::{self, CopiedPart};

impl Bucket {
    /// Moves a file. No store does this in one step: for a moment both files exist.
    pub(crate) async fn rename(&self, from: &DriverPath, to: &DriverPath) -> Result<(), Failure> {
        let (source, target) = (self.existing(from)?, self.object(to)?);
        let size = self.head(&source).await?.size;
        if source == target {
            return Ok(());
        }
        self.copy(&source, &target, size).await?;
        self.delete_objects(vec![source]).await
    }

    /// Copies an object of `size` bytes, and replaces an object at `to`.
    pub(crate) async fn copy(&self, from: &Path, to: &Path, size: u64) -> Result<(), Failure> {
        match &self.raw {
            // A single request cannot set the storage class, so a storage class also needs the copy by ranges.
            Some(raw)
                if size > self.options.copies.threshold
                    || (self.options.storage_class.is_some() && size > 0) =>
            {
                self.copy_ranges(raw, from, to, size).await
            }
            _ => self.copy_whole(from, to, size).await,
        }
    }

    async fn copy_whole(&self, from: &Path, to: &Path, size: u64) -> Result<(), Failure> {
        match self.data {
            Client::Azure(_) => self.copy_on_azure(from, to, size).await,
            Client::Gcs(_) | Client::Plain(_) | Client::S3(_) => {
                with_limit(size, self.data.objects().copy_opts(from, to, CopyOptions::default())).await
            }
        }
    }

    /// Keeps an existing object of the same content and renews its date. Azure removes the object at `to` when a copy begins,
    /// and does not restore it if the copy fails.
    async fn copy_on_azure(&self, from: &Path, to: &Path, size: u64) -> Result<(), Failure> {
        if self.holds_the_same(from, to, size).await? {
            return self.date_anew(to).await;
        }
        with_limit(size, self.data.objects().copy_opts(from, to, CopyOptions::default())).await?;
        with_limit(size, self.await_copy(to, size)).await
    }

    /// Whether `to` has the same bytes as the existing object `from`.
    async fn holds_the_same(&self, from: &Path, to: &Path, size: u64) -> Result<bool, Failure> {
        match self.head(to).await {
            Ok(there) if there.size == size => {}
            Ok(_) => return Ok(false),
            Err(failure) if failure.is_not_found() => return Ok(false),
            Err(failure) => return Err(failure),
        }
        let compare = async {
            let (one, other) = (self.data.objects().get(from).await?, self.data.objects().get(to).await?);
            let (mut one, mut other) = (finished(one)?.into_stream(), finished(other)?.into_stream());
            let (mut left, mut right) = (Bytes::new(), Bytes::new());
            loop {
                if left.is_empty() {
                    left = one.try_next().await?.unwrap_or_default();
                }
                if right.is_empty() {
                    right = other.try_next().await?.unwrap_or_default();
                }
                let len = left.len().min(right.len());
                if len == 0 {
                    return Ok::<_, Failure>(left.is_empty() && right.is_empty());
                }
                if left.split_to(len) != right.split_to(len) {
                    return Ok(false);
                }
            }
        };
        with_limit(2 * size, compare).await
    }

    /// Sets the date of an object of Azure's to now, by writing an entry of its metadata (C13).
    async fn date_anew(&self, key: &Path) -> Result<(), Failure> {
        let Some(account) = &self.azure else {
            // A token for a single account cannot sign. Meanwhile the link that a push writes protects the blob.
            tracing::debug!(%key, "an object of the same content exists and keeps its date");
            return Ok(());
        };
        self.set_metadata(account, key).await
    }

    /// Waits for the end of a copy. Azure may answer before it has copied; deleting the source then would lose the content.
    ///
    /// The remains of a failed copy stay: reads treat them as absent, the next copy replaces them, and deleting them could
    /// delete a newer object of another writer.
    async fn await_copy(&self, to: &Path, size: u64) -> Result<(), Failure> {
        let mut pause = Duration::from_millis(100);
        loop {
            let options = GetOptions { head: true, ..Default::default() };
            let answer = self.control.objects().get_opts(to, options).await?;
            let status = answer.extensions.get::<CopyStatus>().map_or("success", |CopyStatus(status)| status);
            match status {
                "success" if answer.meta.size == size => return Ok(()),
                "pending" => {}
                _ => {
                    let ended = format!("{status}, with {} of {size} bytes", answer.meta.size);
                    return Err(Failure::Copy(ended));
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(10));
        }
    }

    /// Copies range by range, several at a time, into a multipart upload.
    async fn copy_ranges(&self, raw: &Raw, from: &Path, to: &Path, size: u64) -> Result<(), Failure> {
        let options = PutMultipartOptions { attributes: self.attributes(), ..Default::default() };
        let upload = with_limit(0, self.data.multipart().create_multipart_opts(to, options)).await?;
        let part = self.options.copies.part.max(size.div_ceil(self.options.parts.max_count));
        let ranges = (0..size.div_ceil(part)).map(|index| index * part..((index + 1) * part).min(size));
        let copies =
            ranges.enumerate().map(|(index, range)| self.copy_range(raw, from, to, &upload, index, range));
        let parts = futures::stream::iter(copies).buffered(self.options.copies.concurrency).try_collect();
        let copied = async {
            let parts: Vec<PartId> = parts.await?;
            with_limit(0, self.data.multipart().complete_multipart(to, &upload, parts)).await
        };
        if let Err(failure) = copied.await {
            if let Err(error) = self.control.multipart().abort_multipart(to, &upload).await {
                tracing::debug!(%to, %error, "cannot end the multipart upload of a failed copy");
            }
            return Err(failure);
        }
        Ok(())
    }

    async fn copy_range(
        &self,
        raw: &Raw,
        from: &Path,
        to: &Path,
        upload: &str,
        index: usize,
        range: Range<u64>,
    ) -> Result<PartId, Failure> {
        let source = format!("{}/{}", raw.bucket, utf8_percent_encode(from.as_ref(), KEY));
        let header =
            |text: String| HeaderValue::try_from(text).map_err(|error| Failure::Copy(error.to_string()));
        let request = SignedRequest {
            what: "copy of a part",
            method: Method::PUT,
            key: to,
            query: vec![("partNumber", (index + 1).to_string()), ("uploadId", upload.to_owned())],
            headers: vec![
                (HeaderName::from_static("x-amz-copy-source"), header(source)?),
                (
                    HeaderName::from_static("x-amz-copy-source-range"),
                    header(format!("bytes={}-{}", range.start, range.end - 1))?,
                ),
            ],
        };
        let answer = self.send_signed(raw, request).await?;
        // A copy that fails after its status was sent is an error in the body.
        match xml::parse::<CopiedPart>(&answer).ok().and_then(|part| part.e_tag) {
            Some(content_id) => Ok(PartId { content_id }),
            None => {
                let answer = String::from_utf8_lossy(&answer);
                Err(Failure::Copy(format!("the answer has no ETag: {answer}")))
            }
        }
    }
}

/// The characters to escape in the source of a copy.
const KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
