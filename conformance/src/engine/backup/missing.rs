//! What the saved store lacks, or the backups, or what was never whole.

use bytes::Bytes;
use sampan_driver::{PutMode, StorageDriver, StorageDriverExt};
use sampan_engine::backup::RestoreOptions;
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::Digest;
use serde_json::json;

use super::{Stores, collection, last, tags};
use crate::below::Below;
use crate::check::{ensure, equal};
use crate::engine::client::{Client, Image, index, name, tag};
use crate::engine::store::is_valid;
use crate::{Context, Failed};

/// An image that lacks something is not saved, and named.
pub(super) async fn what_an_image_lacks_is_named_as_damage(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, driver) = (&stores.source, stores.source.registry.driver());
    for (seed, of) in [(1, "one"), (2, "two"), (3, "three")] {
        source.put_image("image", &Image::new(seed), of).await?;
    }
    let (layer, manifest) = (Digest::sha256_of(&Image::new(2).layers[0]), Image::new(3).digest());
    for lost in [&layer, &manifest] {
        driver.delete(&Entry::Blob(lost.clone()).path()).await?;
    }
    let run = stores.run().await?;
    ensure(!run.pass.is_whole(), "a backup without a layer is whole")?;
    let mut missing = run.pass.missing.items.clone();
    missing.sort();
    let mut lost = vec![layer.clone(), manifest];
    lost.sort();
    equal(missing, lost, "what is missing")?;
    let mut images: Vec<_> = run.pass.broken.items.iter().filter_map(|image| image.tag.clone()).collect();
    images.sort();
    equal(images, vec![tag("three"), tag("two")], "the images that lack it")?;
    equal(tags(&stores.backup, "image").await?, ["one"], "the tags of the backups")?;
    is_valid(stores.backup.registry.driver()).await?;

    for (seed, of) in [(2, "two"), (3, "three")] {
        source.put_image("image", &Image::new(seed), of).await?;
    }
    let run = stores.run().await?;
    ensure(run.pass.is_whole(), format_args!("after a push: {:?}", run.pass))?;
    stores.restored(ctx.driver(), run.snapshot.id).await?.pulls("image", &Image::new(2), tag("two")).await?;

    // The backups lose it.
    stores.backup.registry.driver().delete(&Entry::Blob(layer.clone()).path()).await?;
    let restored = stores.restore(run.snapshot.id, RestoreOptions::default()).await?;
    ensure(!restored.pass.is_whole(), "a restore without a layer is whole")?;
    equal(restored.pass.missing.items, vec![layer.clone()], "what the backups lack")?;
    equal(tags(&stores.target, "image").await?, ["one", "three"], "the tags")?;
    // The next run brings it again.
    let run = stores.run().await?;
    ensure(run.pass.is_whole(), "the source has it")?;
    let restored = stores.restore(run.snapshot.id, RestoreOptions::default()).await?;
    ensure(restored.pass.is_whole(), format_args!("after a run: {:?}", restored.pass))?;
    stores.target.pulls("image", &Image::new(2), tag("two")).await?;

    // A volume with all data is not mounted.
    driver.delete_tree(&layout::blobs_root()).await?;
    let other = Stores { backup: Client::new(&Below::at(ctx.driver(), "/empty")), ..stores };
    let run = other.run().await?;
    ensure(!run.pass.is_whole() && run.pass.missing.count > 0, "a backup without any data is whole")
}

/// Clients fetch a layer with URLs from there, and an index may lack platforms.
pub(super) async fn what_no_store_need_have_is_no_damage(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, driver) = (&stores.source, stores.source.registry.driver());
    for (seed, of) in [(1, "one"), (2, "two")] {
        source.put_image("image", &Image::new(seed), of).await?;
    }
    source.push_manifest("image", &foreign(), tag("foreign"), &[]).await?;
    source.push_manifest("image", &index(&[&Image::new(1), &Image::new(2)]), tag("index"), &[]).await?;
    // One platform was deleted, and its layers collected.
    for path in [
        Entry::TagCurrent(name("image"), tag("two")).path(),
        Entry::RevisionLink(name("image"), Image::new(2).digest()).path(),
        Entry::Blob(Digest::sha256_of(&Image::new(2).layers[0])).path(),
    ] {
        driver.delete(&path).await?;
    }
    let run = stores.run().await?;
    ensure(run.pass.is_whole(), format_args!("{:?}", run.pass))?;
    let restored = stores.restore(run.snapshot.id, RestoreOptions::default()).await?;
    ensure(restored.pass.is_whole(), format_args!("{:?}", restored.pass))?;
    equal(tags(&stores.target, "image").await?, ["foreign", "index", "one"], "the tags")
}

/// Links of no bytes, as a power failure leaves them, are written again.
pub(super) async fn a_restore_writes_damaged_links_anew(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let image = Image::new(1);
    stores.source.put_image("image", &image, "one").await?;
    let id = stores.run().await?.snapshot.id;
    stores.restore(id, RestoreOptions::default()).await?;
    let layer = |digest: Digest| Entry::LayerLink(name("image"), digest);
    let links = [
        Entry::RevisionLink(name("image"), image.digest()),
        layer(Digest::sha256_of(&image.layers[0])),
        layer(Digest::sha256_of(&image.config)),
        Entry::TagCurrent(name("image"), tag("one")),
    ];
    for link in &links {
        stores.target.registry.driver().put_content(&link.path(), Bytes::new(), PutMode::Overwrite).await?;
    }
    let dry = RestoreOptions { dry_run: true, ..RestoreOptions::default() };
    let planned = stores.restore(id, dry).await?.pass.copied;
    let restored = stores.restore(id, RestoreOptions::default()).await?;
    equal(restored.pass.copied, planned, "what was announced, and what was copied")?;
    let copied = restored.pass.copied;
    equal(
        (copied.revisions, copied.layer_links, copied.tags),
        (1, 2, 1),
        "the links that are written again",
    )?;
    for link in &links {
        let content = stores.target.registry.driver().get_content(&link.path()).await?;
        ensure(!content.is_empty(), format_args!("{} is still empty", link.path()))?;
    }
    stores.target.pulls("image", &image, tag("one")).await?;
    let again = stores.restore(id, RestoreOptions::default()).await?;
    equal(again.pass.copied.files(), 0, "what another restore copies")
}

/// What no manifest needs is not saved, so a run after a prune copies nothing. What the backups have lost comes again.
pub(super) async fn what_no_manifest_needs_is_not_saved(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, image) = (&stores.source, Image::new(1));
    source.put_image("image", &image, "one").await?;
    // With a link, and without.
    let linked = Image::new(2).layers[0].clone();
    let linked = source.push_blob("image", &linked).await?;
    let bare = Image::new(3).layers[0].clone();
    let data = Entry::Blob(Digest::sha256_of(&bare)).path();
    source.registry.driver().put_content(&data, bare, PutMode::Overwrite).await?;
    let run = stores.run().await?;
    ensure(run.pass.is_whole(), "the backup lacks something")?;
    equal(run.pass.copied.blobs, 4, "the data that are saved")?;
    let there = stores.backup.registry.driver();
    for path in [data, Entry::Blob(linked.clone()).path(), Entry::LayerLink(name("image"), linked).path()] {
        ensure(!there.exists(&path).await?, format_args!("{path} is saved"))?;
    }
    sampan_engine::backup::prune(&stores.backup.registry, &last(1), collection()).await?;
    equal(stores.run().await?.pass.copied.files(), 0, "what a run after a prune copies")?;

    let layer = Digest::sha256_of(&image.layers[0]);
    let config = Digest::sha256_of(&image.config);
    there.delete(&Entry::Blob(layer).path()).await?;
    there.delete(&Entry::LayerLink(name("image"), config).path()).await?;
    let run = stores.run().await?;
    equal((run.pass.copied.blobs, run.pass.copied.layer_links), (1, 1), "what comes again")?;
    let restored = stores.restored(ctx.driver(), run.snapshot.id).await?;
    restored.pulls("image", &image, tag("one")).await
}

/// An image whose layer lies elsewhere.
fn foreign() -> Bytes {
    let image = Image::new(1);
    let layer = json!({
        "mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "size": 5,
        "digest": Digest::sha256_of(b"elsewhere").to_string(), "urls": ["https://example.com/layer"],
    });
    let config = json!({
        "mediaType": "application/vnd.docker.container.image.v1+json", "size": image.config.len(),
        "digest": Digest::sha256_of(&image.config).to_string(),
    });
    let media_type = "application/vnd.docker.distribution.manifest.v2+json";
    json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer] })
        .to_string()
        .into()
}
