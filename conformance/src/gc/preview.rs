//! The preview of a deletion tells what a collection after it finds.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use sampan_driver::StorageDriver;
use sampan_engine::gc::{self, PreviewExtent, Removal, RemovalPreview};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, Tag};
use sampan_engine::{Error, Registry, Survey};

use super::collector::{collect_later, options, paths};
use super::seed::{Image, Seed, image, index, name};
use crate::check::{ensure, equal};
use crate::engine::hooks::Counted;
use crate::{Clause, Context, Failed, clause::table};

const STORE: PreviewExtent = PreviewExtent::Store { delete_untagged: true };

/// A repository with a signed image under two tags, an index, and another image that shares a layer with all; another
/// repository has one of the blobs.
struct Site {
    signed: Image,
    signature: Digest,
    /// In an index under the tag `all`.
    child: Image,
}

async fn site(ctx: &Context) -> Result<Site, Failed> {
    let seed = Seed::new(ctx.driver());
    let signed = seed.image("a", 1).await?;
    seed.tag("a", "1.0", &signed.manifest).await?;
    seed.tag("a", "latest", &signed.manifest).await?;
    let signature = seed.manifest("a", &image(&signed.blobs[0], &[], Some(&signed.manifest))).await?;
    let child = seed.image("a", 2).await?;
    let index = seed.manifest("a", &index(std::slice::from_ref(&child.manifest))).await?;
    seed.tag("a", "all", &index).await?;
    let shares = image(&child.blobs[0], &signed.blobs[2..], None);
    let shares = seed.manifest("a", &shares).await?;
    seed.tag("a", "shares", &shares).await?;
    seed.image("a", 3).await?;
    let elsewhere = image(&signed.blobs[1], &[], None);
    seed.layer("b", &signed.blobs[1]).await?;
    let elsewhere = seed.manifest("b", &elsewhere).await?;
    seed.tag("b", "latest", &elsewhere).await?;
    Ok(Site { signed, signature, child })
}

fn tags(texts: &[&str]) -> Result<Removal, Failed> {
    let tags: Result<Vec<Tag>, _> = texts.iter().map(|text| text.parse()).collect();
    Ok(Removal::Tags(tags?))
}

async fn of(ctx: &Context, removal: &Removal, extent: PreviewExtent) -> Result<RemovalPreview, gc::Error> {
    let registry = Registry::builder(ctx.driver().clone()).build();
    gc::preview(&registry, &name("a"), removal, extent, Duration::ZERO).await
}

async fn other_tags_keep_the_image(ctx: Context) -> Result<(), Failed> {
    let site = site(&ctx).await?;
    let before = paths(ctx.driver()).await?;
    let preview = of(&ctx, &tags(&["1.0", "missing"])?, PreviewExtent::Repository).await?;
    equal(paths(ctx.driver()).await?, before, "the store after a preview")?;
    let tag = |text: &str| text.parse::<Tag>();
    equal(&preview.tags.items, &vec![(tag("1.0")?, Some(site.signed.manifest.clone()))], "the tags that go")?;
    equal(&preview.missing, &vec![tag("missing")?], "the tags that do not exist")?;
    let stays = vec![(tag("latest")?, site.signed.manifest.clone())];
    equal(&preview.other_tags.items, &stays, "the tags that stay")?;
    equal((preview.manifests.count, preview.freed_bytes), (0, 0), "what goes")?;
    let registry = Registry::builder(ctx.driver().clone()).build();
    let unknown =
        gc::preview(&registry, &name("c"), &Removal::Repository, PreviewExtent::Repository, Duration::ZERO)
            .await;
    ensure(
        matches!(unknown, Err(gc::Error::Registry(Error::RepositoryUnknown(_)))),
        format_args!("the preview of no repository is {unknown:?}"),
    )
}

async fn an_image_goes_with_its_signature(ctx: Context) -> Result<(), Failed> {
    let site = site(&ctx).await?;
    let removal = tags(&["latest", "1.0"])?;
    let here = of(&ctx, &removal, PreviewExtent::Repository).await?;
    let mut expected = vec![site.signed.manifest.clone(), site.signature.clone()];
    expected.sort_unstable();
    let mut found = here.manifests.items.clone();
    found.sort_unstable();
    equal(found, expected, "the manifests that go")?;
    equal(&here.referrers.items, &vec![site.signature.clone()], "the referrers that go along")?;
    equal(here.unreadable, 0, "what is unreadable")?;
    // Manifests, and the first two of the three blobs; the last is needed by another image.
    let mut bytes = 200;
    for manifest in [&site.signed.manifest, &site.signature] {
        bytes += ctx.driver().stat(&Entry::Blob(manifest.clone()).path()).await?.size_bytes;
    }
    equal(here.freed_bytes, bytes, "the bytes that the repository no longer needs")?;
    let whole = of(&ctx, &removal, STORE).await?;
    equal(whole.freed_bytes, bytes - 100, "the bytes that the store no longer needs")?;
    equal((&whole.manifests, &whole.tags), (&here.manifests, &here.tags), "what goes")?;

    collect_later(ctx.driver(), &options(false)).await?;
    let survey = Survey::read(&Registry::builder(ctx.driver().clone()).build()).await?;
    let shared = here.shared_bytes(&survey, &name("a"));
    let is_right = shared.is_some_and(|shared| (shared.at_least..=shared.at_most).contains(&100));
    ensure(is_right, format_args!("100 bytes are shared, and the survey says {shared:?}"))
}

/// For each removal: the preview of the whole store, and what a collection frees after it.
async fn a_collection_frees_what_was_told(ctx: Context) -> Result<(), Failed> {
    let site = site(&ctx).await?;
    // The removal has no part in earlier garbage.
    collect_later(ctx.driver(), &options(true)).await?;
    for (removed, expected) in [(&["all"][..], 2), (&["shares", "1.0", "latest"][..], 3)] {
        let preview = of(&ctx, &tags(removed)?, STORE).await?;
        equal(preview.manifests.count, expected, format_args!("the manifests that go with {removed:?}"))?;
        for tag in removed {
            let current = Entry::TagCurrent(name("a"), tag.parse()?);
            ctx.driver().delete(&current.path()).await?;
        }
        let before = stored(&ctx).await?;
        let report = collect_later(ctx.driver(), &options(true)).await?;
        equal(report.manifests, expected, "the manifests that a collection deletes")?;
        equal(before - stored(&ctx).await?, preview.freed_bytes, format_args!("bytes without {removed:?}"))?;
        for digest in &preview.manifests.items {
            let left = ctx.driver().stat(&Entry::Blob(digest.clone()).path()).await;
            ensure(left.is_err(), format_args!("{digest} is left"))?;
        }
    }
    let child = ctx.driver().stat(&Entry::Blob(site.child.manifest).path()).await;
    ensure(child.is_err(), "the child of an index outlived it")
}

async fn a_repository_goes_with_all_of_it(ctx: Context) -> Result<(), Failed> {
    site(&ctx).await?;
    let registry = Registry::builder(ctx.driver().clone()).build();
    let survey = gc::survey(&registry, 0.0, &options(true).stop).await?;
    let figures = survey.find(&name("a")).map(|found| found.figures).unwrap_or_default();
    // Of one registry, one waits for the other.
    let (a, all) = (name("a"), Removal::Repository);
    let both = [PreviewExtent::Repository, STORE]
        .map(|extent| gc::preview(&registry, &a, &all, extent, Duration::MAX));
    let both = futures::future::try_join_all(both).await?;
    let [here, whole] = &both[..] else { return Err(Failed::new("two previews have two results")) };
    equal((here.tags.count, here.manifests.count), (figures.tags, figures.manifests), "what goes")?;
    equal(here.freed_bytes, figures.bytes, "the bytes in the repository")?;
    equal(whole.freed_bytes, figures.own_bytes, "the bytes in the store")?;
    let shared = here.shared_bytes(&survey, &name("a"));
    ensure(
        shared.is_some_and(|shared| shared.is_exact() && shared.at_most == figures.bytes - figures.own_bytes),
        format_args!("the survey says {shared:?}"),
    )
}

async fn what_is_unreadable_keeps_everything(ctx: Context) -> Result<(), Failed> {
    site(&ctx).await?;
    let seed = Seed::new(ctx.driver());
    let broken = seed.manifest("a", &Bytes::from_static(b"{ no manifest")).await?;
    seed.tag("a", "broken", &broken).await?;
    let preview = of(&ctx, &tags(&["latest", "1.0"])?, PreviewExtent::Repository).await?;
    equal((preview.unreadable, preview.freed_bytes), (1, 0), "what is unreadable, and what goes")?;
    equal(preview.tags.count, 2, "the tags that go")
}

async fn stored(ctx: &Context) -> Result<u64, Failed> {
    let registry = Registry::builder(ctx.driver().clone()).build();
    let survey = gc::survey(&registry, 0.0, &options(true).stop).await?;
    let names: BTreeSet<_> = survey.repositories().iter().map(|found| found.name.as_str()).collect();
    ensure(names.contains("b"), "the other repository stays")?;
    Ok(survey.totals().stored_bytes)
}

/// Previews take memory in proportion to what they walk.
async fn one_is_made_at_a_time(ctx: Context) -> Result<(), Failed> {
    site(&ctx).await?;
    let counted = Counted::default();
    let registry = Registry::builder(counted.over(ctx.driver())).build();
    let removal = tags(&["latest"])?;
    let preview = async |wait: Duration| {
        let (registry, removal) = (registry.clone(), removal.clone());
        gc::preview(&registry, &name("a"), &removal, PreviewExtent::Repository, wait).await
    };
    counted.stop_after(0);
    let mut first = pin!(preview(Duration::ZERO));
    // It walks the manifests and the layers side by side.
    for _ in 0..2 {
        tokio::select! {
            answer = &mut first => return Err(Failed::new(format_args!("the first ended with {answer:?}"))),
            () = counted.stopped() => {}
        }
    }
    tokio::select! {
        second = preview(Duration::ZERO) => ensure(
            matches!(second, Err(gc::Error::Busy)),
            format_args!("a second preview beside the first ended with {second:?}"),
        )?,
        () = counted.stopped() => return Err(Failed::new("two previews read the store at once")),
    }
    // A preview ends with its request, and the next one begins.
    first.set(preview(Duration::MAX));
    counted.go_on();
    equal(first.await?.tags.items.len(), 1, "the tags of the preview after it")
}

pub(crate) const CLAUSES: &[Clause] = table! { "gc::preview":
    other_tags_keep_the_image,
    an_image_goes_with_its_signature,
    a_collection_frees_what_was_told,
    a_repository_goes_with_all_of_it,
    what_is_unreadable_keeps_everything,
    one_is_made_at_a_time,
};
