//! `Accept` of a manifest request. The registry serves the stored manifest whatever it says, except to legacy
//! clients.

use http::HeaderMap;
use http::header::ACCEPT;
use sampan_engine::oci::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

/// Whether the client accepts single manifests but no list or index.
///
/// Such a client predates lists; Distribution serves it the child for linux/amd64. Quality values are
/// ignored.
pub(in crate::http) fn wants_single_manifest(headers: &HeaderMap) -> bool {
    let mut single = false;
    for value in headers.get_all(ACCEPT) {
        for element in value.to_str().unwrap_or("*/*").split(',') {
            match element.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                "*/*" | "application/*" | DOCKER_LIST | OCI_INDEX => return false,
                DOCKER_MANIFEST | OCI_MANIFEST => single = true,
                _ => {}
            }
        }
    }
    single
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_that_accepts_single_manifests_alone_is_legacy() {
        for (accept, old) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["text/html"], false),
            (&[DOCKER_MANIFEST], true),
            (&[OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v1+prettyjws"], true),
            (&["application/json, application/vnd.docker.distribution.manifest.v2+json;q=0.9"], true),
            (&[DOCKER_MANIFEST, DOCKER_LIST], false),
            (&[DOCKER_MANIFEST, OCI_INDEX], false),
            (&[DOCKER_MANIFEST, "*/*;q=0.1"], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, value.parse().unwrap());
            }
            assert_eq!(wants_single_manifest(&headers), old, "{accept:?}");
        }
    }
}
