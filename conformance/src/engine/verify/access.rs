//! A repair shows a repository no content that its manifests merely name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sampan_driver::StorageDriver;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::verify::{HealSource, Options, RepairOutcome, Report, verify};
use sampan_engine::{Clock, Error, IndexChildren, Limits, Registry, Validation};
use serde_json::{Value, json};

use super::super::client::{Client, INDEX, Image, MANIFEST, name, tag};
use super::repair::Elsewhere;
use super::seed::{damage, options};
use crate::check::{ensure, equal};
use crate::{Context, Failed};

const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
const NONDISTRIBUTABLE: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Manifests that a push takes although the repository has no layer of `image`, which they name.
async fn name_its_layers(client: &Client, image: &Image) -> Result<(), Failed> {
    let own = Bytes::from_static(b"{\"os\":\"linux\"}");
    let config = client.push_blob("mallory/x", &own).await?;
    for (manifest, layer) in [(MANIFEST, NONDISTRIBUTABLE), (DOCKER_MANIFEST, FOREIGN)] {
        for size_bytes in [image.layers[0].len(), 5] {
            let named: Vec<Value> =
                image.blobs().map(|blob| described(layer, &Digest::sha256_of(blob), size_bytes)).collect();
            let config = json!({ "mediaType": "application/json", "digest": config, "size": own.len() });
            let text =
                json!({ "schemaVersion": 2, "mediaType": manifest, "config": config, "layers": named });
            client.push_manifest("mallory/x", &text.to_string().into(), tag("named"), &[]).await?;
        }
    }
    let children: Vec<Value> =
        image.blobs().map(|blob| described(MANIFEST, &Digest::sha256_of(blob), blob.len())).collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": children });
    client.push_manifest("mallory/x", &index.to_string().into(), tag("sparse"), &[]).await?;
    Ok(())
}

fn described(media_type: &str, digest: &Digest, size_bytes: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size_bytes, "urls": ["https://elsewhere.example/layer"] })
}

/// A client of another process that takes sparse indexes, an hour later.
fn lenient(ctx: &Context) -> Client {
    let validation = Validation { index_children: IndexChildren::None, ..Validation::default() };
    let now = SystemTime::now() + Duration::from_secs(3600);
    let builder =
        Registry::builder(ctx.driver().clone()).validation(validation).clock(Clock::new(move || now));
    Client { registry: builder.limits(Limits::default()).blob_cache_bytes(0).build() }
}

async fn stays_unseen(client: &Client, image: &Image, report: &Report) -> Result<(), Failed> {
    for blob in image.blobs() {
        let known = client.repository("mallory/x").blobs().stat_and_lease(&Digest::sha256_of(blob)).await;
        ensure(
            matches!(known, Err(Error::BlobUnknown(..))),
            format_args!("a manifest opened a blob of another repository: {known:?}, {report:?}"),
        )?;
    }
    Ok(())
}

pub(super) async fn a_repair_opens_no_blob_that_a_manifest_only_names(ctx: Context) -> Result<(), Failed> {
    let image = Image::new(1);
    let client = lenient(&ctx);
    client.push_image("private/app", &image, "v1").await?;
    name_its_layers(&client, &image).await?;
    for repair in [false, true] {
        let client = lenient(&ctx);
        let report = verify(&client.registry, &options(repair)).await?;
        equal(report.count(), 0, format_args!("problems of a whole store: {report:?}"))?;
        stays_unseen(&client, &image, &report).await?;
    }
    let source = || -> Arc<dyn HealSource> {
        let contents = image.blobs().map(|blob| (Digest::sha256_of(blob), blob.clone()));
        Arc::new(Elsewhere(contents.collect::<BTreeMap<_, _>>()))
    };
    let layer = damage(&ctx, &image.layers[0]).await?;
    let gone = Digest::sha256_of(&image.layers[1]);
    ctx.driver().delete(&Entry::Blob(gone.clone()).path()).await?;
    let client = lenient(&ctx);
    let repair = || Options { source: Some(source()), ..options(true) };
    let report = verify(&client.registry, &repair()).await?;
    let healed = report.problems.iter().filter(|it| matches!(it.outcome, RepairOutcome::Healed(_)));
    let mut healed: Vec<_> = healed.filter_map(|it| it.digest.clone()).collect();
    healed.sort_unstable();
    let mut expected = vec![layer, gone.clone()];
    expected.sort_unstable();
    equal(healed, expected, format_args!("what was healed: {report:?}"))?;
    stays_unseen(&client, &image, &report).await?;
    client.pulls("private/app", &image, tag("v1")).await?;

    // What has lost its last link too comes back to the repository that cannot do without it.
    ctx.driver().delete(&Entry::Blob(gone.clone()).path()).await?;
    ctx.driver().delete(&Entry::LayerLink(name("private/app"), gone).path()).await?;
    let client = lenient(&ctx);
    let report = verify(&client.registry, &repair()).await?;
    ensure(report.count() > 0 && report.is_whole(), format_args!("{report:?}"))?;
    stays_unseen(&client, &image, &report).await?;
    client.pulls("private/app", &image, tag("v1")).await
}
