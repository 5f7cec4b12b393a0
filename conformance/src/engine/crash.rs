//! Every flow, failing at its first, second, third … operation of the driver, until it completes.
//!
//! After each failure the store must be valid, and a new process must be able to repeat the flow.

use std::sync::Arc;

use bytes::Bytes;
use sampan_driver::StorageDriver;
use sampan_engine::layout::referrers;
use sampan_engine::oci::{Algorithm, Digest, Reference};
use sampan_engine::{Error, StartUpload, UploadId};

use super::client::{Client, EMPTY_JSON, Image, artifact, body, index, name, tag};
use super::store::{indexes_are_complete, is_valid};
use crate::check::ensure;
use crate::data::bytes;
use crate::faulty::{Fault, Faulty};
use crate::{Clause, Context, Failed, clause::table};

async fn pushing_a_blob(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 30_000);
    let run = |client: Client| {
        let content = content.clone();
        async move { client.push_blob("image", &content).await.map(drop) }
    };
    crash_everywhere(&ctx, |_| nothing(), run, |client| holds_blob(client, content.clone())).await
}

async fn pushing_a_blob_by_an_alias(ctx: Context) -> Result<(), Failed> {
    let content = bytes(1, 30_000);
    let alias = Digest::of(Algorithm::Sha512, &content);
    let run = |client: Client| {
        let (content, alias) = (content.clone(), alias.clone());
        async move { client.put_blob("image", &content, &alias).await.map(drop) }
    };
    crash_everywhere(&ctx, |_| nothing(), run, |client| holds_blob(client, content.clone())).await
}

/// The client repeats its last request. The answer may be that the upload is unknown, but not that the content is wrong.
async fn ending_an_upload_twice(ctx: Context) -> Result<(), Failed> {
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
async fn resuming_an_upload(ctx: Context) -> Result<(), Failed> {
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
async fn sending_chunks(ctx: Context) -> Result<(), Failed> {
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

async fn cancelling_an_upload(ctx: Context) -> Result<(), Failed> {
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

async fn mounting_a_blob(ctx: Context) -> Result<(), Failed> {
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

async fn pushing_an_image(ctx: Context) -> Result<(), Failed> {
    crash_everywhere(
        &ctx,
        |_| nothing(),
        |client| async move { client.put_image("image", &Image::new(1), "latest").await },
        |client| async move { client.pulls("image", &Image::new(1), tag("latest")).await },
    )
    .await
}

/// Until the tag has moved, it points at the whole old image.
async fn moving_a_tag(ctx: Context) -> Result<(), Failed> {
    crash_everywhere(
        &ctx,
        |client| async move {
            client.put_image("image", &Image::new(1), "latest").await?;
            client.put_blobs("image", &Image::new(2)).await
        },
        |client| async move {
            let resolved = client.repository("image").manifests().get(&tag("latest").into()).await?;
            let known = [Image::new(1), Image::new(2)].iter().any(|image| image.digest() == resolved.digest);
            assert!(known, "the tag points at {}", resolved.digest);
            client.push_manifest("image", &Image::new(2).manifest, tag("latest"), &[]).await.map(drop)
        },
        |client| async move {
            client.pulls("image", &Image::new(1), Image::new(1).digest()).await?;
            client.pulls("image", &Image::new(2), tag("latest")).await
        },
    )
    .await
}

async fn pushing_an_index(ctx: Context) -> Result<(), Failed> {
    crash_everywhere(
        &ctx,
        |client| async move { client.put_image("image", &Image::new(1), "child").await },
        |client| async move {
            client.push_manifest("image", &index(&[&Image::new(1)]), tag("all"), &["other"]).await.map(drop)
        },
        |client| async move {
            for name in ["all", "other"] {
                client.repository("image").manifests().get(&tag(name).into()).await?;
            }
            Ok(())
        },
    )
    .await
}

async fn pushing_an_artifact(ctx: Context) -> Result<(), Failed> {
    let attached = || artifact("application/vnd.example.signature", &Image::new(1).manifest);
    crash_everywhere(
        &ctx,
        |client| async move { client.put_image("image", &Image::new(1), "subject").await },
        move |client| async move {
            client.push_blob("image", &Bytes::from_static(EMPTY_JSON)).await?;
            let artifact = attached();
            client
                .push_manifest("image", &artifact, Digest::of(Algorithm::Sha512, &artifact), &[])
                .await
                .map(drop)
        },
        move |client| async move {
            let digest = Digest::sha256_of(&attached());
            client.repository("image").manifests().get(&digest.into()).await?;
            let listed = client.referrers("image", &Image::new(1).digest()).await?;
            ensure(listed.len() == 1, "the artifact is not listed")
        },
    )
    .await
}

/// A client without caches deletes it, so the registry reads its bytes for the subject.
async fn deleting_an_artifact(ctx: Context) -> Result<(), Failed> {
    let attached =
        || Digest::sha256_of(&artifact("application/vnd.example.signature", &Image::new(1).manifest));
    crash_everywhere(
        &ctx,
        push_attached,
        move |client| async move {
            unless_unknown(client.repository("image").manifests().delete(&attached().into()).await)
        },
        |client| async move {
            let subject = &Image::new(1).manifest;
            let left = client.referrers("image", &Digest::sha256_of(subject)).await?;
            ensure(left.is_empty(), "a deleted artifact is listed")?;
            client.attach("image", "application/vnd.example.signature", subject).await?;
            let again = client.referrers("image", &Digest::sha256_of(subject)).await?;
            ensure(again.len() == 1, "an artifact that was pushed again is not listed")
        },
    )
    .await
}

/// The first listing in a store of Distribution, which builds the index. If that fails, the listing still succeeds.
async fn listing_for_the_first_time(ctx: Context) -> Result<(), Failed> {
    crash_everywhere(
        &ctx,
        |client| async move {
            push_attached(client.clone()).await?;
            client.registry.driver().delete_tree(&referrers(&name("image"))).await.map_err(Error::from)
        },
        |client| async move {
            let listed = client.referrers("image", &Image::new(1).digest()).await?;
            assert_eq!(listed.len(), 1, "the answer of a listing that was interrupted and did not fail");
            Ok(())
        },
        |client| async move {
            client.referrers("image", &Image::new(1).digest()).await?;
            indexes_are_complete(client.registry.driver()).await
        },
    )
    .await
}

async fn push_attached(client: Client) -> Result<(), Error> {
    client.attach("image", "application/vnd.example.signature", &Image::new(1).manifest).await.map(drop)
}

async fn deleting_a_tag(ctx: Context) -> Result<(), Failed> {
    crash_everywhere(
        &ctx,
        push_tagged,
        |client| async move {
            unless_unknown(client.repository("image").manifests().delete(&tag("one").into()).await)
        },
        |client| async move {
            lists_tags(&client, &["two"]).await?;
            client.pulls("image", &Image::new(1), tag("two")).await
        },
    )
    .await
}

async fn deleting_a_manifest(ctx: Context) -> Result<(), Failed> {
    deletes_a_manifest(ctx, Algorithm::Sha256).await
}

async fn deleting_a_manifest_by_an_alias(ctx: Context) -> Result<(), Failed> {
    deletes_a_manifest(ctx, Algorithm::Sha512).await
}

async fn deletes_a_manifest(ctx: Context, algorithm: Algorithm) -> Result<(), Failed> {
    let digest = Digest::of(algorithm, &Image::new(1).manifest);
    let deleted = digest.clone();
    let ctx = &ctx;
    crash_everywhere(
        ctx,
        push_tagged,
        move |client| {
            let digest = deleted.clone();
            async move { unless_unknown(client.repository("image").manifests().delete(&digest.into()).await) }
        },
        move |client| {
            let digest = digest.clone();
            async move {
                for reference in [Reference::from(digest), Image::new(1).digest().into(), tag("one").into()] {
                    let got = client.repository("image").manifests().get(&reference).await;
                    let unknown = matches!(got, Err(Error::ManifestUnknown(..)));
                    ensure(unknown, format_args!("{reference} outlived the deletion"))?;
                }
                lists_tags(&client, &[]).await?;
                // A push waits half a minute for a killed deletion; the test knows that it is dead.
                ctx.delete_tree("/docker/registry/v2/repositories/image/_sampan").await?;
                client.put_image("image", &Image::new(1), "again").await?;
                client.pulls("image", &Image::new(1), tag("again")).await
            }
        },
    )
    .await
}

async fn deleting_a_blob(ctx: Context) -> Result<(), Failed> {
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

/// Interrupts `run` at every operation of the driver: after `before` was done, and such that `after` holds when it completes.
async fn crash_everywhere<B, R, A>(
    ctx: &Context,
    before: impl Fn(Client) -> B,
    run: impl Fn(Client) -> R,
    after: impl Fn(Client) -> A,
) -> Result<(), Failed>
where
    B: Future<Output = Result<(), Error>>,
    R: Future<Output = Result<(), Error>>,
    A: Future<Output = Result<(), Failed>>,
{
    let mut has_failed = false;
    for fault in Fault::ALL {
        for fails_at in ctx.moments(fault) {
            ctx.delete_tree("/").await?;
            before(Client::of_another_process(ctx).await?).await?;
            let faulty = Arc::new(Faulty::new(ctx.driver().clone(), fault, fails_at));
            let has_index = indexes_are_complete(ctx.driver()).await.is_ok();
            let outcome = crash(ctx, &faulty, has_index, &run, &after).await;
            outcome
                .map_err(|failed| Failed::new(format_args!("{fault:?} at operation {fails_at}: {failed}")))?;
            if !faulty.has_failed() {
                break;
            }
            has_failed = true;
        }
    }
    ensure(has_failed, "the flow does nothing")
}

async fn crash<R, A>(
    ctx: &Context,
    faulty: &Arc<Faulty>,
    has_index: bool,
    run: impl Fn(Client) -> R,
    after: impl Fn(Client) -> A,
) -> Result<(), Failed>
where
    R: Future<Output = Result<(), Error>>,
    A: Future<Output = Result<(), Failed>>,
{
    let driver: Arc<dyn StorageDriver> = faulty.clone();
    let interrupted = run(Client::new(&driver)).await;
    let reopened = ctx.reopen().await?;
    is_valid(reopened.driver()).await?;
    if has_index {
        indexes_are_complete(reopened.driver()).await?;
    }
    listed_tags_can_be_pulled(&Client::new(reopened.driver())).await?;
    if interrupted.is_err() {
        ensure(faulty.has_failed(), "the flow fails though the driver does not")?;
        run(Client::new(reopened.driver())).await?;
    }
    // Acknowledged changes hold, even after an error in a step that did not matter.
    after(Client::of_another_process(ctx).await?).await?;
    is_valid(reopened.driver()).await
}

async fn listed_tags_can_be_pulled(client: &Client) -> Result<(), Failed> {
    let tags = match client.repository("image").tags().list(None, None).await {
        Ok(page) => page.items,
        Err(Error::RepositoryUnknown(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in tags {
        let got = client.repository("image").manifests().get(&tag(&name).into()).await;
        ensure(got.is_ok(), format_args!("the tag {name} is listed, but reading it gives {got:?}"))?;
    }
    Ok(())
}

async fn nothing() -> Result<(), Error> {
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

async fn push_tagged(client: Client) -> Result<(), Error> {
    client.put_image("image", &Image::new(1), "one").await?;
    let alias = Digest::of(Algorithm::Sha512, &Image::new(1).manifest);
    client.push_manifest("image", &Image::new(1).manifest, alias, &["two"]).await.map(drop)
}

async fn holds_blob(client: Client, content: Bytes) -> Result<(), Failed> {
    let pulled = client.pull_blob("image", &Digest::sha256_of(&content)).await?;
    crate::check::same_bytes(&pulled, &content, "the blob")
}

/// A listed tag can be pulled; a listing must not show the remains of a deletion that died halfway for ever.
async fn lists_tags(client: &Client, expected: &[&str]) -> Result<(), Failed> {
    let tags = match client.repository("image").tags().list(None, None).await {
        Ok(page) => page.items,
        Err(Error::RepositoryUnknown(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    crate::check::equal(tags, expected, "the tags")
}

/// The first attempt may have deleted it already.
fn unless_unknown(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::BlobUnknown(..) | Error::ManifestUnknown(..) | Error::UploadUnknown(_)) => Ok(()),
        other => other,
    }
}

/// More than one part in stores with small parts.
const SIZE_WITH_PARTS: usize = (2 << 20) + 200_000;

pub(crate) const CLAUSES: &[Clause] = table! { "engine::crash":
    pushing_a_blob,
    pushing_a_blob_by_an_alias,
    resuming_an_upload,
    ending_an_upload_twice,
    sending_chunks,
    cancelling_an_upload,
    mounting_a_blob,
    pushing_an_image,
    moving_a_tag,
    pushing_an_index,
    pushing_an_artifact,
    deleting_an_artifact,
    listing_for_the_first_time,
    deleting_a_tag,
    deleting_a_manifest,
    deleting_a_manifest_by_an_alias,
    deleting_a_blob,
};
