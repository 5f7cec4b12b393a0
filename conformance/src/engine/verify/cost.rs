//! What a verification costs is bounded by what is stored, and not by what manifests say of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{DriverPath, Operation, StorageDriver};
use sampan_engine::Registry;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::verify::{Options, verify};
use serde_json::json;

use super::super::client::{Client, Image, MANIFEST, tag};
use super::seed::{damage, options};
use crate::check::{ensure, equal};
use crate::hooked::{Hook, Hooked};
use crate::{Context, Failed};

/// Counts how often a file is read.
#[derive(Debug)]
struct Reads(DriverPath, AtomicU64);

#[async_trait]
impl Hook for Reads {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        if *path == self.0 && matches!(operation, Operation::Reader | Operation::GetContent) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

pub(super) async fn wrong_lengths_have_a_blob_hashed_once(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("app", &image, "v1").await?;
    let layer = Digest::sha256_of(&image.layers[0]);
    for number in 0..10 {
        let config = json!({ "number": number }).to_string();
        let digest = client.push_blob("app", &Bytes::from(config.clone())).await?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": "application/json", "digest": digest, "size": config.len() },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": 5 + number }],
        });
        client.push_manifest("app", &manifest.to_string().into(), tag(&format!("n{number}")), &[]).await?;
    }
    // Then the images that need it are looked for in another pass.
    damage(&ctx, &image.layers[1]).await?;
    for (data, expected) in [(None, 1), (options(false).data, 2)] {
        let reads = Arc::new(Reads(Entry::Blob(layer.clone()).path(), AtomicU64::new(0)));
        let counted: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), reads.clone()));
        let registry = Registry::builder(counted).blob_cache_bytes(0).build();
        let report = verify(&registry, &Options { data, ..options(false) }).await?;
        ensure(report.count() <= 1, format_args!("{report:?}"))?;
        let read = reads.1.load(Ordering::SeqCst);
        equal(read, expected, format_args!("how often the layer was read, with {data:?}"))?;
    }
    Ok(())
}
