//! `/v2/<name>/blobs/uploads/` and the upload sessions below it.
//!
//! The session id is all the state that a client holds; it cannot be guessed. The store knows the upload's
//! size. Parameters of other registries, such as `_state`, are ignored.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body::Body as _;
use sampan_engine::oci::{Algorithm, Digest, RepositoryName};
use sampan_engine::{BlobInfo, Error, MountOutcome, StartUpload, UploadId, UploadStatus};

use super::Reply;
use crate::http::body::{content_length, request_stream};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::extract::{Authorized, AuthorizedStart, FromPath, MountSource, Push, Query, chunk};
use crate::http::headers::{DOCKER_CONTENT_DIGEST, DOCKER_UPLOAD_UUID, OCI_CHUNK_MIN_LENGTH, visible};
use crate::http::mapping::received;
use crate::http::state::AppState;
use crate::http::url_builder::UrlBuilder;

/// Starts an upload, or completes it at once by a mount or a monolithic body.
pub(in crate::http) async fn start(
    State(state): State<AppState>,
    AuthorizedStart { target, source }: AuthorizedStart,
    urls: UrlBuilder,
    query: Query,
    request: Request,
) -> Reply {
    let reply = UploadReply { state, repo: target, urls };
    if let Some(blob) = reply.mount(&query, source).await? {
        return Ok(reply.created(&blob));
    }
    reply.refuse_without_room()?;
    let algorithm = query.non_empty("digest-algorithm").map(algorithm).transpose()?;
    let uploads = reply.repo.repository().uploads();
    if let Some(digest) = query.non_empty("digest").map(digest).transpose()?
        && (!request.body().is_end_stream() || digest == Digest::of(digest.algorithm(), b""))
    {
        let blob = uploads.put(&digest, content_length(request.headers()), request_stream(request)).await?;
        return Ok(reply.created(&blob));
    }
    let status = uploads.start(StartUpload { algorithm }).await?;
    Ok(reply.progress(StatusCode::ACCEPTED, &status))
}

/// Answers how many bytes the upload has.
pub(in crate::http) async fn status(
    State(state): State<AppState>,
    repo: Authorized<Push>,
    FromPath(id): FromPath<UploadId>,
    urls: UrlBuilder,
) -> Reply {
    let status = repo.repository().uploads().status(&id).await?;
    Ok(UploadReply { state, repo, urls }.progress(StatusCode::NO_CONTENT, &status))
}

/// Appends a chunk.
pub(in crate::http) async fn append(
    State(state): State<AppState>,
    repo: Authorized<Push>,
    FromPath(id): FromPath<UploadId>,
    urls: UrlBuilder,
    request: Request,
) -> Reply {
    let reply = UploadReply { state, repo, urls };
    let uploads = reply.repo.repository().uploads();
    let appended = uploads.append(&id, chunk(request.headers())?, request_stream(request)).await;
    let status = appended.map_err(|error| reply.chunk_error(error, &id))?;
    Ok(reply.progress(StatusCode::ACCEPTED, &status))
}

/// Appends the last chunk, if any, and commits the upload as a blob.
pub(in crate::http) async fn finish(
    State(state): State<AppState>,
    repo: Authorized<Push>,
    FromPath(id): FromPath<UploadId>,
    urls: UrlBuilder,
    query: Query,
    request: Request,
) -> Reply {
    let reply = UploadReply { state, repo, urls };
    let digest = digest(query.first("digest").unwrap_or_default())?;
    let uploads = reply.repo.repository().uploads();
    let finished = uploads.finish(&id, chunk(request.headers())?, request_stream(request), &digest).await;
    let blob = finished.map_err(|error| reply.chunk_error(error, &id))?;
    Ok(reply.created(&blob))
}

/// Cancels an upload. Push access suffices: an upload is not acknowledged content.
pub(in crate::http) async fn cancel(repo: Authorized<Push>, FromPath(id): FromPath<UploadId>) -> Reply {
    repo.repository().uploads().cancel(&id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn digest(text: &str) -> Result<Digest, ApiError> {
    if text.is_empty() {
        return Err(ApiError::new(ErrorCode::DigestInvalid)
            .with_message("provided digest is missing")
            .with_reason("the `digest` parameter says what the upload must hash to"));
    }
    text.parse::<Digest>().map_err(|error| ApiError::malformed_digest(&error))
}

fn algorithm(text: &str) -> Result<Algorithm, ApiError> {
    text.parse::<Algorithm>().map_err(|error| {
        ApiError::new(ErrorCode::DigestInvalid)
            .with_message("digest algorithm is not supported")
            .with_reason(error.to_string())
    })
}

/// Builds the responses about an upload.
struct UploadReply {
    state: AppState,
    repo: Authorized<Push>,
    urls: UrlBuilder,
}

impl UploadReply {
    /// Mounts the requested blob, if it can.
    async fn mount(&self, query: &Query, source: MountSource) -> Result<Option<BlobInfo>, ApiError> {
        // An invalid digest does not prevent the upload that follows.
        let Some(Ok(digest)) = query.non_empty("mount").map(str::parse::<Digest>) else { return Ok(None) };
        let from = match &source {
            MountSource::Nowhere => return Ok(None),
            MountSource::Anywhere => None,
            MountSource::Repository(name) => Some(name),
        };
        let outcome = self.repo.repository().blobs().mount(&digest, from).await?;
        let from = from.map_or("anywhere", RepositoryName::as_str);
        match outcome {
            MountOutcome::Mounted(blob) => {
                tracing::debug!("mount: mounted {digest} into {} from {from}", self.repo.name());
                Ok(Some(blob))
            }
            MountOutcome::NotFound => {
                tracing::debug!("mount: {digest} is not in {from}, starting an upload");
                Ok(None)
            }
        }
    }

    /// Refuses new uploads while the store has no space; started ones may finish.
    fn refuse_without_room(&self) -> Result<(), ApiError> {
        let Some(reason) = self.state.services().health.writes_blocked_by() else { return Ok(()) };
        let detail = format!("the registry takes no new uploads at the moment: {reason}");
        Err(ApiError::new(ErrorCode::Unavailable)
            .with_reason(detail)
            .with_header(RETRY_AFTER, HeaderValue::from_static("60")))
    }

    /// 201 for a stored blob.
    fn created(&self, blob: &BlobInfo) -> Response {
        let location = self.urls.blob(self.repo.name(), &blob.digest);
        let digest = visible(blob.digest.to_string());
        let headers = [(LOCATION, location), (DOCKER_CONTENT_DIGEST, digest)];
        (StatusCode::CREATED, headers).into_response()
    }

    /// The upload's progress.
    fn progress(&self, status: StatusCode, upload: &UploadStatus) -> Response {
        let mut response = status.into_response();
        let headers = response.headers_mut();
        headers.insert(LOCATION, self.urls.upload(self.repo.name(), &upload.id));
        headers.insert(RANGE, received(upload.size_bytes));
        headers.insert(DOCKER_UPLOAD_UUID, visible(upload.id.to_string()));
        if let Some(bytes) = self.state.options().chunk_min_length.filter(|bytes| *bytes > 0) {
            headers.insert(OCI_CHUNK_MIN_LENGTH, HeaderValue::from(bytes));
        }
        if status == StatusCode::ACCEPTED {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        response
    }

    /// The error for a rejected chunk; a chunk out of order learns the expected offset.
    fn chunk_error(&self, error: Error, id: &UploadId) -> ApiError {
        let is_out_of_order = matches!(error, Error::UploadOutOfOrder { .. });
        let error = ApiError::from(error);
        if !is_out_of_order {
            return error;
        }
        error
            .with_header(LOCATION, self.urls.upload(self.repo.name(), id))
            .with_header(DOCKER_UPLOAD_UUID, visible(id.to_string()))
    }
}
