//! Every client sees a deletion at once, and a deletion removes nothing else.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use sampan_driver::{DriverPath, Operation, StorageDriver};
use sampan_engine::oci::{Algorithm, Digest, Reference};
use sampan_engine::{Error, Registry, layout};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::client::{Client, Image, index, name, tag, walk};
use super::store::is_valid;
use crate::check::{ensure, equal, same_bytes};
use crate::data::bytes;
use crate::hooked::{Hook, Hooked};
use crate::{Clause, Context, Failed, clause::table};

async fn a_deleted_tag_is_gone(ctx: Context) -> Result<(), Failed> {
    let (client, other) = (Client::new(ctx.driver()), Client::of_another_process(&ctx).await?);
    let image = Image::new(1);
    client.push_image("image", &image, "v1").await?;
    client.push_manifest("image", &image.manifest, image.digest(), &["v1-rc", "v1.1", "v10"]).await?;
    other.pulls("image", &image, tag("v1")).await?;
    client.repository("image").manifests().delete(&tag("v1").into()).await?;
    for client in [&client, &other] {
        lacks(client, tag("v1")).await?;
        let tags = client.repository("image").tags().list(None, None).await?;
        equal(tags.items, ["v1-rc", "v1.1", "v10"], "the tags that are left")?;
        for left in ["v1-rc", "v1.1", "v10"] {
            client.pulls("image", &image, tag(left)).await?;
        }
        client.pulls("image", &image, image.digest()).await?;
    }
    is_valid(ctx.driver()).await
}

async fn a_tag_is_deleted_only_while_it_points_at_the_manifest(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let (old, new) = (Image::new(1), Image::new(2));
    client.push_image("image", &old, "moved").await?;
    client.push_manifest("image", &old.manifest, old.digest(), &["left"]).await?;
    client.push_image("image", &new, "moved").await?;
    let delete = async |name: &str, digest: &Digest| {
        let manifests = client.repository("image").manifests();
        manifests.delete_tag_of(&tag(name), digest).await
    };
    let alias = Digest::of(Algorithm::Sha512, &new.manifest);
    for (name, digest, expected) in [
        ("moved", &old.digest(), false),
        ("moved", &alias, false),
        ("missing", &old.digest(), false),
        ("left", &old.digest(), true),
    ] {
        equal(delete(name, digest).await?, expected, format_args!("the deletion of {name} at {digest}"))?;
    }
    lacks(&client, tag("left")).await?;
    client.pulls("image", &new, tag("moved")).await?;
    client.pulls("image", &old, old.digest()).await?;
    client.push_manifest("image", &new.manifest, alias.clone(), &[]).await?;
    equal(delete("moved", &alias).await?, true, "the deletion by another digest of the manifest")?;
    lacks(&client, tag("moved")).await?;
    is_valid(ctx.driver()).await
}

async fn an_untagged_manifest_is_deleted_and_a_tagged_one_stays(ctx: Context) -> Result<(), Failed> {
    let (client, other) = (Client::new(ctx.driver()), Client::of_another_process(&ctx).await?);
    let (image, untagged) = (Image::new(1), Image::new(2));
    client.push_image("image", &image, "v1").await?;
    client.push_image("image", &untagged, "gone").await?;
    client.repository("image").manifests().delete(&tag("gone").into()).await?;
    let manifests = client.repository("image").manifests();
    for (digest, expected) in [(image.digest(), false), (untagged.digest(), true)] {
        let deleted = manifests.delete_untagged(&digest).await?;
        equal(deleted, expected, format_args!("the deletion of {digest}"))?;
    }
    lacks(&client, untagged.digest()).await?;
    client.pulls("image", &image, tag("v1")).await?;
    // A tag that is set at the same time stays, with its manifest.
    for round in 0..8 {
        let name = format!("round-{round}");
        let manifest = Image::new(10 + round);
        client.push_image("image", &manifest, "first").await?;
        client.repository("image").manifests().delete(&tag("first").into()).await?;
        let (digest, names) = (manifest.digest(), [name.as_str()]);
        let push = other.push_manifest("image", &manifest.manifest, digest.clone(), &names);
        let (pushed, deleted) = futures::join!(push, manifests.delete_untagged(&digest));
        pushed?;
        deleted?;
        client.pulls("image", &manifest, tag(&name)).await?;
    }
    is_valid(ctx.driver()).await
}

async fn a_deleted_manifest_is_gone_with_its_tags(ctx: Context) -> Result<(), Failed> {
    let (client, other) = (Client::new(ctx.driver()), Client::of_another_process(&ctx).await?);
    let (doomed, spared) = (Image::new(1), Image::new(2));
    client.push_image("image", &doomed, "one").await?;
    client.push_manifest("image", &doomed.manifest, doomed.digest(), &["two", "three"]).await?;
    client.push_image("image", &spared, "four").await?;
    client.push_image("elsewhere", &doomed, "one").await?;
    other.pulls("image", &doomed, tag("one")).await?;
    client.repository("image").manifests().delete(&doomed.digest().into()).await?;
    for client in [&client, &other] {
        lacks(client, doomed.digest()).await?;
        for gone in ["one", "two", "three"] {
            lacks(client, tag(gone)).await?;
        }
        equal(
            client.repository("image").tags().list(None, None).await?.items,
            ["four"],
            "the tags that are left",
        )?;
        client.pulls("image", &spared, tag("four")).await?;
        client.pulls("elsewhere", &doomed, tag("one")).await?;
    }
    is_valid(ctx.driver()).await
}

async fn a_deleted_blob_is_gone_from_its_repository(ctx: Context) -> Result<(), Failed> {
    let (client, other) = (Client::new(ctx.driver()), Client::of_another_process(&ctx).await?);
    let content = bytes(1, 1_000);
    let digest = client.push_blob("image", &content).await?;
    client.push_blob("elsewhere", &content).await?;
    other.pull_blob("image", &digest).await?;
    client.repository("image").blobs().delete(&digest).await?;
    for client in [&client, &other] {
        let stat = client.repository("image").blobs().stat_and_lease(&digest).await;
        ensure(
            matches!(stat, Err(Error::BlobUnknown(..))),
            format_args!("the deleted blob was answered by {stat:?}"),
        )?;
        same_bytes(&client.pull_blob("elsewhere", &digest).await?, &content, "the blob elsewhere")?;
    }
    let again = client.repository("image").blobs().delete(&digest).await;
    ensure(
        matches!(again, Err(Error::BlobUnknown(..))),
        format_args!("deleting it again was answered by {again:?}"),
    )
}

async fn an_alias_goes_with_what_it_stands_for(ctx: Context) -> Result<(), Failed> {
    let (client, content, image) = (Client::new(ctx.driver()), bytes(1, 1_000), Image::new(1));
    let (alias, canonical) = (Digest::of(Algorithm::Sha512, &content), Digest::sha256_of(&content));
    for deleted in [&alias, &canonical] {
        client.put_blob("image", &content, &alias).await?;
        client.repository("image").blobs().delete(deleted).await?;
        for digest in [&alias, &canonical] {
            let stat = client.repository("image").blobs().stat_and_lease(digest).await;
            ensure(matches!(stat, Err(Error::BlobUnknown(..))), format_args!("{digest} outlived {deleted}"))?;
        }
    }
    let (alias, canonical) = (Digest::of(Algorithm::Sha512, &image.manifest), image.digest());
    for deleted in [&alias, &canonical] {
        client.push_image("image", &image, "latest").await?;
        client.push_manifest("image", &image.manifest, alias.clone(), &[]).await?;
        client.repository("image").manifests().delete(&deleted.clone().into()).await?;
        for digest in [&alias, &canonical] {
            lacks(&client, digest.clone()).await?;
        }
        lacks(&client, tag("latest")).await?;
    }
    is_valid(ctx.driver()).await
}

async fn what_was_deleted_can_be_pushed_again(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    for _ in 0..3 {
        client.push_image("image", &image, "latest").await?;
        client.pulls("image", &image, tag("latest")).await?;
        client.repository("image").manifests().delete(&image.digest().into()).await?;
        lacks(&client, image.digest()).await?;
        for blob in image.blobs() {
            client.repository("image").blobs().delete(&Digest::sha256_of(blob)).await?;
        }
    }
    is_valid(ctx.driver()).await
}

/// The client deleted the child on purpose; the index itself must stay.
async fn an_index_outlives_its_children(ctx: Context) -> Result<(), Failed> {
    let (client, child) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &child, "child").await?;
    let index = index(&[&child]);
    client.push_manifest("image", &index, tag("all"), &[]).await?;
    client.repository("image").manifests().delete(&child.digest().into()).await?;
    lacks(&client, child.digest()).await?;
    let stored = client.repository("image").manifests().get(&tag("all").into()).await?;
    same_bytes(&stored.bytes, &index, "the index")
}

async fn deletion_must_be_allowed(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "latest").await?;
    let before = walk(ctx.driver()).await?;
    let strict = Client { registry: Registry::builder(ctx.driver().clone()).build() };
    let repository = strict.repository("image");
    let answers = [
        repository.manifests().delete(&tag("latest").into()).await,
        repository.manifests().delete(&image.digest().into()).await,
        repository.blobs().delete(&Digest::sha256_of(&image.config)).await,
    ];
    for answer in answers {
        ensure(
            matches!(answer, Err(Error::Disabled(_))),
            format_args!("a forbidden deletion was answered by {answer:?}"),
        )?;
    }
    equal(walk(ctx.driver()).await?, before, "the files of the store")
}

async fn nothing_is_written_in_read_only_mode(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "latest").await?;
    let before = walk(ctx.driver()).await?;
    client.registry.set_read_only(true);
    let repository = client.repository("image");
    let answers = [
        client.push_blob("image", &bytes(1, 100)).await.map(drop),
        client.put_blob("image", &bytes(1, 100), &Digest::sha256_of(&bytes(1, 100))).await.map(drop),
        client.push_manifest("image", &image.manifest, tag("new"), &[]).await.map(drop),
        repository.blobs().mount(&Digest::sha256_of(&image.config), None).await.map(drop),
        repository.manifests().delete(&tag("latest").into()).await,
        repository.blobs().delete(&Digest::sha256_of(&image.config)).await,
    ];
    for answer in answers {
        ensure(matches!(answer, Err(Error::ReadOnly)), format_args!("a write was answered by {answer:?}"))?;
    }
    client.pulls("image", &image, tag("latest")).await?;
    equal(walk(ctx.driver()).await?, before, "the files of the store")?;
    client.registry.set_read_only(false);
    client.push_image("image", &Image::new(2), "new").await?;
    Ok(())
}

/// The client of a deletion leaves while the store is slow. A notice without its deletion would keep pushes of the tag waiting.
async fn a_deletion_of_a_tag_outlives_its_request(ctx: Context) -> Result<(), Failed> {
    for by_digest in [false, true] {
        let held = Arc::new(Held { reached: Semaphore::new(0), released: Semaphore::new(0) });
        let slow: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), held.clone()));
        let (client, image) = (Client::new(ctx.driver()), Image::new(1));
        client.push_image("image", &image, "latest").await?;
        let leaving = Client::new(&slow);
        let manifests = leaving.repository("image").manifests();
        let (latest, digest) = (tag("latest"), image.digest());
        let deletion = async {
            match by_digest {
                true => manifests.delete_tag_of(&latest, &digest).await.map(drop),
                false => manifests.delete(&latest.clone().into()).await,
            }
        };
        tokio::select! {
            _ = deletion => return Err(Failed::new("the deletion did not wait for the store")),
            reached = held.reached.acquire() => reached?.forget(),
        }
        equal(leaving.registry.running_writes(), 1, "the writes that read-only mode waits for")?;
        held.released.add_permits(Semaphore::MAX_PERMITS / 2);
        leaving.registry.finish_deletions().await;
        leaving.registry.writes_ended().await;
        let notices = ctx.driver().walk(&layout::removals(&name("image")), None);
        let notices: Vec<_> = notices.map_ok(|file| file.path).try_collect().await?;
        equal(notices.len(), 0, format_args!("the notices that are left of {notices:?}"))?;
        lacks(&client, tag("latest")).await?;
        client.push_image("image", &image, "latest").await?;
        client.pulls("image", &image, tag("latest")).await?;
    }
    Ok(())
}

/// A store in which deletions of files wait.
#[derive(Debug)]
struct Held {
    reached: Semaphore,
    released: Semaphore,
}

#[async_trait]
impl Hook for Held {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, _: &DriverPath) -> sampan_driver::Result<()> {
        if operation == Operation::DeleteAll {
            self.reached.add_permits(1);
            // The semaphore is never closed.
            let _ = self.released.acquire().await.map(SemaphorePermit::forget);
        }
        Ok(())
    }
}

async fn lacks(client: &Client, reference: impl Into<Reference>) -> Result<(), Failed> {
    let reference = reference.into();
    let got = client.repository("image").manifests().get(&reference).await;
    ensure(
        matches!(got, Err(Error::ManifestUnknown(..))),
        format_args!("{reference} should be gone, but it was answered by {got:?}"),
    )
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::delete":
    a_deleted_tag_is_gone,
    a_tag_is_deleted_only_while_it_points_at_the_manifest,
    an_untagged_manifest_is_deleted_and_a_tagged_one_stays,
    a_deleted_manifest_is_gone_with_its_tags,
    a_deleted_blob_is_gone_from_its_repository,
    an_alias_goes_with_what_it_stands_for,
    what_was_deleted_can_be_pushed_again,
    an_index_outlives_its_children,
    deletion_must_be_allowed,
    nothing_is_written_in_read_only_mode,
    a_deletion_of_a_tag_outlives_its_request,
};
