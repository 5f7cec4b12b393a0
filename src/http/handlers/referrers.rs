//! `/v2/<name>/referrers/<digest>`.

use axum::extract::State;
use axum::response::IntoResponse;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, LINK};
use sampan_engine::oci::{Descriptor, Digest, media_type};

use super::{Reply, link};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::extract::{Authorized, BlobDigest, PageQuery, Pull, Query, Readers};
use crate::http::headers::{OCI_FILTERS_APPLIED, OCI_INDEX};
use crate::http::state::AppState;

/// The most bytes of descriptors in one answer: clients must be able to read an index of 4 MiB.
const PAGE_BYTES: usize = (4 << 20) - 1024;

/// The manifests attached to a digest, which need not exist here, as an image index.
pub(in crate::http) async fn list(
    State(state): State<AppState>,
    at: Authorized<Pull>,
    digest: BlobDigest,
    query: Query,
    page: PageQuery,
    readers: Readers,
) -> Reply {
    let permit = readers.document().await;
    // A `+` that a client forgot to encode reads as a blank, which no media type has.
    let artifact_type = query.non_empty("artifactType").map(|text| text.replace(' ', "+"));
    let last = page.last.as_deref().map(after).transpose()?;
    let mut found = at.repository().referrers().list(&digest.0).await?;
    found.retain(|descriptor| artifact_type.is_none() || descriptor.artifact_type == artifact_type);
    found.retain(|descriptor| last.as_ref().is_none_or(|last| descriptor.digest > *last));

    let shown = Shown::of(&found, page.n.unwrap_or(usize::MAX));
    let mut response = ([(CONTENT_TYPE, OCI_INDEX)], shown.index()).into_response();
    if artifact_type.is_some() {
        response.headers_mut().insert(OCI_FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(last) = shown.last {
        let path = format!("/v2/{}/referrers/{}", at.name(), digest.0);
        let filter = artifact_type.as_deref().map(|text| ("artifactType", text));
        let link = link::next(&state.options().prefix, &path, &last.to_string(), page.n, filter.as_slice());
        response.headers_mut().insert(LINK, link);
    }
    Ok(permit.hold(response))
}

fn after(last: &str) -> Result<Digest, ApiError> {
    last.parse().map_err(|_| {
        ApiError::new(ErrorCode::DigestInvalid)
            .with_detail("`last` must be taken from the link of the page before")
    })
}

/// A page of descriptors, written out.
struct Shown<'a> {
    manifests: String,
    /// The last one on the page; `None` when nothing follows it.
    last: Option<&'a Digest>,
}

impl<'a> Shown<'a> {
    /// As many of `found` as were asked for and fit, but at least one: else there would be no way on.
    fn of(found: &'a [Descriptor], n: usize) -> Self {
        let mut manifests = String::new();
        let mut last = None;
        for (index, descriptor) in found.iter().enumerate() {
            // Strings, numbers and maps of strings always serialise.
            let text = serde_json::to_string(descriptor).unwrap_or_default();
            if index == n || (index > 0 && manifests.len() + text.len() > PAGE_BYTES) {
                return Self { manifests, last };
            }
            if index > 0 {
                manifests.push(',');
            }
            manifests.push_str(&text);
            last = Some(&descriptor.digest);
        }
        Self { manifests, last: None }
    }

    fn index(&self) -> String {
        let (media_type, manifests) = (media_type::OCI_INDEX, &self.manifests);
        format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{manifests}]}}"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptors(count: usize, padding: usize) -> Vec<Descriptor> {
        let json = |index: usize| {
            let digest = Digest::sha256_of(&index.to_be_bytes());
            let text = "x".repeat(padding);
            format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1,"annotations":{{"k":"{text}"}}}}"#)
        };
        (0..count).map(|index| serde_json::from_str(&json(index)).unwrap()).collect()
    }

    #[test]
    fn a_page_holds_no_more_than_clients_can_read() {
        let found = descriptors(10, 1 << 20);
        let shown = Shown::of(&found, usize::MAX);
        assert!(shown.index().len() <= 4 << 20);
        assert_eq!(shown.last, Some(&found[2].digest));
    }

    #[test]
    fn one_descriptor_beyond_the_limit_is_still_shown() {
        let found = descriptors(2, 5 << 20);
        assert_eq!(Shown::of(&found, usize::MAX).last, Some(&found[0].digest));
        assert_eq!(Shown::of(&found[..1], usize::MAX).last, None);
    }

    #[test]
    fn a_count_is_kept() {
        let found = descriptors(3, 0);
        assert_eq!(Shown::of(&found, 2).last, Some(&found[1].digest));
        assert_eq!(Shown::of(&found, 3).last, None);
        assert_eq!(Shown::of(&found, 0).last, None);
        assert_eq!(Shown::of(&found, 0).manifests, "");
    }
}
