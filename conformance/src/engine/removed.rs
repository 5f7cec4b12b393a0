//! Removed tags are recorded before they go, and can be pointed again at what they were removed from.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{DirEntry, ErrorKind, Operation, PutMode, StorageDriver};
use sampan_engine::gc::{self, Options};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::{Algorithm, Digest, Reference};
use sampan_engine::{Clock, Error, OnExistingTag, Registry, Remover, RestoreOutcome};

use super::client::{Client, Image, index, name, tag, walk};
use super::store::is_valid;
use crate::check::{ensure, equal};
use crate::refusing::Refusing;
use crate::{Clause, Context, Failed, clause::table};

async fn a_removed_tag_is_recorded_and_comes_back(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let (old, new) = (Image::new(1), Image::new(2));
    client.push_image("image", &old, "v1").await?;
    client.push_image("image", &new, "v2").await?;
    let users = [Remover::User("alice".to_owned()), Remover::Unknown];
    for (name, user) in ["v1", "v2"].into_iter().zip(&users) {
        let repository = client.repository("image").removing_as(user.clone());
        repository.manifests().delete(&tag(name).into()).await?;
    }
    let other = Client::of_another_process(&ctx).await?;
    let tags = other.repository("image").tags();
    let removed = tags.removed(None, 10).await?;
    let mut found: Vec<_> = removed.items.iter().map(|item| (item.tag.as_str(), &item.digest)).collect();
    found.sort_unstable();
    equal(found, vec![("v1", &old.digest()), ("v2", &new.digest())], "the removed tags")?;
    for item in &removed.items {
        let user = if item.tag.as_str() == "v1" { &users[0] } else { &users[1] };
        equal(&item.by, user, "what removed it")?;
    }
    let one = tags.removed(Some(&tag("v2")), 10).await?;
    equal(one.items.len(), 1, "the removals of one tag")?;
    let few = tags.removed(None, 1).await?;
    equal((few.items.len(), few.left_out), (1, 1), "the latest removal, and those left out")?;
    equal(other.repository("other").tags().removed(None, 10).await?.items.len(), 0, "those of another")?;

    let outcome = tags.restore(&tag("v1"), None, OnExistingTag::Keep).await?;
    equal(outcome, RestoreOutcome::Restored(old.digest()), "the restoration")?;
    client.pulls("image", &old, tag("v1")).await?;
    let outcome = tags.restore(&tag("v1"), None, OnExistingTag::Keep).await?;
    equal(outcome, RestoreOutcome::Unchanged(old.digest()), "a second restoration")?;
    is_valid(ctx.driver()).await
}

async fn a_tag_of_a_deleted_manifest_comes_back_with_it(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "one").await?;
    client.push_manifest("image", &image.manifest, image.digest(), &["two"]).await?;
    client.repository("image").manifests().delete(&image.digest().into()).await?;
    let tags = Client::of_another_process(&ctx).await?.repository("image").tags();
    equal(tags.removed(None, 10).await?.items.len(), 2, "the number of recorded tags")?;
    tags.restore(&tag("two"), None, OnExistingTag::Keep).await?;
    client.pulls("image", &image, tag("two")).await?;
    let listed = client.repository("image").tags().list(None, None).await?;
    equal(listed.items, ["two"], "the tags")?;
    is_valid(ctx.driver()).await
}

async fn a_tag_that_exists_stays_unless_it_may_move(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let (old, new) = (Image::new(1), Image::new(2));
    client.push_image("image", &old, "latest").await?;
    client.repository("image").manifests().delete(&tag("latest").into()).await?;
    client.push_image("image", &new, "latest").await?;
    let tags = client.repository("image").tags();
    for digest in [None, Some(&old.digest())] {
        let refused = tags.restore(&tag("latest"), digest, OnExistingTag::Keep).await;
        ensure(
            matches!(&refused, Err(Error::TagExists(_, _, at)) if *at == new.digest()),
            format_args!("a restoration over another image was answered by {refused:?}"),
        )?;
        client.pulls("image", &new, tag("latest")).await?;
    }
    tags.restore(&tag("latest"), None, OnExistingTag::Move).await?;
    client.pulls("image", &old, tag("latest")).await?;
    client.pulls("image", &new, new.digest()).await?;
    is_valid(ctx.driver()).await
}

async fn what_is_gone_or_elsewhere_does_not_come_back(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let (image, child) = (Image::new(1), Image::new(2));
    client.push_image("elsewhere", &image, "v1").await?;
    client.push_image("image", &child, "child").await?;
    let index = index(&[&child]);
    client.push_manifest("image", &index, tag("all"), &[]).await?;
    let tags = client.repository("image").tags();
    let restore = async |name: &str, digest: Option<&Digest>| {
        tags.restore(&tag(name), digest, OnExistingTag::Keep).await
    };
    let unrecorded = restore("v1", None).await;
    ensure(
        matches!(unrecorded, Err(Error::TagNotRemoved(..))),
        format_args!("the restoration of a tag that was never here was answered by {unrecorded:?}"),
    )?;
    // Without a record, the data in the store prove nothing about this repository.
    for blob in image.blobs() {
        client.push_blob("image", blob).await?;
    }
    let stolen = restore("v1", Some(&image.digest())).await;
    ensure(
        matches!(stolen, Err(Error::ManifestUnknown(..))),
        format_args!("a manifest of another repository was answered by {stolen:?}"),
    )?;

    client.repository("image").manifests().delete(&tag("all").into()).await?;
    client.repository("image").manifests().delete(&child.digest().into()).await?;
    client.repository("image").manifests().delete(&Digest::sha256_of(&index).into()).await?;
    ctx.delete(Entry::Blob(child.digest()).path().as_str()).await?;
    let whole = restore("all", None).await;
    ensure(
        matches!(&whole, Err(Error::ManifestReferencesUnknown(missing)) if *missing == [child.digest()]),
        format_args!("a deleted index without its child was answered by {whole:?}"),
    )?;
    let collected = restore("child", None).await;
    ensure(
        matches!(&collected, Err(Error::ManifestUnknown(Reference::Digest(gone), _)) if *gone == child.digest()),
        format_args!("a manifest without data was answered by {collected:?}"),
    )?;
    // Damaged data are nothing to restore, either.
    let damaged = Bytes::from_static(b"{}");
    ctx.driver().put_content(&Entry::Blob(child.digest()).path(), damaged, PutMode::Overwrite).await?;
    let answer = restore("child", None).await;
    ensure(
        matches!(&answer, Err(Error::DigestMismatch { .. })),
        format_args!("damaged data were answered by {answer:?}"),
    )
}

/// The registry serves it by digest all the while.
async fn a_tag_of_an_index_whose_child_is_gone_comes_back(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let (kept, deleted) = (Image::new(1), Image::new(2));
    client.push_image("image", &kept, "kept").await?;
    client.push_image("image", &deleted, "deleted").await?;
    let index = index(&[&kept, &deleted]);
    client.push_manifest("image", &index, tag("all"), &[]).await?;
    let manifests = client.repository("image").manifests();
    manifests.delete(&tag("all").into()).await?;
    manifests.delete(&deleted.digest().into()).await?;
    let tags = client.repository("image").tags();
    let outcome = tags.restore(&tag("all"), None, OnExistingTag::Keep).await?;
    equal(outcome, RestoreOutcome::Restored(Digest::sha256_of(&index)), "the restoration")?;
    equal(manifests.get(&tag("all").into()).await?.bytes, index, "the index")?;
    // An image without its layers could not be pulled.
    manifests.delete(&tag("kept").into()).await?;
    let layer = Digest::sha256_of(&kept.config);
    ctx.delete(Entry::LayerLink(name("image"), layer.clone()).path().as_str()).await?;
    let broken = tags.restore(&tag("kept"), None, OnExistingTag::Keep).await;
    ensure(
        matches!(&broken, Err(Error::ManifestReferencesUnknown(missing)) if *missing == [layer]),
        format_args!("an image without its configuration was answered by {broken:?}"),
    )
}

async fn a_tag_comes_back_with_the_digest_that_it_was_pushed_by(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "other").await?;
    let pushed = Digest::of(Algorithm::Sha512, &image.manifest);
    client.push_manifest("image", &image.manifest, pushed.clone(), &["v1"]).await?;
    let manifests = client.repository("image").manifests();
    manifests.delete(&tag("v1").into()).await?;
    let other = Client::of_another_process(&ctx).await?;
    let outcome = other.repository("image").tags().restore(&tag("v1"), None, OnExistingTag::Keep).await?;
    equal(outcome, RestoreOutcome::Restored(pushed.clone()), "the restoration")?;
    let found = other.repository("image").manifests().get(&tag("v1").into()).await?;
    equal(found.digest, pushed, "the digest of the tag")
}

/// The client requested the deletion. After a failure that may pass, the client can repeat it.
async fn a_tag_goes_where_no_record_can_be_written(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    for (repository, kind, goes) in [
        ("denied", ErrorKind::PermissionDenied, true),
        ("unsupported", ErrorKind::Unsupported, true),
        ("unavailable", ErrorKind::Unavailable, false),
        ("full", ErrorKind::StorageFull, false),
    ] {
        client.push_image(repository, &image, "latest").await?;
        let (operations, prefix) = (&[Operation::PutContent], layout::removed_root().to_string());
        let driver = Refusing { operations, prefix, kind }.over(ctx.driver());
        let deleting = Client::new(&driver);
        let deleted = deleting.repository(repository).manifests().delete(&tag("latest").into()).await;
        equal(deleted.is_ok(), goes, format_args!("whether a deletion succeeds beside the failure {kind}"))?;
        let left = client.repository(repository).tags().list(None, None).await?;
        equal(left.items.is_empty(), goes, format_args!("whether the tag is gone after {kind}"))?;
    }
    is_valid(ctx.driver()).await
}

async fn nothing_is_restored_in_read_only_mode(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    client.push_image("image", &image, "latest").await?;
    client.repository("image").manifests().delete(&tag("latest").into()).await?;
    let before = walk(ctx.driver()).await?;
    client.registry.set_read_only(true);
    let tags = client.repository("image").tags();
    let answer = tags.restore(&tag("latest"), None, OnExistingTag::Move).await;
    ensure(matches!(answer, Err(Error::ReadOnly)), format_args!("a write was answered by {answer:?}"))?;
    equal(tags.removed(None, 10).await?.items.len(), 1, "the recorded tags")?;
    equal(tags.removed(Some(&tag("missing")), 10).await?.items.len(), 0, "those of a missing tag")?;
    equal(walk(ctx.driver()).await?, before, "the files of the store")
}

/// A collection deletes a record with its manifest, or after a year, and no other.
async fn records_that_restore_nothing_are_collected(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let images = [Image::new(1), Image::new(2)];
    for (name, image) in ["kept", "gone"].into_iter().zip(&images) {
        client.push_image("image", image, name).await?;
        client.repository("image").manifests().delete(&tag(name).into()).await?;
    }
    let (kept, ancient) = (images[0].digest(), 1);
    let old = Entry::RemovedTag(name("image"), tag("ancient"), ancient, kept.clone()).path();
    ctx.driver().put_content(&old, Bytes::from_static(b"{}"), PutMode::Overwrite).await?;
    // A repository of which no record stays.
    let emptied = Entry::RemovedTag(name("team/emptied"), tag("v1"), ancient, kept.clone()).path();
    ctx.driver().put_content(&emptied, Bytes::from_static(b"{}"), PutMode::Overwrite).await?;
    ctx.delete(Entry::RevisionLink(name("image"), images[1].digest()).path().as_str()).await?;
    ctx.delete(Entry::Blob(images[1].digest()).path().as_str()).await?;
    let tags = client.repository("image").tags();
    equal(tags.removed(None, 10).await?.items.len(), 3, "the records before a collection")?;
    let options = Options { grace: Duration::ZERO, ..Options::default() };
    let dry = Options { dry_run: true, ..options.clone() };
    gc::collect(&client.registry, &dry).await?;
    equal(tags.removed(None, 10).await?.items.len(), 3, "the records after a dry run")?;
    let later = SystemTime::now() + Duration::from_secs(60);
    let registry = Registry::builder(ctx.driver().clone()).clock(Clock::new(move || later)).build();
    gc::collect(&registry, &options).await?;
    let left = tags.removed(None, 10).await?;
    let left: Vec<_> = left.items.iter().map(|item| (item.tag.as_str(), &item.digest)).collect();
    equal(left, vec![("kept", &kept)], "the records after a collection")?;
    let listed: Vec<DirEntry> = ctx.driver().list(&layout::removed_root(), None).try_collect().await?;
    let listed: Vec<&str> = listed.iter().map(DirEntry::name).collect();
    equal(listed, ["image"], "the directories of records")
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::removed":
    a_removed_tag_is_recorded_and_comes_back,
    a_tag_of_a_deleted_manifest_comes_back_with_it,
    a_tag_that_exists_stays_unless_it_may_move,
    what_is_gone_or_elsewhere_does_not_come_back,
    a_tag_of_an_index_whose_child_is_gone_comes_back,
    a_tag_comes_back_with_the_digest_that_it_was_pushed_by,
    a_tag_goes_where_no_record_can_be_written,
    nothing_is_restored_in_read_only_mode,
    records_that_restore_nothing_are_collected,
};
