//! Flows of blobs and uploads, interrupted at every operation.

use bytes::Bytes;
use sampan_driver::StorageDriver;
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{Error, StartUpload, UploadId};

use super::super::client::{Client, body, name};
use super::{crash_everywhere, nothing, unless_unknown};
use crate::check::ensure;
use crate::data::bytes;
use crate::{Context, Failed};

pub(super) async fn pushing_a_blob(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 30_000);
    let run = |client: Client| {
        let content = content.clone();
        async move { client.push_blob("image", &content).await.map(drop) }
    };
    crash_everywhere(&ctx, |_| nothing(), run, |client| holds_blob(client, content.clone())).await
}

pub(super) async fn pushing_a_blob_by_an_alias(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 30_000);
    let alias = Digest::of(Algorithm::Sha512, &content);
    let run = |client: Client| {
        let (content, alias) = (content.clone(), alias.clone());
        async move { client.put_blob("image", &content, &alias).await.map(drop) }
    };
    crash_everywhere(&ctx, |_| nothing(), run, |client| holds_blob(client, content.clone())).await
}

/// The client repeats its last request. The answer may be that the upload is unknown, but not that the content is wrong.
pub(super) async fn ending_an_upload_twice(ctx: Context) -> Result<(), Failed> {
    for (sent, size) in
        [(30_000, 30_000), (SIZE_WITH_PARTS, SIZE_WITH_PARTS), (0, 30_000), (0, SIZE_WITH_PARTS)]
    {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let (id, content) = (UploadId::random(), bytes(1, size));
            let before = |client| begin_upload(client, id.clone(), content.slice(..sent));
            let digest = Digest::of(algorithm, &content);
            let run = |client: Client| {
                let (id, content, digest) = (id.clone(), content.clone(), digest.clone());
                async move {
                    let last = body([content.slice(sent..)]);
                    match client.repository("image").uploads().finish(&id, None, last, &digest).await {
                        Err(Error::UploadUnknown(_)) => client.push_blob("image", &content).await.map(drop),
                        finished => finished.map(drop),
                    }
                }
            };
            crash_everywhere(&ctx, before, run, |client| holds_blob(client, content.clone())).await?;
        }
    }
    Ok(())
}

/// A process that has ended began the upload, small or large.
pub(super) async fn resuming_an_upload(ctx: Context) -> Result<(), Failed> {
    for size in [30_000, SIZE_WITH_PARTS] {
        let (id, content) = (UploadId::random(), bytes(1, size));
        let before = |client| begin_upload(client, id.clone(), content.slice(..content.len() / 2));
        let run = |client: Client| {
            let (id, content) = (id.clone(), content.clone());
            async move { client.resume("image", &id, &content).await.map(drop) }
        };
        crash_everywhere(&ctx, before, run, |client| holds_blob(client, content.clone())).await?;
    }
    Ok(())
}

/// The client queries the upload before each chunk.
pub(super) async fn sending_chunks(ctx: Context) -> Result<(), Failed> {
    let (id, content) = (UploadId::random(), bytes(1, SIZE_WITH_PARTS));
    let before = |client| begin_upload(client, id.clone(), content.slice(..content.len() / 2));
    let run = |client: Client| {
        let (id, content) = (id.clone(), content.clone());
        async move {
            let uploads = client.repository("image").uploads();
            // A client does not repeat chunks for ever that do not arrive.
            for _ in 0..3 {
                let Ok(status) = uploads.status(&id).await else { break };
                let start = content.len().min(status.size_bytes as usize);
                let end = content.len().min(start + (1 << 20));
                uploads.append(&id, None, body([content.slice(start..end)])).await?;
            }
            client.resume("image", &id, &content).await.map(drop)
        }
    };
    crash_everywhere(&ctx, before, run, |client| holds_blob(client, content.clone())).await
}

pub(super) async fn cancelling_an_upload(ctx: Context) -> Result<(), Failed> {
    let (id, content) = (UploadId::random(), bytes(1, SIZE_WITH_PARTS));
    let before = |client| begin_upload(client, id.clone(), content.slice(..content.len() / 2));
    let run = |client: Client| {
        let id = id.clone();
        async move { unless_unknown(client.repository("image").uploads().cancel(&id).await) }
    };
    let after = |client: Client| {
        let id = id.clone();
        async move {
            let status = client.repository("image").uploads().status(&id).await;
            ensure(matches!(status, Err(Error::UploadUnknown(_))), "a cancelled upload is there")
        }
    };
    crash_everywhere(&ctx, before, run, after).await
}

pub(super) async fn mounting_a_blob(ctx: Context) -> Result<(), Failed> {
    crash_everywhere(
        &ctx,
        |client| async move { client.push_blob("source", &bytes(1, 1_000)).await.map(drop) },
        |client| async move {
            let digest = Digest::sha256_of(&bytes(1, 1_000));
            client.repository("image").blobs().mount(&digest, Some(&name("source"))).await.map(drop)
        },
        |client| holds_blob(client, bytes(1, 1_000)),
    )
    .await
}

pub(super) async fn deleting_a_blob(ctx: Context) -> Result<(), Failed> {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, &bytes(1, 1_000));
        let (pushed, deleted) = (digest.clone(), digest.clone());
        crash_everywhere(
            &ctx,
            move |client| {
                let digest = pushed.clone();
                async move { client.put_blob("image", &bytes(1, 1_000), &digest).await.map(drop) }
            },
            move |client| {
                let digest = deleted.clone();

                async move { unless_unknown(client.repository("image").blobs().delete(&digest).await) }
            },
            move |client| {
                let digest = digest.clone();
                async move {
                    let stat = client.repository("image").blobs().stat_and_lease(&digest).await;
                    ensure(matches!(stat, Err(Error::BlobUnknown(..))), "a deleted blob is there")
                }
            },
        )
        .await?;
    }
    Ok(())
}

/// Begins the upload `id` and sends the beginning of its content.
async fn begin_upload(client: Client, id: UploadId, sent: Bytes) -> Result<(), Error> {
    use sampan_driver::PutMode;
    use sampan_engine::layout::Entry;
    // The registry chooses the id of an upload; the flow needs the same one in each run.
    let uploads = client.repository("image").uploads();
    let chosen = uploads.start(StartUpload::default()).await?.id;
    let driver = client.registry.driver();
    let started = driver.get_content(&Entry::UploadStartedAt(name("image"), chosen.clone()).path()).await?;
    driver
        .put_content(&Entry::UploadStartedAt(name("image"), id.clone()).path(), started, PutMode::Overwrite)
        .await?;
    uploads.cancel(&chosen).await?;
    if !sent.is_empty() {
        uploads.append(&id, None, body([sent])).await?;
    }
    Ok(())
}

async fn holds_blob(client: Client, content: Bytes) -> Result<(), Failed> {
    let pulled = client.pull_blob("image", &Digest::sha256_of(&content)).await?;
    crate::check::same_bytes(&pulled, &content, "the blob")
}

/// More than one part in stores with small parts.
const SIZE_WITH_PARTS: usize = (2 << 20) + 200_000;
