//! The names and constant values of headers that the `http` crate does not know.

use axum::body::Bytes;
use http::header::ETAG;
use http::{HeaderMap, HeaderName, HeaderValue};
use sampan_engine::oci::Digest;

/// The digest of what is sent, or was received, or was mounted.
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Tells old Docker clients that this is a registry.
pub(super) const DOCKER_API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// The id of an upload session.
pub(super) const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// The smallest chunk that a client should send.
pub(super) const OCI_CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
/// The filters of a referrers request that were applied.
pub(super) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// The subject of the manifest that was pushed: says that referrers are kept here.
pub(super) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// A tag that a push by digest has set; one header each.
pub(super) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// What a proxy says about the host that the client asked for.
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// What a proxy says about the port that the client came to.
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// What a proxy says about the scheme that the client used.
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// What a proxy says about where the request came from.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The same, of a single address.
pub(super) const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// The request's id, incoming and outgoing.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Of [`DOCKER_API_VERSION`].
pub(super) const REGISTRY_2_0: HeaderValue = HeaderValue::from_static("registry/2.0");
/// A blob never changes: a year, as Distribution has it.
pub(super) const CACHE_FOR_A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// Of `Accept-Ranges`.
pub(super) const BYTES: HeaderValue = HeaderValue::from_static("bytes");
/// The type of every blob.
pub(super) const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// The type of errors and lists.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The type of a list of referrers.
pub(super) const OCI_INDEX: HeaderValue = HeaderValue::from_static(sampan_engine::oci::media_type::OCI_INDEX);

/// The strong entity tag of content (RFC 9110, 8.8.3): its digest in quotes.
pub(super) fn etag(digest: &Digest) -> String {
    ["\"", digest.algorithm().as_str(), ":", digest.hex(), "\""].concat()
}

/// Says what the content of an answer is: its digest, which is its entity tag too.
pub(super) fn insert_digest(headers: &mut HeaderMap, digest: &Digest) {
    let tag = Bytes::from(etag(digest));
    // One text for both.
    headers.insert(DOCKER_CONTENT_DIGEST, visible(tag.slice(1..tag.len() - 1)));
    headers.insert(ETAG, visible(tag));
}

/// A header of text that the grammars of names, tags, digests, upload ids and URLs keep within visible ASCII.
pub(super) fn visible(text: impl Into<Bytes>) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "every grammar that feeds this allows visible ASCII alone")]
    HeaderValue::from_maybe_shared(text.into()).expect("invariant: visible ASCII")
}
