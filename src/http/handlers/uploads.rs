//! `/v2/<name>/blobs/uploads/` and the sessions below it.
//!
//! The session's id is the whole state that a client holds: it cannot be guessed, and how far an upload has got is asked
//! of the store. Parameters that other registries put into the URL, such as `_state`, are ignored.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use http_body::Body as _;
use sampan_engine::oci::{Algorithm, Digest, RepositoryName};
use sampan_engine::{BlobInfo, Error, MountOutcome, StartUpload, UploadId, UploadStatus};

use super::Reply;
use crate::http::body::{announced, incoming};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::extract::{Authorized, AuthorizedStart, FromPath, Push, Query, Source, chunk};
use crate::http::headers::{DOCKER_CONTENT_DIGEST, DOCKER_UPLOAD_UUID, OCI_CHUNK_MIN_LENGTH, visible};
use crate::http::location::Locations;
use crate::http::mapping::received;
use crate::http::state::AppState;

/// Begins an upload; or does the whole of it, by a mount or with the body at hand.
pub(in crate::http) async fn start(
    State(state): State<AppState>,
    AuthorizedStart { target, source }: AuthorizedStart,
    locations: Locations,
    query: Query,
    request: Request,
) -> Reply {
    let answers = Answers { state, at: target, locations };
    if let Some(blob) = answers.mount(&query, source).await? {
        return Ok(answers.created(&blob));
    }
    answers.refuse_without_room()?;
    let algorithm = query.non_empty("digest-algorithm").map(algorithm).transpose()?;
    let uploads = answers.at.repository().uploads();
    if let Some(digest) = query.non_empty("digest").map(digest).transpose()?
        && (!request.body().is_end_stream() || digest == Digest::of(digest.algorithm(), b""))
    {
        let blob = uploads.put(&digest, announced(request.headers()), incoming(request)).await?;
        return Ok(answers.created(&blob));
    }
    let status = uploads.start(StartUpload { algorithm }).await?;
    Ok(answers.progress(StatusCode::ACCEPTED, &status))
}

/// How far an upload has got.
pub(in crate::http) async fn status(
    State(state): State<AppState>,
    at: Authorized<Push>,
    FromPath(id): FromPath<UploadId>,
    locations: Locations,
) -> Reply {
    let status = at.repository().uploads().status(&id).await?;
    Ok(Answers { state, at, locations }.progress(StatusCode::NO_CONTENT, &status))
}

/// Takes the next bytes.
pub(in crate::http) async fn append(
    State(state): State<AppState>,
    at: Authorized<Push>,
    FromPath(id): FromPath<UploadId>,
    locations: Locations,
    request: Request,
) -> Reply {
    let answers = Answers { state, at, locations };
    let uploads = answers.at.repository().uploads();
    let appended = uploads.append(&id, chunk(request.headers())?, incoming(request)).await;
    let status = appended.map_err(|error| answers.refusal(error, &id))?;
    Ok(answers.progress(StatusCode::ACCEPTED, &status))
}

/// Takes the last bytes, if there are any left, and makes a blob of the upload.
pub(in crate::http) async fn finish(
    State(state): State<AppState>,
    at: Authorized<Push>,
    FromPath(id): FromPath<UploadId>,
    locations: Locations,
    query: Query,
    request: Request,
) -> Reply {
    let answers = Answers { state, at, locations };
    let digest = digest(query.first("digest").unwrap_or_default())?;
    let uploads = answers.at.repository().uploads();
    let finished = uploads.finish(&id, chunk(request.headers())?, incoming(request), &digest).await;
    let blob = finished.map_err(|error| answers.refusal(error, &id))?;
    Ok(answers.created(&blob))
}

/// Gives an upload up. Whoever may write may do this: it takes nothing away that was ever promised.
pub(in crate::http) async fn cancel(at: Authorized<Push>, FromPath(id): FromPath<UploadId>) -> Reply {
    at.repository().uploads().cancel(&id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn digest(text: &str) -> Result<Digest, ApiError> {
    let invalid = |detail: String| ApiError::new(ErrorCode::DigestInvalid).with_reason(detail);
    if text.is_empty() {
        return Err(invalid(
            "the `digest` parameter is missing; it says what the upload must hash to".to_owned(),
        ));
    }
    text.parse::<Digest>().map_err(|error| invalid(error.to_string()))
}

fn algorithm(text: &str) -> Result<Algorithm, ApiError> {
    text.parse::<Algorithm>()
        .map_err(|error| ApiError::new(ErrorCode::DigestInvalid).with_reason(error.to_string()))
}

/// What the answers about an upload are made of.
struct Answers {
    state: AppState,
    at: Authorized<Push>,
    locations: Locations,
}

impl Answers {
    /// The blob that the client wants mounted, if it could be.
    async fn mount(&self, query: &Query, source: Source) -> Result<Option<BlobInfo>, ApiError> {
        // A digest that cannot be parsed is no reason to refuse the upload that follows.
        let Some(Ok(digest)) = query.non_empty("mount").map(str::parse::<Digest>) else { return Ok(None) };
        let from = match &source {
            Source::Nowhere => return Ok(None),
            Source::Anywhere => None,
            Source::Repository(name) => Some(name),
        };
        let outcome = self.at.repository().blobs().mount(&digest, from).await?;
        let from = from.map_or("anywhere", RepositoryName::as_str);
        match outcome {
            MountOutcome::Mounted(blob) => {
                tracing::debug!("mount: {digest} was mounted into {} from {from}", self.at.name());
                Ok(Some(blob))
            }
            MountOutcome::NotFound => {
                tracing::debug!("mount: {digest} is not in {from}, so an upload begins");
                Ok(None)
            }
        }
    }

    /// Nothing new is begun while the store has no room for it; what was begun may be finished.
    fn refuse_without_room(&self) -> Result<(), ApiError> {
        let Some(reason) = self.state.options().health.write_objection() else { return Ok(()) };
        let detail = format!("the registry takes no new uploads at the moment: {reason}");
        Err(ApiError::new(ErrorCode::Unavailable)
            .with_reason(detail)
            .with_header(RETRY_AFTER, HeaderValue::from_static("60")))
    }

    /// The blob is here.
    fn created(&self, blob: &BlobInfo) -> Response {
        let location = self.locations.blob(self.at.name(), &blob.digest);
        let digest = visible(blob.digest.to_string());
        let headers = [(LOCATION, location), (DOCKER_CONTENT_DIGEST, digest)];
        (StatusCode::CREATED, headers).into_response()
    }

    /// The upload is as far as this.
    fn progress(&self, status: StatusCode, upload: &UploadStatus) -> Response {
        let mut response = status.into_response();
        let headers = response.headers_mut();
        headers.insert(LOCATION, self.locations.upload(self.at.name(), &upload.id));
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

    /// The chunk was not taken; one that was out of order learns where to go on.
    fn refusal(&self, error: Error, id: &UploadId) -> ApiError {
        let is_out_of_order = matches!(error, Error::UploadOutOfOrder { .. });
        let error = ApiError::from(error);
        if !is_out_of_order {
            return error;
        }
        error
            .with_header(LOCATION, self.locations.upload(self.at.name(), id))
            .with_header(DOCKER_UPLOAD_UUID, visible(id.to_string()))
    }
}
