//! Header names that the `http` crate lacks, and constant values.

use axum::body::Bytes;
use http::header::ETAG;
use http::{HeaderMap, HeaderName, HeaderValue};
use sampan_engine::oci::Digest;

/// The digest of the content sent, received or mounted.
pub(super) const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Tells old Docker clients that this is a registry.
pub(super) const DOCKER_API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// The upload session's id.
pub(super) const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// How a cache answered (RFC 9211).
pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// The smallest chunk that a client should send, in bytes.
pub(super) const OCI_CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
/// The filters applied to a referrers request.
pub(super) const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// The subject of the pushed manifest; its presence tells the client that the registry supports referrers.
pub(super) const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// A tag set by a push by digest; one header per tag.
pub(super) const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// A proxy's statement of the host that the client requested.
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// A proxy's statement of the port that the client connected to.
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
/// A proxy's statement of the scheme that the client used.
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The addresses of the client and the proxies before the last.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The client's address.
pub(super) const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// The request's id, in requests and responses.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The value of [`DOCKER_API_VERSION`].
pub(super) const REGISTRY_2_0: HeaderValue = HeaderValue::from_static("registry/2.0");
/// A blob never changes, so it may be cached for a year, as in Distribution.
pub(super) const CACHE_FOR_A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// The value of `Accept-Ranges`.
pub(super) const BYTES: HeaderValue = HeaderValue::from_static("bytes");
/// The media type of every blob.
pub(super) const OCTET_STREAM: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// The media type of errors and lists.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The media type of a list of referrers.
pub(super) const OCI_INDEX: HeaderValue = HeaderValue::from_static(sampan_engine::oci::media_type::OCI_INDEX);

/// The strong entity tag of content (RFC 9110, 8.8.3): its digest in quotes.
pub(super) fn etag(digest: &Digest) -> String {
    ["\"", digest.algorithm().as_str(), ":", digest.hex(), "\""].concat()
}

/// Sets `Docker-Content-Digest` and `ETag`.
pub(super) fn insert_digest(headers: &mut HeaderMap, digest: &Digest) {
    let tag = Bytes::from(etag(digest));
    // Both values share one buffer.
    headers.insert(DOCKER_CONTENT_DIGEST, visible(tag.slice(1..tag.len() - 1)));
    headers.insert(ETAG, visible(tag));
}

/// A header value from text that the grammars of names, tags, digests, upload ids and URLs restrict to
/// visible ASCII.
pub(super) fn visible(text: impl Into<Bytes>) -> HeaderValue {
    #[expect(clippy::expect_used, reason = "every grammar that feeds this allows visible ASCII alone")]
    HeaderValue::from_maybe_shared(text.into()).expect("invariant: visible ASCII")
}
