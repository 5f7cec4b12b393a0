//! Blobs that other repositories already have.

use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{Error, MountOutcome};

use super::client::{Client, Image, name, tag, walk};
use super::store::is_valid;
use crate::check::{ensure, equal, same_bytes};
use crate::data::bytes;
use crate::{Clause, Context, Failed, clause::table};

async fn a_blob_is_mounted_from_the_repository_named(ctx: Context) -> Result<(), Failed> {
    let (client, content) = (Client::new(ctx.driver()), bytes(1, 10_000));
    let digest = client.push_blob("source", &content).await?;
    let outcome = client.repository("target").blobs().mount(&digest, Some(&name("source"))).await?;
    let MountOutcome::Mounted(info) = outcome else { return Err(Failed::new("the blob was not mounted")) };
    equal((info.digest, info.size_bytes), (digest.clone(), 10_000), "the answer to the mount")?;
    for client in [&client, &Client::of_another_process(&ctx).await?] {
        same_bytes(&client.pull_blob("target", &digest).await?, &content, "the mounted blob")?;
    }
    is_valid(ctx.driver()).await
}

async fn a_blob_is_mounted_from_anywhere(ctx: Context) -> Result<(), Failed> {
    let (client, content) = (Client::new(ctx.driver()), bytes(1, 10_000));
    let digest = client.push_blob("source", &content).await?;
    let outcome = client.repository("target").blobs().mount(&digest, None).await?;
    ensure(matches!(outcome, MountOutcome::Mounted(_)), "the blob was not mounted")?;
    same_bytes(&client.pull_blob("target", &digest).await?, &content, "the mounted blob")
}

async fn an_alias_is_mounted_too(ctx: Context) -> Result<(), Failed> {
    let (client, content) = (Client::new(ctx.driver()), bytes(1, 10_000));
    let alias = Digest::of(Algorithm::Sha512, &content);
    client.put_blob("source", &content, &alias).await?;
    let outcome = client.repository("target").blobs().mount(&alias, Some(&name("source"))).await?;
    ensure(matches!(outcome, MountOutcome::Mounted(_)), "the blob was not mounted")?;
    for digest in [alias, Digest::sha256_of(&content)] {
        same_bytes(&client.pull_blob("target", &digest).await?, &content, "the mounted blob")?;
    }
    Ok(())
}

async fn what_is_not_there_is_not_mounted(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let digest = client.push_blob("source", &bytes(1, 10_000)).await?;
    let before = walk(ctx.driver()).await?;
    let target = client.repository("target").blobs();
    let missing = Digest::sha256_of(b"never pushed");
    for (digest, from) in [(&digest, Some("elsewhere")), (&missing, Some("source")), (&missing, None)] {
        let outcome = target.mount(digest, from.map(name).as_ref()).await?;
        equal(outcome, MountOutcome::NotFound, format_args!("mounting from {from:?}"))?;
        let stat = target.stat_and_lease(digest).await;
        ensure(matches!(stat, Err(Error::BlobUnknown(..))), "what was not mounted is there")?;
    }
    equal(walk(ctx.driver()).await?, before, "the files of the store")
}

async fn an_image_of_mounted_blobs_can_be_pulled(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("source", &image, "latest").await?;
    for blob in image.blobs() {
        client.repository("target").blobs().mount(&Digest::sha256_of(blob), Some(&name("source"))).await?;
    }
    client.push_manifest("target", &image.manifest, tag("copy"), &[]).await?;
    client.pulls("target", &image, tag("copy")).await?;
    is_valid(ctx.driver()).await
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::mount":
    a_blob_is_mounted_from_the_repository_named,
    a_blob_is_mounted_from_anywhere,
    an_alias_is_mounted_too,
    what_is_not_there_is_not_mounted,
    an_image_of_mounted_blobs_can_be_pulled,
};
