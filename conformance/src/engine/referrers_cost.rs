//! The cost of referrers: in proportion to the answer, and nothing without referrers.

use sampan_driver::{DriverPath, PutMode, StorageDriver};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::{Algorithm, Digest};

use super::client::{Client, Image, artifact, name};
use super::hooks::Counted;
use super::referrers::{attach_some, listed};
use crate::check::{ensure, equal};
use crate::{Clause, Context, Failed, clause::table};

/// Two answers, in a repository of ten manifests and in one of hundreds; with warm caches and in a new process.
async fn a_listing_costs_what_it_answers(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let mut costs = Vec::new();
    for (repository, count) in [("small", 10), ("large", ctx.scale(300, 40_000))] {
        client.put_image(repository, &image, "latest").await?;
        for kind in ["application/vnd.signature", "application/vnd.sbom"] {
            client.attach(repository, kind, &image.manifest).await?;
        }
        // Written past the registry, as by another one: the index contains none of them.
        for number in 0..count {
            let other = artifact(&format!("application/{number}"), &Image::new(2).manifest);
            let digest = Digest::sha256_of(&other);
            ctx.driver().put_content(&Entry::Blob(digest.clone()).path(), other, PutMode::Overwrite).await?;
            let link = Entry::RevisionLink(name(repository), digest.clone()).path();
            ctx.driver().put_content(&link, digest.to_string().into(), PutMode::Overwrite).await?;
        }
        equal(client.referrers(repository, &image.digest()).await?.len(), 2, "the first answer")?;
        let mut cost = Vec::new();
        let counted = Counted::default();
        let client = Client::new(&counted.over(ctx.driver()));
        for _ in ["after a restart", "warm"] {
            counted.clear();
            equal(client.referrers(repository, &image.digest()).await?.len(), 2, "the answers")?;
            cost.push(counted.count(|_, _| true));
        }
        costs.push(cost);
    }
    equal(&costs[1], &costs[0], "the operations in the larger repository")?;
    ensure(costs[0][1] <= 6, format_args!("two answers cost {costs:?} operations"))
}

/// The registry does not request a hundred links one by one where a listing returns all of them.
async fn a_long_list_is_not_asked_for_link_by_link(ctx: Context) -> Result<(), Failed> {
    let (client, image) = (Client::new(ctx.driver()), Image::new(1));
    let mut expected = attach_some(&client, &image, 100).await?;
    equal(listed(&client, &image).await?, expected.clone(), "the referrers")?;
    // Distribution has deleted some.
    for _ in 0..5 {
        if let Some(gone) = expected.pop_first() {
            ctx.driver().delete(&Entry::RevisionLink(name("image"), gone).path()).await?;
        }
    }
    let counted = Counted::default();
    let client = Client::new(&counted.over(ctx.driver()));
    equal(listed(&client, &image).await?, expected.clone(), "the referrers, by a new process")?;
    counted.clear();
    equal(listed(&client, &image).await?, expected, "the referrers, from memory")?;
    let operations = counted.count(|_, _| true);
    ensure(operations <= 6, format_args!("100 referrers cost {operations} operations"))
}

/// A push without a subject touches nothing of the index.
async fn a_manifest_without_a_subject_costs_nothing(ctx: Context) -> Result<(), Failed> {
    let counted = Counted::default();
    let client = Client::new(&counted.over(ctx.driver()));
    client.put_image("image", &Image::new(1), "latest").await?;
    let alias = Digest::of(Algorithm::Sha512, &Image::new(1).manifest);
    client.push_manifest("image", &Image::new(1).manifest, alias, &["2"]).await?;
    client.repository("image").manifests().delete(&Image::new(1).digest().into()).await?;
    let top = layout::referrers(&name("image"));
    let touched = |path: &DriverPath| *path == top || path.below(&top).is_some();
    equal(counted.count(|_, path| touched(path)), 0, "the operations on the index")?;
    counted.clear();
    client.attach("image", "application/x", &Image::new(1).manifest).await?;
    let operations = counted.count(|_, path| touched(path));
    ensure(
        (1..=2).contains(&operations),
        format_args!("a manifest with a subject costs {operations} operations on the index"),
    )
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::referrers_cost":
    a_listing_costs_what_it_answers,
    a_long_list_is_not_asked_for_link_by_link if Flat,
    a_manifest_without_a_subject_costs_nothing,
};
