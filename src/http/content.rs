//! `Content`: what a repository has for those who pull: its own content, or a cache's.

use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use sampan_cache::{CacheError, CachedRepository, Served};
use sampan_driver::{ByteRange, FileReader, RedirectRequest};
use sampan_engine::oci::{Digest, Reference};
use sampan_engine::{BlobInfo, Page, ReferrersPage, ReferrersQuery, Repository, Stored, StoredInfo};
use url::Url;

use super::context::RequestContext;
use super::error::{ApiError, ErrorCode};
use super::headers::CACHE_STATUS;

/// The content of a repository.
#[derive(Clone, Debug)]
pub(in crate::http) struct Content {
    repository: Repository,
    cache: Option<CachedRepository>,
    context: Option<Arc<RequestContext>>,
}

impl Content {
    pub(in crate::http) fn new(
        repository: Repository,
        cache: Option<CachedRepository>,
        context: Option<Arc<RequestContext>>,
    ) -> Self {
        Self { repository, cache, context }
    }

    /// The repository itself, if it is not a cache.
    pub(in crate::http) fn own(&self) -> Option<&Repository> {
        self.cache.is_none().then_some(&self.repository)
    }

    pub(in crate::http) async fn manifest(&self, reference: &Reference) -> Result<Stored, ApiError> {
        match &self.cache {
            None => Ok(self.repository.manifests().get(reference).await?),
            Some(cache) => self.served(cache.manifest(reference).await?),
        }
    }

    pub(in crate::http) async fn manifest_info(&self, reference: &Reference) -> Result<StoredInfo, ApiError> {
        match &self.cache {
            None => Ok(self.repository.manifests().stat(reference).await?),
            Some(cache) => self.served(cache.manifest_info(reference).await?),
        }
    }

    /// Describes a blob; in a repository of its own, with a lease.
    pub(in crate::http) async fn blob_info(&self, digest: &Digest) -> Result<BlobInfo, ApiError> {
        match &self.cache {
            None => Ok(self.repository.blobs().stat_and_lease(digest).await?),
            Some(cache) => self.served(cache.blob_info(digest).await?),
        }
    }

    /// The same for a client that reads the blob next: a cache begins to fetch it.
    pub(in crate::http) async fn blob_to_read(&self, digest: &Digest) -> Result<BlobInfo, ApiError> {
        match &self.cache {
            None => Ok(self.repository.blobs().stat_and_lease(digest).await?),
            Some(cache) => self.served(cache.blob_to_read(digest).await?),
        }
    }

    pub(in crate::http) async fn blob(
        &self,
        digest: &Digest,
        range: ByteRange,
    ) -> Result<(BlobInfo, FileReader), ApiError> {
        match &self.cache {
            None => Ok(self.repository.blobs().read(digest, range).await?),
            Some(cache) => {
                let (info, reader, how) = cache.blob(digest, range).await?;
                self.served(((info, reader), how))
            }
        }
    }

    /// Where the store serves the blob itself; `None` if the registry must. What a cache lacks it must.
    pub(in crate::http) async fn redirect(
        &self,
        digest: &Digest,
        request: RedirectRequest,
    ) -> Result<Option<(BlobInfo, Url)>, ApiError> {
        let Some(cache) = &self.cache else {
            return Ok(self.repository.blobs().redirect(digest, request).await?);
        };
        match self.repository.blobs().redirect(digest, request).await {
            Err(sampan_engine::Error::BlobUnknown(..)) | Ok(None) => Ok(None),
            Ok(Some(redirected)) => self.served((Some(redirected), cache.note_redirected())),
            Err(error) => Err(CacheError::from(error).into()),
        }
    }

    pub(in crate::http) async fn tags(
        &self,
        last: Option<&str>,
        limit: Option<usize>,
    ) -> Result<Page<String>, ApiError> {
        match &self.cache {
            None => Ok(self.repository.tags().list(last, limit).await?),
            Some(cache) => self.served(cache.tags(last, limit).await?),
        }
    }

    pub(in crate::http) async fn referrers(
        &self,
        subject: &Digest,
        query: &ReferrersQuery,
    ) -> Result<ReferrersPage, ApiError> {
        match &self.cache {
            None => Ok(self.repository.referrers().list(subject, query).await?),
            Some(cache) => self.served(cache.referrers(subject, query).await?),
        }
    }

    /// Emits the event of a served blob.
    pub(in crate::http) fn emit_pulled(&self, blob: &BlobInfo) {
        self.repository.blobs().emit_pulled(blob);
    }

    /// Notes how the answer came about, for its header.
    fn served<T>(&self, (value, how): (T, Served)) -> Result<T, ApiError> {
        if let Some(context) = &self.context {
            context.set_served(how);
        }
        Ok(value)
    }
}

impl From<CacheError> for ApiError {
    fn from(error: CacheError) -> Self {
        let (reason, handling) = (error.to_string(), error.handling());
        // An error of the engine may also be the client's, about content that is here.
        let is_engine = matches!(error, CacheError::Engine(_));
        let error = Self::of_cache(error, reason);
        match HeaderValue::try_from(handling.to_string()) {
            Ok(value) if !is_engine || error.status().is_server_error() => {
                error.with_header(CACHE_STATUS, value)
            }
            Ok(_) | Err(_) => error,
        }
    }
}

impl ApiError {
    fn of_cache(error: CacheError, reason: String) -> Self {
        let wait = |seconds: u64| HeaderValue::from(seconds.max(1));
        match error {
            CacheError::ManifestUnknown(reference, name, _) => {
                sampan_engine::Error::ManifestUnknown(reference, name).into()
            }
            CacheError::BlobUnknown(digest, name, _) => {
                sampan_engine::Error::BlobUnknown(digest, name).into()
            }
            CacheError::RepositoryUnknown(name, _) => sampan_engine::Error::RepositoryUnknown(name).into(),
            // Clients with several mirrors continue to the next.
            CacheError::Offline | CacheError::NotAllowed { .. } => {
                Self::new(ErrorCode::NameUnknown).with_reason(reason)
            }
            CacheError::Refused { .. } => {
                Self::new(ErrorCode::Denied).with_status(StatusCode::BAD_GATEWAY).with_reason(reason)
            }
            CacheError::RateLimited { retry_after, .. } => Self::new(ErrorCode::TooManyRequests)
                .with_reason(reason)
                .with_header(RETRY_AFTER, wait(retry_after.as_secs())),
            CacheError::Away { timed_out, retry_after, .. } => {
                let status = if timed_out { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::BAD_GATEWAY };
                Self::new(ErrorCode::Unavailable)
                    .with_status(status)
                    .with_reason(reason)
                    .with_header(RETRY_AFTER, wait(retry_after.as_secs()))
            }
            CacheError::Wrong { .. } => {
                Self::new(ErrorCode::Unavailable).with_status(StatusCode::BAD_GATEWAY).with_reason(reason)
            }
            CacheError::Engine(error) => match Arc::try_unwrap(error) {
                Ok(error) => error.into(),
                // Shared by several requests, which all fail the same way.
                Err(error) if error.is_temporary() || error.is_storage_full() => {
                    Self::new(ErrorCode::Unavailable).caused_by(CacheError::Engine(error))
                }
                Err(error) => Self::new(ErrorCode::Unknown).caused_by(CacheError::Engine(error)),
            },
            CacheError::NotStored(_) | CacheError::Stopped => {
                Self::new(ErrorCode::Unavailable).with_reason(reason).with_header(RETRY_AFTER, wait(5))
            }
        }
    }
}
