//! What a migration reads and removes, and what it never does: its end, finished parts, and content that cannot be read.

use bytes::Bytes;
use sampan_driver::{ErrorKind, Operation, PutMode, StorageDriver, StorageDriverExt};
use sampan_engine::StoreIdentity;
use sampan_engine::layout::{self, Entry};
use sampan_engine::migrate::{Begun, DifferenceKind, Error, Migration, Moved, Options};
use sampan_engine::oci::Digest;

use super::client::{Client, Image, name, tag};
use super::store::is_valid;
use super::two_stores::{Stores, fill, is_complete, only, pulls_all};
use crate::below::Below;
use crate::check::{ensure, equal};
use crate::refusing::Refusing;
use crate::{Clause, Context, Failed, clause::table};

fn confirmed() -> Options {
    Options { confirmed: true, ..Options::default() }
}

async fn what_the_source_has_lost_stays_at_the_target(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    stores.pass().await?;
    let layer = Entry::Blob(Digest::sha256_of(&Image::new(2).layers[0])).path();
    let manifest = Entry::Blob(Image::new(1).digest()).path();
    for path in [&layer, &manifest] {
        stores.source.delete(path).await?;
    }
    let mut lost = vec![layer.clone(), manifest];
    lost.sort();
    for only_some in [false, true] {
        let options = if only_some { only("image") } else { Options::default() };
        let finish = stores.migration(options).await?.finish().await?;
        let mut named: Vec<_> = finish
            .comparison
            .differences
            .items
            .iter()
            .filter(|one| one.how == DifferenceKind::Lost)
            .map(|one| one.path.clone())
            .collect();
        named.sort();
        equal(&named, &lost, "the content that the source has lost")?;
        ensure(finish.comparison.has_lost(), "lost content is no difference")?;
        equal(finish.removed.blobs, 0, "the blobs that are removed")?;
        pulls_all(&target).await?;
    }
    // The loss is accepted, and does the target no harm.
    let comparison = stores.migration(confirmed()).await?.finish().await?.comparison;
    ensure(comparison.is_equal(), "a confirmed loss is a difference")?;
    equal(&comparison.kept.items, &lost, "what the target keeps")?;
    equal(comparison.target.blobs, comparison.source.blobs + 2, "the blobs of the target")?;
    is_valid(&stores.target).await?;
    pulls_all(&target).await
}

/// The layer link of an image is missing in both stores, as a power failure leaves it.
async fn a_part_of_an_image_without_a_link_stays(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, _) = stores.clients();
    source.put_image("image", &Image::new(1), "one").await?;
    source.put_image("other", &Image::new(2), "two").await?;
    stores.pass().await?;
    let layer = Digest::sha256_of(&Image::new(1).layers[0]);
    let link = Entry::LayerLink(name("image"), layer.clone()).path();
    for driver in [&stores.source, &stores.target] {
        driver.delete(&link).await?;
    }
    let data = Entry::Blob(layer).path();
    stores.source.delete(&data).await?;
    let finish = stores.finish().await?;
    ensure(finish.comparison.has_lost(), "the layer of an image is no difference")?;
    ensure(stores.target.exists(&data).await?, "the layer of an image is removed")
}

async fn what_nothing_names_is_removed(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    source.put_image("image/gone", &Image::new(5), "v1").await?;
    stores.pass().await?;
    // As a collection leaves it.
    stores.source.delete_tree(&layout::repository(&name("image/gone"))).await?;
    let mut parts = vec![Image::new(5).digest()];
    parts.extend(Image::new(5).layers.iter().map(|layer| Digest::sha256_of(layer)));
    for part in &parts {
        stores.source.delete(&Entry::Blob(part.clone()).path()).await?;
    }
    let finish = stores.finish().await?;
    is_complete(&stores, &finish).await?;
    ensure(finish.removed.blobs >= parts.len() as u64, "garbage stays at the target")?;
    for part in parts {
        let path = Entry::Blob(part).path();
        ensure(!stores.target.exists(&path).await?, "what the source has deleted stays at the target")?;
    }
    pulls_all(&target).await
}

async fn repositories_that_vanish_together_remove_nothing(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    source.put_image("team/a", &Image::new(3), "v1").await?;
    source.put_image("team/b", &Image::new(4), "v1").await?;
    stores.pass().await?;
    for repository in ["team/a", "team/b"] {
        stores.source.delete_tree(&layout::repository(&name(repository))).await?;
    }
    let before = ctx.walk("/target", None).await?;
    let finish = stores.finish().await;
    let is_refused =
        matches!(&finish, Err(Error::RepositoriesVanished { count: 2, below }) if below.ends_with("/team"));
    ensure(is_refused, "repositories that are gone together are removed")?;
    equal(ctx.walk("/target", None).await?, before, "the files of the target")?;
    target.pulls("team/a", &Image::new(3), tag("v1")).await?;
    let finish = stores.migration(confirmed()).await?.finish().await?;
    is_complete(&stores, &finish).await?;
    equal(finish.removed.tags, 2, "the tags that are removed")
}

async fn content_that_vanishes_removes_nothing(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    stores.pass().await?;
    stores.source.delete_tree(&layout::blobs_root()).await?;
    let before = ctx.walk("/target", None).await?;
    let finish = stores.finish().await;
    ensure(
        matches!(finish, Err(Error::ContentVanished { .. })),
        "a store without content empties the target",
    )?;
    equal(ctx.walk("/target", None).await?, before, "the files of the target")?;
    pulls_all(&target).await
}

async fn a_part_that_is_finished_is_closed(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    let part = || Options { part: vec!["image/below".to_owned()], ..only("image/below") };
    let migration = stores.migration(part()).await?;
    migration.finish().await?;
    migration.close_part(&part().part).await?;
    target.put_image("image/below", &Image::new(3), "own").await?;
    let again = stores.migration(part()).await;
    ensure(matches!(again, Err(Error::PartFinished { .. })), "a part is migrated again that is finished")?;
    let begun = Begun::read(&stores.target).await?;
    equal(begun.map(|begun| begun.finished), Some(part().part), "the finished parts")?;
    // The rest leaves it alone, with its content.
    let rest = sampan_engine::Selection::default().without(|name| name.as_str() == "image/below");
    let migration = stores.migration(Options { selection: rest, ..Options::default() }).await?;
    let finish = migration.finish().await?;
    is_complete(&stores, &finish).await?;
    migration.close("the target").await?;
    target.pulls("image/below", &Image::new(3), tag("own")).await?;
    pulls_all(&target).await
}

async fn a_target_that_was_a_source_is_one_no_longer(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    let migration = stores.migration(Options::default()).await?;
    migration.finish().await?;
    migration.close("the target").await?;
    target.put_image("image", &Image::new(4), "later").await?;
    let (from, to) = (stores.target.clone(), stores.source.clone());
    let merge = Options { merge: true, ..Options::default() };
    let back = Migration::begin(from, to, "the target", merge).await?;
    back.finish().await?;
    back.close("the source").await?;
    equal(Moved::read(&stores.source).await?, None, "the marker of a store that is in use again")?;
    ensure(Moved::read(&stores.target).await?.is_some(), "the store that was moved is not marked")
}

/// What another pass copies is not the remains of an interrupted one.
async fn two_passes_to_one_target_leave_each_other_alone(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    fill(&Client::new(&stores.source)).await?;
    let staged = layout::migration_staged().join("00000000-0000-0000-0000-000000000001")?;
    stores.target.put_content(&staged, Bytes::from_static(b"half a blob"), PutMode::Overwrite).await?;
    let migration = stores.migration(Options::default()).await?;
    migration.pass().await?;
    ensure(stores.target.exists(&staged).await?, "a pass deletes what another one copies")?;
    migration.finish().await?;
    migration.close("the target").await?;
    ensure(!stores.target.exists(&staged).await?, "the end leaves staged files")?;
    is_valid(&stores.target).await
}

/// Two machines have their stores in the same directory.
async fn two_stores_of_one_name_are_told_apart(ctx: Context) -> Result<(), Failed> {
    for has_id in [false, true] {
        ctx.delete_tree("/").await?;
        let stores = Stores::of(ctx.driver());
        let (source, target) = stores.clients();
        let other = Stores { source: Below::at(ctx.driver(), "/other"), target: stores.target.clone() };
        source.put_image("image", &Image::new(1), "one").await?;
        // With the same images, only their identifiers tell them apart.
        let number = if has_id { 1 } else { 2 };
        Client::new(&other.source).put_image("image", &Image::new(number), "one").await?;
        if has_id {
            stores.pass().await?;
            for driver in [&stores.source, &other.source] {
                StoreIdentity::establish(driver).await?;
            }
        }
        stores.pass().await?;
        let mixed = other.migration(Options::default()).await;
        ensure(
            matches!(&mixed, Err(Error::OtherSource { recorded, .. }) if recorded.contains("another machine")),
            "two stores of one name are copied to one",
        )?;
        is_complete(&stores, &stores.finish().await?).await?;
        target.pulls("image", &Image::new(1), tag("one")).await?;
    }
    Ok(())
}

async fn a_guard_of_an_earlier_version_goes_on(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    fill(&Client::new(&stores.source)).await?;
    let earlier = Bytes::from_static(br#"{"from":"the source","begun_ms":1}"#);
    stores.target.put_content(&Entry::MigrationBegun.path(), earlier, PutMode::Overwrite).await?;
    StoreIdentity::establish(&stores.source).await?;
    is_complete(&stores, &stores.finish().await?).await?;
    let begun = Begun::read(&stores.target).await?;
    ensure(begun.is_some_and(|begun| begun.source.is_some()), "the identity of the source is not recorded")
}

async fn content_that_may_not_be_read_is_named_and_left_behind(ctx: Context) -> Result<(), Failed> {
    for is_manifest in [false, true] {
        ctx.delete_tree("/").await?;
        let stores = Stores::of(ctx.driver());
        let (source, target) = stores.clients();
        source.put_image("image", &Image::new(1), "one").await?;
        source.put_image("image", &Image::new(2), "two").await?;
        let digest = match is_manifest {
            true => Image::new(2).digest(),
            false => Digest::sha256_of(&Image::new(2).layers[0]),
        };
        let prefix = Entry::Blob(digest.clone()).path().to_string();
        let operations = &[Operation::Reader, Operation::GetContent];
        let from = Refusing { operations, prefix, kind: ErrorKind::PermissionDenied }.over(&stores.source);
        let migration =
            Migration::begin(from, stores.target.clone(), "the source", Options::default()).await?;
        let pass = migration.pass().await?;
        let damaged: Vec<_> = pass.damaged.items.iter().map(|damaged| &damaged.digest).collect();
        equal(damaged, vec![&digest], "what may not be read")?;
        target.pulls("image", &Image::new(1), tag("one")).await?;
        is_valid(&stores.target).await?;
    }
    Ok(())
}

async fn a_damaged_manifest_is_listed_once(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, _) = stores.clients();
    for repository in ["image", "copy"] {
        source.put_image(repository, &Image::new(1), "one").await?;
    }
    let damaged = Bytes::from_static(b"{}");
    let data = Entry::Blob(Image::new(1).digest()).path();
    stores.source.put_content(&data, damaged, PutMode::Overwrite).await?;
    let pass = stores.pass().await?;
    equal((pass.damaged.count, pass.damaged.items.len()), (1, 1), "the damaged content")
}

/// The clauses.
pub(crate) const CLAUSES: &[Clause] = table!["engine::migrate_end":
    what_the_source_has_lost_stays_at_the_target,
    a_part_of_an_image_without_a_link_stays,
    what_nothing_names_is_removed,
    repositories_that_vanish_together_remove_nothing,
    content_that_vanishes_removes_nothing,
    a_part_that_is_finished_is_closed,
    a_target_that_was_a_source_is_one_no_longer,
    two_passes_to_one_target_leave_each_other_alone,
    two_stores_of_one_name_are_told_apart,
    a_guard_of_an_earlier_version_goes_on,
    content_that_may_not_be_read_is_named_and_left_behind,
    a_damaged_manifest_is_listed_once,
];
