//! `/v2/<name>/referrers/<digest>`.

use axum::extract::State;
use axum::response::IntoResponse;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, LINK};
use sampan_engine::oci::{Digest, media_type};
use sampan_engine::{ReferrersPage, ReferrersQuery};

use super::{Reply, link};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::extract::{Authorized, BlobDigest, PageQuery, Pull, Query, Readers};
use crate::http::headers::{OCI_FILTERS_APPLIED, OCI_INDEX};
use crate::http::route::Endpoint;
use crate::http::state::AppState;

/// The most bytes of descriptors in one response: clients must accept an index of 4 MiB.
const PAGE_BYTES: usize = (4 << 20) - 1024;

/// Lists the manifests whose subject is the digest, as an image index. The subject need not exist.
pub(in crate::http) async fn list(
    State(state): State<AppState>,
    repo: Authorized<Pull>,
    digest: BlobDigest,
    query: Query,
    page: PageQuery,
    readers: Readers,
) -> Reply {
    let permit = readers.document().await;
    let query = ReferrersQuery {
        after: page.last.as_deref().map(after).transpose()?,
        // An unencoded `+` decodes to a blank, which no media type contains.
        artifact_type: query.non_empty("artifactType").map(|text| text.replace(' ', "+")),
        limit: page.n.unwrap_or(usize::MAX),
        max_bytes: PAGE_BYTES,
    };
    let found = repo.content().referrers(&digest.0, &query).await?;

    let index = readers.count(index(&found).into()).await?;
    let mut response = ([(CONTENT_TYPE, OCI_INDEX)], index).into_response();
    if query.artifact_type.is_some() {
        response.headers_mut().insert(OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(last) = found.descriptors.last().filter(|_| found.has_more) {
        let path = Endpoint::Referrers.path(repo.asked().name.as_str(), &digest.0.to_string());
        let filter = query.artifact_type.as_deref().map(|text| ("artifactType", text));
        let ns = repo.asked().ns.as_deref().map(|ns| ("ns", ns));
        let kept: Vec<_> = filter.into_iter().chain(ns).collect();
        let last = last.digest.to_string();
        let link = link::next(&state.options().prefix, &path, &last, page.n, &kept);
        response.headers_mut().insert(LINK, link);
    }
    Ok(permit.hold(response))
}

fn after(last: &str) -> Result<Digest, ApiError> {
    last.parse().map_err(|_| {
        ApiError::new(ErrorCode::DigestInvalid)
            .with_message("`last` is malformed")
            .with_reason("it must come from the Link header of the previous page")
    })
}

fn index(page: &ReferrersPage) -> String {
    let manifests: usize = page.descriptors.iter().map(|referrer| referrer.json().len() + 1).sum();
    let mut index = String::with_capacity(manifests + 128);
    index.push_str(r#"{"schemaVersion":2,"mediaType":""#);
    index.push_str(media_type::OCI_INDEX);
    index.push_str(r#"","manifests":["#);
    for (place, referrer) in page.descriptors.iter().enumerate() {
        if place > 0 {
            index.push(',');
        }
        index.push_str(referrer.json());
    }
    index.push_str("]}");
    index
}
