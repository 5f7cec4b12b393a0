//! Flows of manifests, tags and referrers, interrupted at every operation.

use bytes::Bytes;
use sampan_driver::StorageDriver;
use sampan_engine::layout::referrers;
use sampan_engine::oci::{Algorithm, Digest, Reference};
use sampan_engine::{Error, OnExistingTag};

use super::super::client::{Client, EMPTY_JSON, Image, artifact, index, name, tag};
use super::super::store::indexes_are_complete;
use super::{crash_everywhere, nothing, unless_unknown};
use crate::check::ensure;
use crate::{Context, Failed};

pub(super) async fn pushing_an_image(ctx: Context) -> Result<(), Failed> {
    crash_everywhere(
        &ctx,
        |_| nothing(),
        |client| async move { client.put_image("image", &Image::new(1), "latest").await },
        |client| async move { client.pulls("image", &Image::new(1), tag("latest")).await },
    )
    .await
}

/// Until the tag has moved, it points at the whole old image.
pub(super) async fn moving_a_tag(ctx: Context) -> Result<(), Failed> {
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

pub(super) async fn pushing_an_index(ctx: Context) -> Result<(), Failed> {
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

pub(super) async fn pushing_an_artifact(ctx: Context) -> Result<(), Failed> {
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
pub(super) async fn deleting_an_artifact(ctx: Context) -> Result<(), Failed> {
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
pub(super) async fn listing_for_the_first_time(ctx: Context) -> Result<(), Failed> {
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

pub(super) async fn deleting_a_tag(ctx: Context) -> Result<(), Failed> {
    crash_everywhere(
        &ctx,
        push_tagged,
        |client| async move {
            if !client.repository("image").tags().list(None, None).await?.items.contains(&"one".to_owned()) {
                assert!(is_recorded(&client).await?, "a tag is gone without a record");
            }
            unless_unknown(client.repository("image").manifests().delete(&tag("one").into()).await)
        },
        |client| async move {
            lists_tags(&client, &["two"]).await?;
            ensure(is_recorded(&client).await?, "the deletion left no record")?;
            client.pulls("image", &Image::new(1), tag("two")).await
        },
    )
    .await
}

async fn is_recorded(client: &Client) -> Result<bool, Error> {
    Ok(!client.repository("image").tags().removed(Some(&tag("one")), 1).await?.items.is_empty())
}

pub(super) async fn restoring_a_tag(ctx: Context) -> Result<(), Failed> {
    crash_everywhere(
        &ctx,
        |client| async move {
            push_tagged(client.clone()).await?;
            client.repository("image").manifests().delete(&Image::new(1).digest().into()).await
        },
        |client| async move {
            client.repository("image").tags().restore(&tag("one"), None, OnExistingTag::Keep).await.map(drop)
        },
        |client| async move {
            lists_tags(&client, &["one"]).await?;
            client.pulls("image", &Image::new(1), tag("one")).await
        },
    )
    .await
}

pub(super) async fn deleting_a_manifest(ctx: Context) -> Result<(), Failed> {
    deletes_a_manifest(ctx, Algorithm::Sha256).await
}

pub(super) async fn deleting_a_manifest_by_an_alias(ctx: Context) -> Result<(), Failed> {
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

async fn push_tagged(client: Client) -> Result<(), Error> {
    client.put_image("image", &Image::new(1), "one").await?;
    let alias = Digest::of(Algorithm::Sha512, &Image::new(1).manifest);
    client.push_manifest("image", &Image::new(1).manifest, alias, &["two"]).await.map(drop)
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
