//! Summaries of images: right for usual images, bounded and honest for all others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::try_join_all;
use sampan_driver::{DriverPath, Operation, PutMode, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::{Error, Gap, ImageKind, ImageSummary};
use serde_json::{Value, json};

use super::client::{Client, INDEX, Image, MANIFEST, artifact, index, name};
use super::hooks::Counted;
use crate::check::{ensure, equal};
use crate::data::bytes;
use crate::hooked::{Hook, Hooked};
use crate::{Clause, Context, Failed, clause::table};

async fn an_image_is_summed_up(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "latest").await?;
    let artifact = client.attach("image", "application/vnd.sbom", &image.manifest).await?;
    let other = Client::of_another_process(&ctx).await?;
    let found = summary(&other, &image.digest()).await?;
    equal(found.kind, ImageKind::Image, "the kind")?;
    equal(&found.platforms[..], ["linux/amd64"], "the platforms")?;
    let size_bytes: usize = image.blobs().map(Bytes::len).sum();
    equal((found.size_bytes, found.layers), (size_bytes as u64, 2), "size and layers")?;
    equal(&found.gaps[..], [], "the gaps")?;
    let found = summary(&other, &Digest::sha256_of(&artifact)).await?;
    equal(
        (found.kind, found.artifact_type.as_deref(), found.size_bytes),
        (ImageKind::Artifact, Some("application/vnd.sbom"), 2),
        "the summary of an artifact",
    )?;
    let unknown = client.repository("other").summary(&image.digest()).await;
    ensure(
        matches!(unknown, Err(Error::ManifestUnknown(..))),
        format_args!("an image of another repository was answered by {unknown:?}"),
    )
}

/// Memory answers for everything but the link.
async fn a_second_look_costs_one_read(ctx: Context) -> Result<(), Failed> {
    let (client, images) = (Client::new(ctx.driver()), [Image::new(1), Image::new(2)]);
    for image in &images {
        client.put_image("image", image, "latest").await?;
    }
    let index = index(&[&images[0], &images[1]]);
    client.push_manifest("image", &index, Digest::sha256_of(&index), &[]).await?;
    let counted = Counted::default();
    let client = Client::new(&counted.over(ctx.driver()));
    for digest in [images[0].digest(), Digest::sha256_of(&index)] {
        let first = summary(&client, &digest).await?;
        counted.clear();
        equal(summary(&client, &digest).await?, first, "the second answer")?;
        equal(counted.count(|_, _| true), 1, "the operations of the second answer")?;
    }
    client.repository("image").manifests().delete(&images[0].digest().into()).await?;
    let gone = client.repository("image").summary(&images[0].digest()).await;
    ensure(matches!(gone, Err(Error::ManifestUnknown(..))), format_args!("memory answers {gone:?}"))
}

async fn an_index_counts_each_blob_once(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let shared = bytes(1, 5000);
    let mut children = Vec::new();
    let mut expected = shared.len();
    for (number, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
        let config = json!({
            "os": "linux", "architecture": architecture, "created": "2024-01-02T03:04:05Z",
            "config": { "Labels": { "org.opencontainers.image.version": "1.0" } },
        });
        let (config, own) = (Bytes::from(config.to_string()), bytes(10 + number as u64, 700));
        expected += config.len() + own.len();
        let manifest = image_of(&config, &[&shared, &own]);
        for blob in [&config, &shared, &own] {
            client.put_blob("image", blob, &Digest::sha256_of(blob)).await?;
        }
        client.push_manifest("image", &manifest, Digest::sha256_of(&manifest), &[]).await?;
        // The second child has no platform in the index: its configuration has one.
        let platform = (number == 0).then(|| json!({ "os": "linux", "architecture": architecture }));
        children.push((manifest, platform));
    }
    let index = index_of(&children);
    client.push_manifest("image", &index, Digest::sha256_of(&index), &[]).await?;
    let found = summary(&Client::of_another_process(&ctx).await?, &Digest::sha256_of(&index)).await?;
    equal(found.kind, ImageKind::Index, "the kind")?;
    equal(&found.platforms[..], ["linux/amd64", "linux/arm64"], "the platforms")?;
    equal((found.size_bytes, found.layers), (expected as u64, 3), "size and layers")?;
    ensure(found.created.is_some(), "the images say when they were created")?;
    equal(found.version.as_deref(), Some("1.0"), "the version of the first image")?;
    equal(&found.gaps[..], [], "the gaps")
}

async fn what_is_missing_is_a_gap_until_it_comes(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let (here, elsewhere) = (Image::new(1), Image::new(2));
    client.push_image("image", &here, "latest").await?;
    let index = index(&[&here, &elsewhere]);
    write(ctx.driver(), &index).await?;
    let digest = Digest::sha256_of(&index);
    let found = summary(&client, &digest).await?;
    equal(&found.gaps[..], [Gap::ChildrenMissing(1)], "the gaps of an index without a child")?;
    client.push_image("image", &elsewhere, "other").await?;
    equal(&summary(&client, &digest).await?.gaps[..], [], "the gaps when the child is there")?;

    ctx.delete(Entry::LayerLink(name("image"), Digest::sha256_of(&here.config)).path().as_str()).await?;
    let found = summary(&client, &here.digest()).await?;
    equal(&found.gaps[..], [Gap::ConfigMissing], "the gaps without a configuration")?;
    equal((found.kind, found.layers), (ImageKind::Image, 2), "kind and layers")
}

async fn what_is_damaged_is_a_gap(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "latest").await?;
    for (content, gap) in [(&image.config, Gap::ConfigDamaged), (&image.manifest, Gap::ManifestDamaged)] {
        let path = Entry::Blob(Digest::sha256_of(content)).path();
        let mut damaged = content.to_vec();
        damaged[10] ^= 1;
        ctx.driver().put_content(&path, damaged.into(), PutMode::Overwrite).await?;
        let found = summary(&Client::new(ctx.driver()), &image.digest()).await?;
        equal(&found.gaps[..], [gap], "the gaps")?;
    }
    for (content, reason) in [("{", "EOF"), (r#"{"schemaVersion":1}"#, "schema 1"), ("[]", "`{`")] {
        write(ctx.driver(), &Bytes::from_static(content.as_bytes())).await?;
        let found = summary(&client, &Digest::sha256_of(content.as_bytes())).await?;
        let is_said = matches!(&found.gaps[..], [Gap::ManifestUnreadable(why)] if why.contains(reason));
        ensure(is_said && found.kind == ImageKind::Unknown, format_args!("{content}: {found:?}"))?;
    }
    Ok(())
}

async fn hostile_images_cost_little(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let large = Bytes::from(vec![b' '; (1 << 20) + 1]);
    client.put_blob("image", &large, &Digest::sha256_of(&large)).await?;
    let counted = Counted::default();
    let hostile = Client::new(&counted.over(ctx.driver()));
    for (claimed, expected) in [(2_u64 << 30, 2 << 30), (10, (1 << 20) + 1)] {
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "size": claimed,
                        "digest": Digest::sha256_of(&large).to_string() },
        });
        let manifest = Bytes::from(manifest.to_string());
        write(ctx.driver(), &manifest).await?;
        let found = summary(&hostile, &Digest::sha256_of(&manifest)).await?;
        equal(&found.gaps[..], [Gap::ConfigTooLarge(expected)], "the gaps of a huge configuration")?;
    }

    // Five levels, at the end of which is an image.
    let image = Image::new(1);
    client.put_image("image", &image, "latest").await?;
    let mut deep = index(&[&image]);
    for _ in 0..4 {
        write(ctx.driver(), &deep).await?;
        deep = index_of(&[(deep.clone(), None)]);
    }
    write(ctx.driver(), &deep).await?;
    let found = summary(&hostile, &Digest::sha256_of(&deep)).await?;
    equal((&found.gaps[..], found.layers), (&[][..], 2), "the gaps and layers of a deep index")?;

    let children: Vec<(Bytes, Option<Value>)> = (0..1000)
        .map(|number| {
            let platform = json!({ "os": "linux", "architecture": format!("a{number}") });
            (artifact(&format!("application/{number}"), &image.manifest), Some(platform))
        })
        .collect();
    for (child, _) in &children[..10] {
        write(ctx.driver(), child).await?;
    }
    let wide = index_of(&children);
    write(ctx.driver(), &wide).await?;
    counted.clear();
    let found = summary(&hostile, &Digest::sha256_of(&wide)).await?;
    equal(found.platforms.len(), 64, "the listed platforms")?;
    let expected = [Gap::ChildrenMissing(246), Gap::ChildrenLeftOut(744), Gap::PlatformsLeftOut(936)];
    equal(&found.gaps[..], expected, "the gaps of an index of 1,000 platforms")?;
    let operations = counted.count(|_, _| true);
    ensure(operations <= 600, format_args!("it costs {operations} operations"))
}

/// The same index may have its children in one repository, and not in another.
async fn one_repository_says_nothing_of_another(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("elsewhere", &image, "latest").await?;
    let index = index(&[&image]);
    client.push_manifest("elsewhere", &index, Digest::sha256_of(&index), &[]).await?;
    write(ctx.driver(), &index).await?;
    let digest = Digest::sha256_of(&index);
    let whole = client.repository("elsewhere").summary(&digest).await?;
    equal(&whole.gaps[..], [], "the gaps where the child is")?;
    let sparse = summary(&client, &digest).await?;
    equal((&sparse.gaps[..], sparse.layers), (&[Gap::ChildrenMissing(1)][..], 0), "what is known without it")
}

/// Holds back each read of data for a while.
#[derive(Debug, Default)]
struct Crowd {
    reading: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Hook for Crowd {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        let is_read = matches!(operation, Operation::GetContent | Operation::Reader);
        if is_read && matches!(Entry::parse(path), Some(Entry::Blob(_))) {
            self.most.fetch_max(self.reading.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            self.reading.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Manifests of 4 MiB, a thousand at once, would fill the memory.
async fn many_at_once_read_few_manifests(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "latest").await?;
    let mut digests = Vec::new();
    for number in 0..60 {
        let artifact = artifact(&format!("application/{number}"), &image.manifest);
        write(ctx.driver(), &artifact).await?;
        digests.push(Digest::sha256_of(&artifact));
    }
    let crowd = Arc::new(Crowd::default());
    let driver: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), crowd.clone()));
    let client = Client::new(&driver);
    let summaries = try_join_all(digests.iter().map(|digest| summary(&client, digest))).await?;
    ensure(
        summaries.iter().all(|summary| summary.kind == ImageKind::Artifact),
        "a summary is of another kind",
    )?;
    let most = crowd.most.load(Ordering::SeqCst);
    ensure((1..=16).contains(&most), format_args!("{most} manifests were read at once"))
}

async fn summary(client: &Client, digest: &Digest) -> Result<Arc<ImageSummary>, Error> {
    client.repository("image").summary(digest).await
}

/// Writes a manifest past the registry, which would not accept it.
async fn write(driver: &Arc<dyn StorageDriver>, manifest: &Bytes) -> Result<(), Failed> {
    let digest = Digest::sha256_of(manifest);
    driver.put_content(&Entry::Blob(digest.clone()).path(), manifest.clone(), PutMode::Overwrite).await?;
    let link = Entry::RevisionLink(name("image"), digest.clone()).path();
    Ok(driver.put_content(&link, digest.to_string().into(), PutMode::Overwrite).await?)
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::sha256_of(content).to_string(), "size": content.len() })
}

fn image_of(config: &Bytes, layers: &[&Bytes]) -> Bytes {
    let layers = layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer));
    json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers.collect::<Vec<_>>(),
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
    })
    .to_string()
    .into()
}

fn index_of(children: &[(Bytes, Option<Value>)]) -> Bytes {
    let children = children.iter().map(|(child, platform)| {
        let media_type = if child.starts_with(b"{\"manifests\"") { INDEX } else { MANIFEST };
        let mut descriptor = descriptor(media_type, child);
        if let Some(platform) = platform {
            descriptor["platform"] = platform.clone();
        }
        descriptor
    });
    let manifests: Vec<Value> = children.collect();
    json!({ "manifests": manifests, "mediaType": INDEX, "schemaVersion": 2 }).to_string().into()
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::summary":
    an_image_is_summed_up,
    a_second_look_costs_one_read,
    an_index_counts_each_blob_once,
    what_is_missing_is_a_gap_until_it_comes,
    what_is_damaged_is_a_gap,
    hostile_images_cost_little,
    one_repository_says_nothing_of_another,
    many_at_once_read_few_manifests,
};
