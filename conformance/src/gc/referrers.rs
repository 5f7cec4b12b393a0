//! The indexes of referrers: a collection writes missing entries, and deletes meaningless ones.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use sampan_driver::StorageDriver;
use sampan_engine::gc::Options;
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{ReferrersQuery, Registry};

use super::collector::{collect_at, collect_later, expect_gone, indexes_are_right, options, paths};
use super::seed::{Image, Seed, image, name};
use crate::check::{ensure, equal};
use crate::{Clause, Context, Failed, clause::table};

/// A store of Distribution, with and without an index that says that it is complete.
async fn what_is_missing_is_written(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let subject = seed.image("a", 1).await?;
    seed.image("b", 2).await?;
    let alias = Digest::of(Algorithm::Sha512, &subject.bytes);
    seed.link(Entry::RevisionLink(name("a"), alias.clone()), &subject.manifest).await?;
    let mut attached = BTreeSet::new();
    for (number, names) in [(1, &subject.manifest), (2, &subject.manifest), (3, &alias)] {
        attached.insert(attach(&seed, "a", number, names).await?);
    }
    for round in 0..2 {
        let before = paths(ctx.driver()).await?;
        let dry = Options { dry_run: true, ..options(false) };
        let told = collect_later(ctx.driver(), &dry).await?;
        equal(paths(ctx.driver()).await?, before.clone(), "the store after a dry run")?;
        let report = collect_later(ctx.driver(), &options(false)).await?;
        equal(
            (told.referrers_added, told.referrers),
            (report.referrers_added, 0),
            "what a dry run has told",
        )?;
        equal(
            report.referrers_added,
            attached.len() as u64 - round,
            "the number of entries that were written",
        )?;
        expect_gone(ctx.driver(), &before, &BTreeSet::new()).await?;
        equal(listed(&ctx, "a", &subject.manifest).await?, attached.clone(), "the referrers")?;
        let in_b = layout::referrers(&name("b"));
        let left = paths(ctx.driver()).await?;
        ensure(!left.iter().any(|path| path.below(&in_b).is_some()), "an index where nothing is attached")?;
        // The index says that it is complete when the next round begins.
        if round == 0 {
            let lost = attached.first().cloned().into_iter().chain(attached.last().cloned());
            for digest in lost {
                for subject in [&subject.manifest, &alias] {
                    let entry = Entry::Referrer(name("a"), subject.clone(), digest.clone());
                    ctx.driver().delete(&entry.path()).await?;
                }
            }
            attached.insert(attach(&seed, "a", 4, &subject.manifest).await?);
        }
    }
    Ok(())
}

async fn what_means_nothing_goes(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let (subject, other) = (seed.image("a", 1).await?, seed.image("a", 2).await?);
    let kept = attach(&seed, "a", 1, &subject.manifest).await?;
    let deleted = attach(&seed, "a", 2, &subject.manifest).await?;
    collect_later(ctx.driver(), &options(false)).await?;
    indexes_are_right(ctx.driver()).await?;
    // An entry whose link Distribution has deleted; then one for a manifest that never existed, and one for a manifest with
    // another subject.
    ctx.driver().delete(&Entry::RevisionLink(name("a"), deleted.clone()).path()).await?;
    let never = Digest::sha256_of(b"never");
    for (subject, manifest) in
        [(&subject, &never), (&other, &kept), (&other, &other.manifest), (&other, &subject.blobs[0])]
    {
        let entry = Entry::Referrer(name("a"), subject.manifest.clone(), manifest.clone());
        seed.put(&entry.path(), manifest.to_string()).await?;
    }
    let report = collect_later(ctx.driver(), &options(false)).await?;
    equal(report.referrers, 5, "the number of entries that went")?;
    equal((report.manifests, report.referrers_added), (0, 0), "what else was done")?;
    indexes_are_right(ctx.driver()).await?;
    equal(listed(&ctx, "a", &subject.manifest).await?, BTreeSet::from([kept]), "the referrers")
}

/// A push writes the entry before the link.
async fn what_is_young_stays(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let subject = seed.image("a", 1).await?;
    let pushed = seed.blob(&image(&subject.blobs[0], &subject.blobs[1..], Some(&subject.manifest))).await?;
    let entry = Entry::Referrer(name("a"), subject.manifest.clone(), pushed.clone()).path();
    seed.put(&entry, pushed.to_string()).await?;
    let hour = Duration::from_secs(60 * 60);
    let graceful = Options { grace: hour, ..options(true) };
    for (age, stays) in [(hour / 2, true), (hour * 2, false)] {
        collect_at(ctx.driver(), &graceful, SystemTime::now() + age).await?;
        equal(
            paths(ctx.driver()).await?.contains(&entry),
            stays,
            format_args!("whether it stays after {age:?}"),
        )?;
    }
    Ok(())
}

/// A collection leaves nothing of an index whose repository is gone.
async fn an_index_goes_with_its_repository(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let subject = seed.image("a", 1).await?;
    attach(&seed, "a", 1, &subject.manifest).await?;
    let below = seed.image("a/below", 2).await?;
    seed.tag("a/below", "latest", &below.manifest).await?;
    collect_later(ctx.driver(), &options(false)).await?;
    indexes_are_right(ctx.driver()).await?;
    let report = collect_later(ctx.driver(), &options(true)).await?;
    equal((report.manifests, report.referrers, report.empty_repositories), (2, 1, 1), "what went")?;
    let left = ctx.names("/docker/registry/v2/repositories/a", None).await?;
    equal(left, vec!["below/".to_owned()], "what is left of the repository")?;

    // A repository that Distribution has emptied.
    let subject = seed.image("b", 3).await?;
    attach(&seed, "b", 1, &subject.manifest).await?;
    collect_later(ctx.driver(), &options(false)).await?;
    ctx.driver().delete_tree(&layout::manifests(&name("b"))).await?;
    let confirmed = Options { confirmed: true, ..options(false) };
    collect_later(ctx.driver(), &confirmed).await?;
    let left = ctx.names("/docker/registry/v2/repositories/b", None).await?;
    equal(left, Vec::<String>::new(), "what is left of the repository that Distribution emptied")
}

/// Attaches an artifact that differs from those of other numbers.
async fn attach(seed: &Seed, repository: &str, number: u64, subject: &Digest) -> Result<Digest, Failed> {
    let Image { blobs, manifest, .. } = seed.image(repository, 1000 + number).await?;
    // The test does not need the image itself.
    seed.remove(Entry::RevisionLink(name(repository), manifest.clone())).await?;
    seed.remove(Entry::Blob(manifest)).await?;
    seed.manifest(repository, &image(&blobs[0], &blobs[1..], Some(subject))).await
}

async fn listed(ctx: &Context, repository: &str, subject: &Digest) -> Result<BTreeSet<Digest>, Failed> {
    let referrers = Registry::builder(ctx.driver().clone()).build().repository(name(repository)).referrers();
    let page = referrers.list(subject, &ReferrersQuery::default()).await?;
    Ok(page.descriptors.into_iter().map(|referrer| referrer.digest).collect())
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::referrers":
    what_is_missing_is_written,
    what_means_nothing_goes,
    what_is_young_stays,
    an_index_goes_with_its_repository,
];
