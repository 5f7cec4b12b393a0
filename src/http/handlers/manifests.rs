//! `/v2/<name>/manifests/<reference>`.

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use sampan_engine::oci::media_type::DOCKER_LIST;
use sampan_engine::oci::{Digest, MediaType, Reference, Tag};
use sampan_engine::{PutManifest, Stored, StoredInfo};
use serde_json::Value;

use super::Reply;
use crate::http::body::read_limited;
use crate::http::content::Content;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::extract::{
    Authorized, Delete, FromPath, ManifestReference, NewReference, Pull, Push, Query, Readers, if_none_match,
    wants_single_manifest,
};
use crate::http::headers::{DOCKER_CONTENT_DIGEST, OCI_SUBJECT, OCI_TAG, insert_digest, visible};
use crate::http::state::AppState;
use crate::http::url_builder::UrlBuilder;

/// The most tags that one push may set: each costs several synced files.
const MAX_TAGS: usize = 100;

/// Sends a manifest, byte for byte as pushed.
pub(in crate::http) async fn get(
    repo: Authorized<Pull>,
    FromPath(reference): ManifestReference,
    readers: Readers,
    request: Request,
) -> Reply {
    let permit = readers.document().await;
    let headers = request.headers();
    let content = repo.content();
    let stored =
        resolve_for_legacy_client(&content, &reference, content.manifest(&reference).await?, headers).await?;
    if if_none_match(headers, &stored.digest) {
        return Ok(not_modified(&stored.digest));
    }
    let bytes = readers.count(stored.bytes).await?;
    Ok(permit.hold(manifest_response(&stored.digest, &stored.media_type, bytes.into())))
}

/// Answers as `get` does, without the body.
pub(in crate::http) async fn head(
    repo: Authorized<Pull>,
    FromPath(reference): ManifestReference,
    request: Request,
) -> Reply {
    let headers = request.headers();
    let content = repo.content();
    let mut info = content.manifest_info(&reference).await?;
    if needs_single_manifest(&reference, &info.media_type, headers) {
        let Stored { digest, media_type, bytes } =
            resolve_for_legacy_client(&content, &reference, content.manifest(&reference).await?, headers)
                .await?;
        info = StoredInfo { digest, media_type, size_bytes: bytes.len() as u64 };
    }
    if if_none_match(headers, &info.digest) {
        return Ok(not_modified(&info.digest));
    }
    let mut response = manifest_response(&info.digest, &info.media_type, Body::empty());
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(info.size_bytes));
    Ok(response)
}

/// Stores a manifest and sets its tags.
pub(in crate::http) async fn put(
    State(state): State<AppState>,
    repo: Authorized<Push>,
    NewReference(reference): NewReference,
    urls: UrlBuilder,
    query: Query,
    request: Request,
) -> Reply {
    let tags = tags(&query)?;
    state.registry().check_writable()?;
    let limits = state.registry().limits();
    let media_type = content_type(request.headers());
    let bytes = read_limited(request, limits.manifest_size_bytes).await?;
    let put = PutManifest { bytes, media_type, reference, tags, left_out: Vec::new() };
    let outcome = repo.repository().manifests().put(put).await?;

    let location = urls.manifest(repo.name(), &outcome.digest);
    let digest = visible(outcome.digest.to_string());
    let mut response =
        (StatusCode::CREATED, [(LOCATION, location), (DOCKER_CONTENT_DIGEST, digest)]).into_response();
    if let Some(subject) = outcome.subject {
        response.headers_mut().insert(OCI_SUBJECT, visible(subject.to_string()));
    }
    for tag in outcome.tags {
        response.headers_mut().append(OCI_TAG, visible(tag.to_string()));
    }
    Ok(response)
}

/// Deletes a tag, or, by digest, a manifest with all its tags.
pub(in crate::http) async fn delete(
    repo: Authorized<Delete>,
    FromPath(reference): ManifestReference,
) -> Reply {
    repo.repository().manifests().delete(&reference).await?;
    Ok((StatusCode::ACCEPTED, [(CONTENT_LENGTH, HeaderValue::from(0))]).into_response())
}

fn tags(query: &Query) -> Result<Vec<Tag>, ApiError> {
    let count = query.all("tag").count();
    if count > MAX_TAGS {
        return Err(ApiError::new(ErrorCode::TagInvalid)
            .with_status(StatusCode::URI_TOO_LONG)
            .with_reason(format!("{count} tags are more than the {MAX_TAGS} that one push may set")));
    }
    let tag = |text: &str| text.parse::<Tag>();
    let tags: Result<_, _> = query.all("tag").map(tag).collect();
    tags.map_err(|error| ApiError::malformed_tag(&error))
}

/// The `Content-Type` without parameters.
fn content_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = text.split(';').next().unwrap_or(text).trim();
    (!media_type.is_empty()).then(|| media_type.to_owned())
}

fn manifest_response(digest: &Digest, media_type: &MediaType, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        match media_type.clone().into() {
            Cow::Borrowed(text) => HeaderValue::from_static(text),
            Cow::Owned(text) => visible(text),
        },
    );
    insert_digest(headers, digest);
    response
}

fn not_modified(digest: &Digest) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    insert_digest(response.headers_mut(), digest);
    response
}

/// Whether a legacy client fetched a Docker list by tag.
fn needs_single_manifest(reference: &Reference, media_type: &MediaType, headers: &HeaderMap) -> bool {
    matches!(reference, Reference::Tag(_))
        && media_type.as_str() == DOCKER_LIST
        && wants_single_manifest(headers)
}

/// The manifest, or for a legacy client the list's child for linux/amd64, as in Distribution.
async fn resolve_for_legacy_client(
    content: &Content,
    reference: &Reference,
    stored: Stored,
    headers: &HeaderMap,
) -> Result<Stored, ApiError> {
    if !needs_single_manifest(reference, &stored.media_type, headers) {
        return Ok(stored);
    }
    let child = child_for_linux_amd64(&stored.bytes).ok_or_else(|| {
        ApiError::new(ErrorCode::ManifestUnknown).with_reason(
            "the tag points at a manifest list without a child for linux/amd64, and Accept allows no list",
        )
    })?;
    content.manifest(&Reference::Digest(child)).await
}

/// Reads only the fields it needs; the rest of the list is not validated.
fn child_for_linux_amd64(list: &Bytes) -> Option<Digest> {
    let list: Value = serde_json::from_slice(list).ok()?;
    let suits =
        |child: &&Value| child["platform"]["os"] == "linux" && child["platform"]["architecture"] == "amd64";
    list["manifests"].as_array()?.iter().find(suits)?["digest"].as_str()?.parse().ok()
}
