//! A store is copied to another while clients push to it, is killed anywhere, and continues: the copy is valid at every moment.

use std::sync::Arc;

use bytes::Bytes;
use sampan_driver::{PutMode, StorageDriver, StorageDriverExt};
use sampan_engine::layout::{self, Entry};
use sampan_engine::migrate::{DifferenceKind, Error, Migration, Moved, Options};
use sampan_engine::oci::{Algorithm, Digest};

use super::client::{Client, Image, artifact, index, name, tag};
use super::crash::listed_tags_can_be_pulled;
use super::store::{indexes_are_complete, is_valid};
use super::two_stores::{Stores, fill, is_complete, only, pulls_all};
use crate::below::Below;
use crate::check::{ensure, equal};
use crate::data::bytes;
use crate::faulty::{Fault, Faulty};
use crate::fixture::Pace;
use crate::{Clause, Context, Failed, clause::table};

async fn a_copy_has_everything_and_is_made_once(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    source
        .repository("image")
        .tags()
        .restore(&tag("one"), None, sampan_engine::OnExistingTag::Keep)
        .await
        .ok();
    let first = stores.pass().await?;
    ensure(first.copied.bytes > 150_000, "the first pass copies the data")?;
    pulls_all(&target).await?;
    let second = stores.pass().await?;
    equal(second.copied.files(), 0, "the files that a second pass copies")?;
    let finish = stores.finish().await?;
    is_complete(&stores, &finish).await?;
    indexes_are_complete(&stores.target).await?;
    let figures = finish.comparison.target;
    equal((figures.repositories, figures.tags), (3, 5), "the repositories and tags")?;
    stores.migration(Options::default()).await?.close("the target").await?;
    let moved = Moved::read(&stores.source).await?;
    equal(moved.map(|moved| moved.to), Some("the target".to_owned()), "the marker of the source")?;
    let again = stores.pass().await;
    ensure(matches!(again, Err(Error::NotEmpty(_))), "a store that was moved is copied over the one in use")
}

async fn what_changes_between_passes_arrives(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    source.put_image("gone", &Image::new(5), "v1").await?;
    stores.pass().await?;
    // The links of a tag are of one length.
    source.push_manifest("image", &Image::new(2).manifest, tag("one"), &[]).await?;
    source.put_image("image", &Image::new(3), "three").await?;
    source.attach("image", "application/vnd.example.signature", &Image::new(3).manifest).await?;
    source.repository("image").manifests().delete(&tag("two").into()).await?;
    source.repository("gone").manifests().delete(&Image::new(5).digest().into()).await?;
    let pass = stores.pass().await?;
    equal(pass.copied.tags, 2, "the tags that the second pass writes")?;
    target.pulls("image", &Image::new(2), tag("one")).await?;
    target.pulls("image", &Image::new(2), tag("two")).await?;
    equal(
        target.referrers("image", &Image::new(3).digest()).await?.len(),
        1,
        "the referrers of a new image",
    )?;
    source.push_manifest("image", &Image::new(1).manifest, tag("three"), &[]).await?;
    let finish = stores.finish().await?;
    is_complete(&stores, &finish).await?;
    target.pulls("image", &Image::new(1), tag("three")).await?;
    equal(
        (finish.removed.tags, finish.removed.revisions),
        (2, 1),
        "the tags and manifests that are removed",
    )?;
    let removed = target.repository("image").tags().removed(None, 10).await?;
    equal(removed.items.len(), 1, "the records of removed tags")
}

/// The target is valid after each failure, and the same command completes the copy.
async fn a_copy_that_is_killed_anywhere_goes_on(ctx: Context) -> Result<(), Failed> {
    // A store in memory tries everything; where files are synced, each fault has operations of its own.
    let step = if ctx.driver().capabilities().flat { 1 } else { 8 };
    let faults = if ctx.pace() == Pace::Local { &Fault::ALL[..] } else { &[Fault::CrashAfter] };
    for (place, fault) in faults.iter().copied().enumerate() {
        for fails_at in ctx.moments(fault).skip(2 * place % step).step_by(step) {
            ctx.delete_tree("/").await?;
            let pristine = Stores::of(ctx.driver());
            let (source, target) = pristine.clients();
            source.put_image("image", &Image::new(1), "moving").await?;
            source.put_image("image", &Image::new(2), "gone").await?;
            pristine.pass().await?;
            source.push_manifest("image", &index(&[&Image::new(1)]), tag("moving"), &[]).await?;
            let attached = artifact("application/vnd.example.signature", &Image::new(1).manifest);
            source.attach("image", "application/vnd.example.signature", &Image::new(1).manifest).await?;
            source.put_blob("large", &bytes(9, 70_000), &Digest::sha256_of(&bytes(9, 70_000))).await?;
            source.repository("image").manifests().delete(&Image::new(2).digest().into()).await?;

            let faulty: Arc<Faulty> = Arc::new(Faulty::new(ctx.driver().clone(), fault, fails_at));
            let driver: Arc<dyn StorageDriver> = faulty.clone();
            let interrupted = Stores::of(&driver).finish().await;
            let within = |failed: Failed| failed.within(format_args!("{fault:?} at operation {fails_at}"));
            is_valid(&pristine.target).await.map_err(within)?;
            listed_tags_can_be_pulled(&target).await.map_err(within)?;
            if interrupted.is_err() {
                ensure(faulty.has_failed(), "the migration fails though the drivers do not")?;
            }
            let finish = pristine.finish().await?;
            is_complete(&pristine, &finish).await.map_err(within)?;
            target.repository("image").manifests().get(&Digest::sha256_of(&attached).into()).await?;
            if !faulty.has_failed() {
                break;
            }
        }
    }
    Ok(())
}

async fn damaged_content_is_named_and_left_behind(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    let (whole, broken) = (Image::new(1), Image::new(2));
    source.put_image("image", &whole, "whole").await?;
    source.put_image("image", &broken, "broken").await?;
    let all = index(&[&whole, &broken]);
    source.push_manifest("image", &all, tag("all"), &[]).await?;
    let layer = Digest::sha256_of(&broken.layers[0]);
    let data = Entry::Blob(layer.clone()).path();
    stores.source.put_content(&data, bytes(7, 20_000), PutMode::Overwrite).await?;
    let pass = stores.pass().await?;
    let damaged: Vec<_> = pass.damaged.items.iter().map(|damaged| &damaged.digest).collect();
    equal(damaged, vec![&layer], "the damaged content")?;
    let mut named: Vec<_> = pass
        .broken
        .items
        .iter()
        .filter_map(|broken| Some((broken.tag.clone()?, broken.because.clone())))
        .collect();
    named.sort_unstable();
    equal(
        named,
        vec![(tag("all"), layer.clone()), (tag("broken"), layer.clone())],
        "the tags that it breaks",
    )?;
    is_valid(&stores.target).await?;
    target.pulls("image", &whole, tag("whole")).await?;
    let finish = stores.finish().await?;
    let missing: Vec<_> =
        finish.comparison.differences.items.iter().map(|one| (&one.path, one.how)).collect();
    ensure(missing.contains(&(&data, DifferenceKind::Missing)), "the damaged content is no difference")?;
    // A push repairs the source.
    stores.source.put_content(&data, broken.layers[0].clone(), PutMode::Overwrite).await?;
    let finish = stores.finish().await?;
    is_complete(&stores, &finish).await?;
    target.pulls("image", &broken, tag("broken")).await?;
    // The target has it whole, so damage at the source does no harm any more.
    stores.source.put_content(&data, bytes(7, 20_000), PutMode::Overwrite).await?;
    source.push_manifest("image", &broken.manifest, tag("again"), &[]).await?;
    ensure(stores.pass().await?.is_whole(), "what the target has whole is read from the source")?;
    target.pulls("image", &broken, tag("again")).await
}

async fn what_leads_nowhere_at_the_source_stays_behind(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    source.put_image("image", &Image::new(1), "one").await?;
    source.put_image("image", &Image::new(2), "two").await?;
    source.push_manifest("image", &index(&[&Image::new(1), &Image::new(2)]), tag("all"), &[]).await?;
    // An index of which a platform is gone is copied as it is.
    for path in [
        Entry::RevisionLink(name("image"), Image::new(2).digest()).path(),
        Entry::Blob(Digest::sha256_of(&Image::new(2).layers[0])).path(),
    ] {
        stores.source.delete(&path).await?;
    }
    let finish = stores.finish().await?;
    ensure(finish.comparison.is_equal(), "what the source lacks is a difference")?;
    target.pulls("image", &Image::new(1), tag("one")).await?;
    target.repository("image").manifests().get(&tag("all").into()).await?;
    equal(finish.pass.dangling.count, 2, "the tag and the layer that lead nowhere")?;
    equal(target.repository("image").tags().list(None, None).await?.items, ["all", "one"], "the tags")
}

async fn only_the_repositories_that_are_selected_are_copied(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    source.put_image("image/other", &Image::new(3), "v1").await?;
    let migration = stores.migration(only("image/below")).await?;
    let finish = migration.finish().await?;
    is_complete(&stores, &finish).await?;
    equal(finish.comparison.target.repositories, 1, "the repositories")?;
    target.pulls("image/below", &Image::new(1), tag("one")).await?;
    let layer = Entry::Blob(Digest::sha256_of(&Image::new(3).layers[0])).path();
    ensure(!stores.target.exists(&layer).await?, "the layer of another repository is copied")?;
    // Another selection leaves the first alone.
    let finish = stores.migration(only("image/other")).await?.finish().await?;
    is_complete(&stores, &finish).await?;
    target.pulls("image/below", &Image::new(1), tag("one")).await
}

async fn times_of_pushes_go_along(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    source.put_image("image", &Image::new(1), "one").await?;
    source.put_image("image", &Image::new(2), "one").await?;
    let times = |client: &Client| {
        let tags = client.repository("image").tags();
        async move {
            Ok::<_, sampan_engine::Error>((tags.times().await?.items, tags.history(&tag("one")).await?.items))
        }
    };
    let whole =
        |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).map(|time| time.as_millis());
    let (pushed, history) = times(&source).await?;
    stores.pass().await?;
    let (copied, copied_history) = times(&target).await?;
    equal(whole(copied[0].at)?, whole(pushed[0].at)?, "the time of the push")?;
    for (copied, pushed) in copied_history.iter().zip(&history) {
        equal(whole(copied.at)?, whole(pushed.at)?, "the times of the history")?;
    }
    let one = target.repository("image").tags().pushed_at(&tag("one")).await?;
    equal(one.map(whole).transpose()?, Some(whole(pushed[0].at)?), "the time of one tag")?;
    let survey = sampan_engine::gc::survey(&target.registry, 0.0, &Default::default()).await?;
    let figures = survey.find(&name("image")).map(|found| found.figures.pushed_ms);
    equal(figures, Some(Some(u64::try_from(whole(pushed[0].at)?)?)), "the last push of the survey")?;
    // A copy of the copy has them, too; a push counts again.
    let third = Stores { source: stores.target.clone(), target: Below::at(ctx.driver(), "/third") };
    third.pass().await?;
    let third = Client::new(&third.target);
    equal(whole(times(&third).await?.0[0].at)?, whole(pushed[0].at)?, "the time in a second copy")?;
    // A store may count in whole seconds, and then a push of the same second cannot be told from the copy.
    for _ in 0..300 {
        target.push_manifest("image", &Image::new(1).manifest, tag("one"), &[]).await?;
        if times(&target).await?.0[0].at > copied[0].at {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Err(Failed::new("a push at the copy has the time of the push at the source"))
}

async fn recorded_times_stay_as_long_as_a_tag(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    source.put_image("image", &Image::new(1), "one").await?;
    stores.pass().await?;
    let dates = Entry::TagDates(name("image")).path();
    ensure(stores.target.exists(&dates).await?, "no times are recorded")?;
    let options = sampan_engine::gc::Options {
        grace: std::time::Duration::ZERO,
        confirmed: true,
        ..sampan_engine::gc::Options::default()
    };
    let report = sampan_engine::gc::collect(&target.registry, &options).await?;
    equal(report.foreign, 0, "the foreign files")?;
    ensure(stores.target.exists(&dates).await?, "a collection deletes the times of a tag that is there")?;
    target.repository("image").manifests().delete(&Image::new(1).digest().into()).await?;
    sampan_engine::gc::collect(&target.registry, &options).await?;
    ensure(!stores.target.exists(&dates).await?, "the times of tags that are gone stay")
}

async fn a_store_is_not_copied_into_itself_or_over_another(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    fill(&Client::new(&stores.source)).await?;
    let begin = |target: &str, options: Options| {
        let (source, target) = (stores.source.clone(), Below::at(ctx.driver(), target));
        async move { Migration::begin(source, target, "the source", options).await }
    };
    let same = begin("/source", Options::default()).await;
    ensure(matches!(same, Err(Error::SameStore)), "a store is copied into itself")?;
    let inside = begin("/source/deep/inside", Options::default()).await;
    ensure(matches!(inside, Err(Error::Nested { .. })), "a store is copied into a directory of itself")?;
    let around =
        Migration::begin(Below::at(ctx.driver(), "/source"), ctx.driver().clone(), "x", Options::default());
    ensure(matches!(around.await, Err(Error::Nested { .. })), "a store is copied around itself")?;
    let other = Client::new(&Below::at(ctx.driver(), "/other"));
    other.put_image("mine", &Image::new(4), "v1").await?;
    let used = begin("/other", Options::default()).await;
    ensure(matches!(used, Err(Error::NotEmpty(_))), "a store is copied over another")?;
    let merge = Options { merge: true, ..Options::default() };
    let finish = begin("/other", merge).await?.finish().await?;
    ensure(finish.comparison.is_equal(), "the merged store lacks something")?;
    other.pulls("mine", &Image::new(4), tag("v1")).await?;
    pulls_all(&other).await?;
    // Also a later command without the option removes nothing.
    begin("/other", Options::default()).await?.finish().await?;
    other.pulls("mine", &Image::new(4), tag("v1")).await?;
    stores.pass().await?;
    let elsewhere = Below::at(ctx.driver(), "/elsewhere");
    let mixed = Migration::begin(elsewhere, stores.target.clone(), "elsewhere", Options::default()).await;
    ensure(matches!(mixed, Err(Error::OtherSource { .. })), "two stores are copied to one")
}

async fn an_empty_source_removes_nothing(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    stores.pass().await?;
    stores.source.delete_tree(&layout::repositories_root()).await?;
    let finish = stores.finish().await;
    ensure(matches!(finish, Err(Error::EmptySource)), "a source that shows nothing empties the target")?;
    pulls_all(&target).await
}

async fn a_dry_run_counts_and_writes_nothing(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    fill(&Client::new(&stores.source)).await?;
    let dry = Options { dry_run: true, ..Options::default() };
    let planned = stores.migration(dry).await?.pass().await?;
    equal(ctx.walk("/target", None).await?, Vec::<String>::new(), "the files of the target")?;
    let copied = stores.pass().await?;
    equal(planned.copied, copied.copied, "what was announced, and what was copied")
}

/// Raw files, as Distribution writes them: no index of referrers, a tag that names another algorithm, and after a power failure
/// an empty link.
async fn a_store_of_distribution_is_copied(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    let (source, target) = stores.clients();
    fill(&source).await?;
    for repository in ["image", "image/below", "large"] {
        stores.source.delete_tree(&layout::own(&name(repository))).await?;
    }
    let link = Entry::RevisionLink(name("image"), Image::new(1).digest()).path();
    let stray = crate::data::path(&link.as_str().replace("/link", "/notes.txt"));
    stores.source.put_content(&stray, Bytes::from_static(b"x"), PutMode::Overwrite).await?;
    let alias = Digest::of(Algorithm::Sha512, &Image::new(1).manifest).to_string();
    let current = Entry::TagCurrent(name("image"), tag("by-alias")).path();
    stores.source.put_content(&current, alias.clone().into(), PutMode::Overwrite).await?;
    let layer = Entry::LayerLink(name("image"), Digest::sha256_of(&Image::new(2).layers[1])).path();
    stores.source.put_content(&layer, Bytes::new(), PutMode::Overwrite).await?;
    let finish = stores.finish().await?;
    is_complete(&stores, &finish).await?;
    equal(finish.pass.foreign.items, vec![stray], "the foreign files")?;
    equal(stores.pass().await?.copied.files(), 0, "the files that a second pass copies")?;
    equal(stores.target.get_content(&current).await?, Bytes::from(alias), "the tag of another algorithm")?;
    target.pulls("image", &Image::new(1), tag("one")).await?;
    target.pulls("image", &Image::new(2), tag("two")).await
}

async fn a_collection_of_the_target_stops_a_pass(ctx: Context) -> Result<(), Failed> {
    let stores = Stores::of(ctx.driver());
    fill(&Client::new(&stores.source)).await?;
    let migration = stores.migration(Options::default()).await?;
    for driver in [&stores.target, &stores.source] {
        let notice = Entry::CollectionNotice(sampan_engine::RunId::random(), 0).path();
        driver.put_content(&notice, Bytes::from_static(b"{}"), PutMode::Overwrite).await?;
        let finish = migration.finish().await;
        ensure(matches!(finish, Err(Error::Collecting { .. })), "a migration finishes beside a collection")?;
        driver.delete(&notice).await?;
    }
    migration.finish().await?;
    Ok(())
}

/// The clauses.
pub(crate) const CLAUSES: &[Clause] = table!["engine::migrate":
    a_copy_has_everything_and_is_made_once,
    what_changes_between_passes_arrives,
    a_copy_that_is_killed_anywhere_goes_on,
    damaged_content_is_named_and_left_behind,
    what_leads_nowhere_at_the_source_stays_behind,
    only_the_repositories_that_are_selected_are_copied,
    times_of_pushes_go_along,
    recorded_times_stay_as_long_as_a_tag,
    a_store_is_not_copied_into_itself_or_over_another,
    an_empty_source_removes_nothing,
    a_dry_run_counts_and_writes_nothing,
    a_store_of_distribution_is_copied,
    a_collection_of_the_target_stops_a_pass,
];
