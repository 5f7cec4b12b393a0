//! The collector deletes all garbage and nothing else.

use std::collections::BTreeSet;

use sampan_driver::DriverPath;
use sampan_engine::UploadId;
use sampan_engine::gc::Options;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;

use super::collector::{collect_later, expect_gone, options, paths};
use super::generated::Generated;
use super::seed::{Image, Seed, name};
use crate::check::{ensure, equal};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

async fn exactly_what_nothing_refers_to(ctx: Context) -> Result<(), Failed> {
    generated(ctx, false).await
}

async fn exactly_what_no_tag_reaches(ctx: Context) -> Result<(), Failed> {
    generated(ctx, true).await
}

async fn generated(ctx: Context, delete_untagged: bool) -> Result<(), Failed> {
    for seed in 0..ctx.scale(12, 100) {
        let store = Generated::new(seed);
        store.write(ctx.driver()).await?;
        let (before, garbage) = (paths(ctx.driver()).await?, store.garbage(delete_untagged));
        let report = collect_later(ctx.driver(), &options(delete_untagged)).await?;
        expect_gone(ctx.driver(), &before, &garbage)
            .await
            .map_err(|failed| failed.within(format_args!("seed {seed}")))?;
        let count = |kind: fn(&Entry) -> bool| {
            garbage.iter().filter(|path| Entry::parse(path).is_some_and(|entry| kind(&entry))).count() as u64
        };
        equal(report.blobs.count, count(|entry| matches!(entry, Entry::Blob(_))), "the number of blobs")?;
        equal(
            report.manifests,
            count(|entry| matches!(entry, Entry::RevisionLink(..))),
            "the number of manifests",
        )?;
        equal(
            report.tag_entries,
            count(|entry| matches!(entry, Entry::TagIndex(..))),
            "the number of tag entries",
        )?;
        equal(report.saved, 0, "what was saved")?;
        let again = collect_later(ctx.driver(), &options(delete_untagged)).await?;
        equal(
            (again.blobs.count, again.layer_links, again.manifests),
            (0, 0, 0),
            "what a second collection finds",
        )?;
        ctx.driver().delete_tree(&path("/docker")).await?;
    }
    Ok(())
}

/// Clients cannot pull such a manifest. The collector keeps and reports those that a tag points at. If it can read no manifest
/// at all, it keeps all: then the store itself is damaged.
async fn links_to_manifests_whose_data_are_gone(ctx: Context) -> Result<(), Failed> {
    for delete_untagged in [false, true] {
        let seed = Seed::new(ctx.driver());
        let (lost, tagged) = (seed.image("lost", 1).await?, seed.image("a", 2).await?);
        seed.tag("a", "tagged", &tagged.manifest).await?;
        for image in [&lost, &tagged] {
            ctx.driver().delete(&Entry::Blob(image.manifest.clone()).path()).await?;
        }
        let link_in =
            |repository, image: &Image| Entry::RevisionLink(name(repository), image.manifest.clone()).path();
        let (lost, tagged) = (link_in("lost", &lost), link_in("a", &tagged));
        if !delete_untagged {
            collect_later(ctx.driver(), &options(delete_untagged)).await?;
            ensure(paths(ctx.driver()).await?.contains(&lost), "a link is gone though no manifest was read")?;
        }
        let whole = seed.image("b", 3).await?;
        seed.tag("b", "latest", &whole.manifest).await?;
        let report = collect_later(ctx.driver(), &options(delete_untagged)).await?;
        let left = paths(ctx.driver()).await?;
        ensure(!left.contains(&lost), "a link without data is left")?;
        ensure(left.contains(&tagged), "the link of a tagged manifest is gone")?;
        equal(report.manifests, 1, "the number of manifests that went")?;
        let reported: Vec<_> = report.unreadable.iter().map(|unreadable| unreadable.path.clone()).collect();
        equal(reported, [tagged.to_string()], "what is reported")?;
        ctx.driver().delete_tree(&path("/docker")).await?;
    }
    Ok(())
}

/// Such a tag is no damaged link: its history names its target, also after a collection.
async fn what_a_tag_pointed_at_before_its_manifest_was_lost(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let (lost, other) = (seed.image("a", 1).await?, seed.image("a", 2).await?);
    seed.tag("a", "other", &other.manifest).await?;
    seed.tag("a", "latest", &other.manifest).await?;
    seed.tag("a", "latest", &lost.manifest).await?;
    for file in [Entry::RevisionLink(name("a"), lost.manifest.clone()), Entry::Blob(lost.manifest.clone())] {
        ctx.driver().delete(&file.path()).await?;
    }
    collect_later(ctx.driver(), &options(true)).await?;
    ctx.driver().delete_tree(&path("/docker/registry/v2/repositories/a/_manifests/tags/other")).await?;
    let report = collect_later(ctx.driver(), &options(true)).await?;
    ensure(report.is_complete(), format_args!("it reports {:?}", report.unreadable))?;
    let left = paths(ctx.driver()).await?;
    ensure(other.files("a").iter().all(|file| !left.contains(file)), "garbage is left")
}

async fn links_to_data_that_never_came(ctx: Context) -> Result<(), Failed> {
    let link = Seed::new(ctx.driver()).layer("a", &Digest::sha256_of(b"never")).await?;
    let before = paths(ctx.driver()).await?;
    collect_later(ctx.driver(), &options(false)).await?;
    expect_gone(ctx.driver(), &before, &BTreeSet::from([link])).await
}

async fn uploads_that_were_given_up(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let (name, id) = (name("a"), UploadId::random());
    let started = Entry::UploadStartedAt(name.clone(), id.clone()).path();
    seed.put(&started, "2020-01-02T03:04:05Z").await?;
    ctx.stage(Entry::UploadData(name, id).path().as_str(), bytes(1, 1000)).await?;
    let before = paths(ctx.driver()).await?;
    collect_later(ctx.driver(), &options(false)).await?;
    expect_gone(ctx.driver(), &before, &BTreeSet::new()).await?;

    let week = std::time::Duration::from_secs(7 * 24 * 60 * 60);
    let options = Options { upload_age: Some(week), ..options(false) };
    let report = collect_later(ctx.driver(), &options).await?;
    equal(report.uploads.count, 1, "the number of uploads")?;
    equal(paths(ctx.driver()).await?, BTreeSet::new(), "what is left")
}

async fn leftovers_of_interrupted_writes(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let image = seed.image("a", 1).await?;
    let mut leftovers = BTreeSet::new();
    for file in [Entry::Blob(image.manifest.clone()), Entry::RevisionLink(name("a"), image.manifest)] {
        let leftover = path(&format!("{}.0b1c7f0e-8a52-4a3c-9d0e-2f1f5f3b6a77.tmp", file.path()));
        seed.put(&leftover, "half").await?;
        leftovers.insert(leftover);
    }
    let before = paths(ctx.driver()).await?;
    // A driver may hide files that look like its own temporary files.
    let visible: BTreeSet<DriverPath> = leftovers.intersection(&before).cloned().collect();
    let report = collect_later(ctx.driver(), &options(false)).await?;
    equal(report.temporary.count, visible.len() as u64, "the number of leftovers")?;
    expect_gone(ctx.driver(), &before, &visible).await
}

async fn empty_repositories(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let image = seed.image("empty", 1).await?;
    let below = seed.image("empty/below", 2).await?;
    seed.tag("empty/below", "latest", &below.manifest).await?;
    let before = paths(ctx.driver()).await?;
    let report = collect_later(ctx.driver(), &options(true)).await?;
    equal(report.empty_repositories, 1, "the number of repositories")?;
    expect_gone(ctx.driver(), &before, &image.files("empty").into_iter().collect()).await?;
    let left = ctx.names("/docker/registry/v2/repositories/empty", None).await?;
    ensure(!left.contains(&"_manifests/".to_owned()), format_args!("the repository is still there: {left:?}"))
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::sweeps_dead":
    exactly_what_nothing_refers_to,
    exactly_what_no_tag_reaches,
    links_to_manifests_whose_data_are_gone,
    what_a_tag_pointed_at_before_its_manifest_was_lost,
    links_to_data_that_never_came,
    uploads_that_were_given_up,
    leftovers_of_interrupted_writes,
    empty_repositories,
];
