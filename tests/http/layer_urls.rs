//! Manifests whose layers may be elsewhere.

use std::sync::Arc;

use sampan_engine::oci::media_type::{DOCKER_MANIFEST, OCI_MANIFEST};
use sampan_engine::{UrlRules, Validation};
use serde_json::{Value, json};

use crate::support::image::{descriptor, manifest};
use crate::support::{Answer, Server, Setup};

const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
const NONDISTRIBUTABLE: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
const ORDINARY: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

async fn with_blobs(validation: Validation) -> Server {
    let server = Server::with(Setup { validation, ..Setup::default() });
    server.push_blob("a/b", "{}").await;
    server
}

/// A layer that is not in the registry.
fn away(kind: &str, urls: Value) -> Value {
    let mut layer = descriptor(kind, b"far away");
    layer["urls"] = urls;
    layer
}

async fn push(server: &Server, kind: &str, layer: Value) -> Answer {
    let mut manifest = manifest(b"{}", b"");
    manifest["mediaType"] = kind.into();
    manifest["layers"] = json!([layer]);
    server.put_manifest("a/b", "one", &manifest).await
}

#[tokio::test]
async fn layers_that_may_not_be_distributed_have_urls_unless_a_list_says_otherwise() {
    let server = with_blobs(Validation::default()).await;
    let url = "https://store.example.com/blobs/1";
    push(&server, OCI_MANIFEST, away(NONDISTRIBUTABLE, json!([url, "http://other.example.com/1"])))
        .await
        .expect(201);
    push(&server, DOCKER_MANIFEST, away(FOREIGN, json!([url]))).await.expect(201);
    // A distributable layer needs no URL, and clients fetch any URL in a manifest, so the registry refuses these.
    for (kind, layer) in [
        (OCI_MANIFEST, away(ORDINARY, json!(["http://169.254.169.254/"]))),
        (DOCKER_MANIFEST, away(ORDINARY, json!([url]))),
        (OCI_MANIFEST, away(NONDISTRIBUTABLE, json!([url, "file:///etc/shadow"]))),
        (OCI_MANIFEST, away(NONDISTRIBUTABLE, json!(["https://"]))),
        (OCI_MANIFEST, away(NONDISTRIBUTABLE, json!([""]))),
        (OCI_MANIFEST, away(NONDISTRIBUTABLE, json!([format!("{url}#fragment")]))),
        (DOCKER_MANIFEST, away(FOREIGN, json!([]))),
    ] {
        push(&server, kind, layer).await.expect_error(400, "MANIFEST_INVALID");
    }
    // A layer without a URL must be in the registry.
    push(&server, OCI_MANIFEST, away(NONDISTRIBUTABLE, json!([])))
        .await
        .expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

#[tokio::test]
async fn a_configured_list_applies() {
    let urls = UrlRules::Only(Arc::new(|url| url.starts_with("https://good.example.com/")));
    let server = with_blobs(Validation { urls, ..Validation::default() }).await;
    let good = json!(["https://good.example.com/1"]);
    push(&server, OCI_MANIFEST, away(NONDISTRIBUTABLE, good.clone())).await.expect(201);
    push(&server, OCI_MANIFEST, away(NONDISTRIBUTABLE, json!(["https://bad.example.com/1"])))
        .await
        .expect_error(400, "MANIFEST_INVALID");
    // A layer of any kind may have one of these URLs, but must still be in the registry.
    push(&server, OCI_MANIFEST, away(ORDINARY, good)).await.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}
