//! `/v2/<name>/blobs/<digest>`.

use std::ops::Range;

use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use sampan_driver::{ByteRange, RedirectRequest};
use sampan_engine::BlobInfo;
use sampan_engine::oci::Digest;
use sampan_shown_url::ShownUrl;

use super::Reply;
use crate::http::body::from_reader;
use crate::http::content::Content;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::extract::{
    Authorized, BlobDigest, Delete, FromPath, Pull, Ranges, Readers, if_none_match, if_range_allows, ranges,
};
use crate::http::headers::{
    BYTES, CACHE_FOR_A_YEAR, DOCKER_CONTENT_DIGEST, OCTET_STREAM, insert_digest, visible,
};
use crate::http::multipart::Multipart;
use crate::http::state::AppState;
use crate::serve::FileSender;

/// Sends a blob or parts of it, or redirects to the store.
pub(in crate::http) async fn get(
    State(state): State<AppState>,
    repo: Authorized<Pull>,
    FromPath(digest): BlobDigest,
    files: Option<Extension<FileSender>>,
    readers: Readers,
    request: Request,
) -> Reply {
    let permit = readers.blob().await;
    let content = repo.content();
    let files = files.map(|Extension(files)| files);
    let (blob, response) = respond(&state, &content, &digest, files, request.headers()).await?;
    content.emit_pulled(&blob);
    Ok(permit.hold(response))
}

async fn respond(
    state: &AppState,
    content: &Content,
    digest: &Digest,
    files: Option<FileSender>,
    headers: &HeaderMap,
) -> Result<(BlobInfo, Response), ApiError> {
    if let Some(redirected) = redirected(state, content, digest, RedirectRequest::Get).await? {
        return Ok(redirected);
    }
    if if_none_match(headers, digest) {
        let blob = content.blob_info(digest).await?;
        return Ok((blob, blob_response(StatusCode::NOT_MODIFIED, digest, Body::empty())));
    }
    if headers.contains_key(RANGE) && if_range_allows(headers, digest) {
        return ranged(content, digest, files, headers).await;
    }
    whole(content, digest, files).await
}

/// Answers whether the blob exists, with its size.
pub(in crate::http) async fn head(
    State(state): State<AppState>,
    repo: Authorized<Pull>,
    FromPath(digest): BlobDigest,
    request: Request,
) -> Reply {
    let content = repo.content();
    if let Some((blob, response)) = redirected(&state, &content, &digest, RedirectRequest::Head).await? {
        content.emit_pulled(&blob);
        return Ok(response);
    }
    let blob = content.blob_info(&digest).await?;
    content.emit_pulled(&blob);
    if if_none_match(request.headers(), &digest) {
        return Ok(blob_response(StatusCode::NOT_MODIFIED, &digest, Body::empty()));
    }
    let mut response = with_type(blob_response(StatusCode::OK, &digest, Body::empty()));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(blob.size_bytes));
    Ok(response)
}

/// Removes a blob from the repository.
pub(in crate::http) async fn delete(repo: Authorized<Delete>, FromPath(digest): BlobDigest) -> Reply {
    repo.repository().blobs().delete(&digest).await?;
    Ok((StatusCode::ACCEPTED, [(CONTENT_LENGTH, HeaderValue::from(0))]).into_response())
}

/// The redirect to the store, if it is enabled and the store supports it.
async fn redirected(
    state: &AppState,
    content: &Content,
    digest: &Digest,
    request: RedirectRequest,
) -> Result<Option<(BlobInfo, Response)>, ApiError> {
    if !state.options().redirect {
        return Ok(None);
    }
    let Some((blob, url)) = content.redirect(digest, request).await? else { return Ok(None) };
    // Without the query, which carries the signature.
    tracing::debug!("redirect: {digest} is at {}", ShownUrl::from(&url));
    let headers =
        [(LOCATION, visible(String::from(url))), (DOCKER_CONTENT_DIGEST, visible(digest.to_string()))];
    Ok(Some((blob, (StatusCode::TEMPORARY_REDIRECT, headers).into_response())))
}

async fn whole(
    content: &Content,
    digest: &Digest,
    files: Option<FileSender>,
) -> Result<(BlobInfo, Response), ApiError> {
    let (blob, reader) = content.blob(digest, ByteRange::ALL).await?;
    let response = with_type(blob_response(StatusCode::OK, digest, from_reader(reader, files)));
    Ok((blob, response))
}

async fn ranged(
    content: &Content,
    digest: &Digest,
    files: Option<FileSender>,
    headers: &HeaderMap,
) -> Result<(BlobInfo, Response), ApiError> {
    let blob = content.blob_to_read(digest).await?;
    let size = blob.size_bytes;
    let mut parts = match ranges(headers, size) {
        Ranges::Whole => return whole(content, digest, files).await,
        Ranges::Unsatisfiable => {
            let error =
                ApiError::new(ErrorCode::RangeInvalid).with_reason(format!("the blob has {size} bytes"));
            return Err(error.with_header(CONTENT_RANGE, visible(format!("bytes */{size}"))));
        }
        Ranges::Parts(parts) => parts,
    };
    if parts.len() > 1 {
        // A cache may answer with the whole (RFC 9110, 14.2): its parts come in the order of the blob.
        let Some(own) = content.own() else { return whole(content, digest, files).await };
        let multipart = Multipart::new(parts, size);
        let content_type = multipart.content_type();
        let body = multipart.into_body(own.blobs(), digest.clone());
        let mut response = blob_response(StatusCode::PARTIAL_CONTENT, digest, body);
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        return Ok((blob, response));
    }
    let Range { start, end } = parts.remove(0);
    let (blob, reader) = content.blob(digest, ByteRange::new(start, end - start)).await?;
    let body = from_reader(reader, files);
    let mut response = with_type(blob_response(StatusCode::PARTIAL_CONTENT, digest, body));
    response.headers_mut().insert(CONTENT_RANGE, visible(format!("bytes {start}-{}/{size}", end - 1)));
    Ok((blob, response))
}

/// The headers common to all successful responses about a blob.
fn blob_response(status: StatusCode, digest: &Digest, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    insert_digest(headers, digest);
    headers.insert(CACHE_CONTROL, CACHE_FOR_A_YEAR);
    headers.insert(ACCEPT_RANGES, BYTES);
    response
}

fn with_type(mut response: Response) -> Response {
    response.headers_mut().insert(CONTENT_TYPE, OCTET_STREAM);
    response
}
