//! Live content stays, and so does content that might be live.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sampan_driver::{DriverPath, StorageDriver};
use sampan_engine::gc::{self, Options, Report};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::{Clock, Registry};
use serde_json::json;

use super::collector::{collect_at, collect_later, expect_gone, options, paths};
use super::seed::{Image, Seed, image, index, name, tag};
use crate::check::{ensure, equal};
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

/// Repository `a` has an index whose child is only in `b`, beside an index of its own. Clients can pull nothing of the child
/// from `a`, and all of it from `b`.
async fn children_of_an_index_that_is_sparse_elsewhere(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let child = seed.image("b", 1).await?;
    for repository in ["a", "b"] {
        let index = seed.manifest(repository, &index(std::slice::from_ref(&child.manifest))).await?;
        seed.tag(repository, "latest", &index).await?;
    }
    keeps_everything(&ctx, true).await?;
    keeps_everything(&ctx, false).await
}

async fn what_is_attached_to_a_live_manifest(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let subject = seed.image("a", 1).await?;
    let mut attached_to = subject.manifest.clone();
    for number in 2..4 {
        let blob = seed.blob(&bytes(number * 50, 10)).await?;
        seed.layer("a", &blob).await?;
        attached_to = seed.manifest("a", &image(&blob, &[], Some(&attached_to))).await?;
    }
    let all = paths(ctx.driver()).await?;
    seed.tag("a", "latest", &subject.manifest).await?;
    keeps_everything(&ctx, true).await?;
    // It is deleted together with its subject.
    ctx.driver().delete_tree(&path("/docker/registry/v2/repositories/a/_manifests/tags")).await?;
    collect_later(ctx.driver(), &options(true)).await?;
    let left = paths(ctx.driver()).await?;
    ensure(left.is_empty(), format_args!("of {} files these are left: {left:?}", all.len()))
}

/// Docker's build cache is an index whose children are layers.
async fn blobs_that_an_index_lists(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let blob = seed.blob(&bytes(1, 10)).await?;
    seed.layer("a", &blob).await?;
    let index = seed.manifest("a", &index(&[blob])).await?;
    seed.tag("a", "cache", &index).await?;
    keeps_everything(&ctx, true).await
}

/// Very old registries linked manifests as layers.
async fn children_that_are_linked_like_layers(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let child = seed.image("a", 1).await?;
    ctx.driver().delete(&Entry::RevisionLink(name("a"), child.manifest.clone()).path()).await?;
    seed.layer("a", &child.manifest).await?;
    let index = seed.manifest("a", &index(&[child.manifest])).await?;
    seed.tag("a", "latest", &index).await?;
    keeps_everything(&ctx, true).await
}

async fn what_is_young(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let old = seed.image("a", 1).await?;
    let shared = seed.blob(&bytes(500, 10)).await?;
    seed.layer("b", &shared).await?;
    let last_old = ctx.stat(Entry::LayerLink(name("b"), shared.clone()).path().as_str()).await?.modified;
    // The store's clock must advance, or later writes would not be fresher.
    let mark = path("/mark");
    let now = loop {
        seed.put(&mark, "").await?;
        let now = ctx.stat("/mark").await?.modified;
        if now > last_old {
            break now;
        }
    };
    loop {
        seed.put(&mark, "").await?;
        if ctx.stat("/mark").await?.modified > now {
            break;
        }
    }
    ctx.delete("/mark").await?;
    let mut young: Vec<DriverPath> = Vec::new();
    // Data without a link, as a push leaves them for a moment; a link to old data, as a push that skips the upload leaves it.
    young.push(Entry::Blob(seed.blob(&bytes(600, 10)).await?).path());
    young.push(seed.layer("a", &shared).await?);
    young.push(Entry::Blob(shared.clone()).path());
    // An untagged manifest with an old link, whose lease was just refreshed.
    let confirmed = seed.image("c", 7).await?;
    young.extend(confirmed.files("c"));
    let before = paths(ctx.driver()).await?;
    let mut gone: BTreeSet<DriverPath> = old.files("a").into_iter().collect();
    gone.insert(Entry::LayerLink(name("b"), shared.clone()).path());
    gone.retain(|path| *path != Entry::Blob(shared.clone()).path());
    // A dry run with a grace period reaches the same verdict without the wait for other processes.
    let grace = Duration::from_secs(3600);
    let dry = Options { dry_run: true, grace, ..options(true) };
    let report = collect_at(ctx.driver(), &dry, now + grace).await?;
    equal((report.manifests, report.layer_links), (1, 4), "what a dry run finds")?;
    collect_at(ctx.driver(), &options(true), now).await?;
    expect_gone(ctx.driver(), &before, &gone).await?;
    let after = paths(ctx.driver()).await?;
    ensure(young.iter().all(|path| after.contains(path)), "something young is gone")
}

async fn the_repository_of_an_unreadable_manifest(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    seed.image("a", 1).await?;
    let garbage_elsewhere = seed.image("b", 2).await?;
    let torn = Bytes::from_static(b"{\"schemaVersion\":2,");
    let digest = seed.manifest("a", &torn).await?;
    expect_kept(&ctx, &garbage_elsewhere.files("b"), Entry::Blob(digest).path()).await
}

async fn the_repository_of_a_damaged_manifest(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let damaged = seed.image("a", 1).await?;
    let garbage_elsewhere = seed.image("b", 2).await?;
    let data = Entry::Blob(damaged.manifest.clone()).path();
    seed.put(&data, damaged.bytes.slice(..damaged.bytes.len() - 1)).await?;
    expect_kept(&ctx, &garbage_elsewhere.files("b"), data).await
}

async fn the_repository_of_an_unreadable_tag(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    seed.image("a", 1).await?;
    let garbage_elsewhere = seed.image("b", 2).await?;
    let current = Entry::TagCurrent(name("a"), tag("latest")).path();
    seed.put(&current, "sha256:rubbish").await?;
    expect_kept(&ctx, &garbage_elsewhere.files("b"), current).await
}

/// The tag points at a manifest of its history, and at nothing else.
async fn what_an_unreadable_tag_has_pointed_at(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    for content in ["sha256:rubbish", ""] {
        let kept = seed.image("a", 1).await?;
        let garbage = seed.image("a", 2).await?;
        let current = Entry::TagCurrent(name("a"), tag("latest")).path();
        seed.history("a", "latest", &kept.manifest).await?;
        seed.put(&current, content).await?;
        expect_kept(&ctx, &garbage.files("a"), current).await?;
    }
    Ok(())
}

/// A bit that has changed makes a link name another digest, which no content has. The tag never pointed there.
async fn what_a_tag_has_pointed_at_that_names_what_never_was(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let kept = seed.image("a", 1).await?;
    let garbage = seed.image("a", 2).await?;
    seed.tag("a", "latest", &kept.manifest).await?;
    let current = Entry::TagCurrent(name("a"), tag("latest")).path();
    seed.put(&current, Digest::sha256_of(b"what never was").to_string()).await?;
    expect_kept(&ctx, &garbage.files("a"), current.clone()).await?;
    expect_kept(&ctx, &[], current).await
}

/// An interrupted deletion or push leaves this. Clients cannot pull it, and an operator may repair it.
async fn what_a_tag_without_a_revision_link_points_at(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let tagged = seed.image("a", 1).await?;
    seed.tag("a", "latest", &tagged.manifest).await?;
    ctx.driver().delete(&Entry::RevisionLink(name("a"), tagged.manifest.clone()).path()).await?;
    let current = Entry::TagCurrent(name("a"), tag("latest")).path();
    for delete_untagged in [false, true] {
        let report = keeps(&ctx, delete_untagged).await?;
        let reported: Vec<&str> =
            report.unreadable.iter().map(|unreadable| unreadable.path.as_str()).collect();
        equal(reported, [current.as_str()], "what is reported")?;
    }
    Ok(())
}

/// Clients written in Go read `Layers` as `layers`; CNCF Distribution accepted such manifests.
async fn what_keys_in_other_letters_refer_to(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let [config, layer] = [seed.blob(&bytes(1, 10)).await?, seed.blob(&bytes(2, 10)).await?];
    seed.layer("a", &config).await?;
    seed.layer("a", &layer).await?;
    let text = String::from_utf8(image(&config, &[layer], None).to_vec())?;
    let manifest = seed.manifest("a", &text.replacen("\"layers\"", "\"Layers\"", 1).into()).await?;
    seed.tag("a", "latest", &manifest).await?;
    keeps_everything(&ctx, true).await?;
    keeps_everything(&ctx, false).await
}

/// The collector keeps an alias of unknown meaning, and nothing else, unless a manifest refers to it.
async fn an_unreadable_alias(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let garbage = seed.image("a", 1).await?;
    let alias = Digest::of(Algorithm::Sha512, &garbage.bytes);
    let link = Entry::RevisionLink(name("a"), alias.clone()).path();
    seed.put(&link, "sha256:rubbish").await?;
    expect_kept(&ctx, &garbage.files("a"), link.clone()).await?;
    let kept = seed.image("a", 1).await?;
    let index = seed.manifest("a", &index(&[alias])).await?;
    seed.tag("a", "latest", &index).await?;
    let report = keeps(&ctx, true).await?;
    equal(report.unreadable.len(), 1, "the number of links that cannot be read")?;
    ensure(report.marked > kept.blobs.len() as u64, "what the index may refer to is not live")
}

async fn what_an_unreadable_link_is_about(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let blob = seed.blob(&bytes(1, 10)).await?;
    let link = seed.layer("a", &blob).await?;
    let garbage_elsewhere = seed.image("b", 2).await?;
    seed.put(&link, "").await?;
    expect_kept(&ctx, &garbage_elsewhere.files("b"), link).await
}

async fn everything_that_a_manifest_of_schema_1_names(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let layer = seed.blob(&bytes(1, 10)).await?;
    seed.layer("a", &layer).await?;
    let unnamed = seed.blob(&bytes(2, 10)).await?;
    let unnamed_link = seed.layer("a", &unnamed).await?;
    let schema1 = json!({ "schemaVersion": 1, "name": "a", "fsLayers": [{ "blobSum": layer.to_string() }] });
    let digest = seed.manifest("a", &schema1.to_string().into()).await?;
    expect_kept(&ctx, &[unnamed_link, Entry::Blob(unnamed).path()], Entry::Blob(digest).path()).await
}

async fn files_that_are_none_of_ours(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for file in [
        "/scheduler-state.json".to_owned(),
        "/docker/registry/v2/repositories/a/_manifests/README".to_owned(),
        format!("/docker/registry/v2/blobs/sha256/e3/{hex}/data.bak"),
        format!(
            "/docker/registry/v2/repositories/a/_manifests/revisions/sha256/{hex}/signatures/sha256/{hex}/link"
        ),
    ] {
        seed.put(&path(&file), "foreign").await?;
    }
    let report = keeps(&ctx, true).await?;
    equal(report.foreign, 3, "the number of foreign files where the collector looks")
}

/// Without a volume that is not mounted, all data look gone. Links, records of removals and the survey stay until a user
/// confirms that the data are lost.
async fn everything_when_all_data_are_out_of_sight(ctx: Context) -> Result<(), Failed> {
    for delete_untagged in [false, true] {
        let seed = Seed::new(ctx.driver());
        let (tagged, untagged) = (seed.image("a", 1).await?, seed.image("b", 2).await?);
        seed.tag("a", "latest", &tagged.manifest).await?;
        let removal = Entry::RemovedTag(name("a"), tag("old"), 1 << 41, tagged.manifest.clone()).path();
        seed.put(&removal, "{}").await?;
        collect_later(ctx.driver(), &options(false)).await?;
        let survey = ctx.driver().get_content(&Entry::Survey.path()).await?;
        let blobs = layout::blobs_root();
        ctx.driver().delete_tree(&blobs).await?;
        let before = paths(ctx.driver()).await?;
        for dry_run in [false, true] {
            let options = Options { dry_run, ..options(delete_untagged) };
            let report = collect_later(ctx.driver(), &options).await?;
            expect_gone(ctx.driver(), &before, &BTreeSet::new()).await?;
            let reported = report.unreadable.iter().find(|file| file.path == blobs.as_str());
            let reason = reported.map(|file| file.reason.as_str()).unwrap_or_default();
            ensure(
                reason.contains("mount") && reason.contains("--yes"),
                format_args!("the report says {:?}", report.unreadable),
            )?;
            equal(report.unseen, 1, "the places that cannot be seen")?;
        }
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        let later = Clock::new(move || SystemTime::now() + month);
        let registry = Registry::builder(ctx.driver().clone()).clock(later).build();
        let walked = gc::survey(&registry, 0.0, &options(false).stop).await;
        ensure(
            matches!(&walked, Err(gc::Error::Unseen { path, .. }) if *path == blobs.as_str()),
            format_args!("a survey without data is {walked:?}"),
        )?;
        equal(ctx.driver().get_content(&Entry::Survey.path()).await?, survey, "the survey")?;

        let confirmed = Options { confirmed: true, ..options(delete_untagged) };
        collect_later(ctx.driver(), &confirmed).await?;
        let left = paths(ctx.driver()).await?;
        let link = |name, image: &Image| Entry::RevisionLink(name, image.manifest.clone()).path();
        ensure(!left.contains(&link(name("b"), &untagged)), "a link to lost data is left")?;
        ensure(left.contains(&link(name("a"), &tagged)), "the link of a tagged manifest is gone")?;
        ctx.driver().delete_tree(&path("/docker")).await?;
    }
    Ok(())
}

/// Collects, and checks that nothing is gone.
async fn keeps(ctx: &Context, delete_untagged: bool) -> Result<Report, Failed> {
    let before = paths(ctx.driver()).await?;
    let report = collect_later(ctx.driver(), &options(delete_untagged)).await?;
    expect_gone(ctx.driver(), &before, &BTreeSet::new()).await?;
    Ok(report)
}

async fn keeps_everything(ctx: &Context, delete_untagged: bool) -> Result<(), Failed> {
    let report = keeps(ctx, delete_untagged).await?;
    ensure(report.is_complete(), format_args!("something could not be read: {:?}", report.unreadable))
}

/// The store may still carry out an announced deletion, also one that was interrupted a minute ago. A push must see its notice,
/// whatever the grace period is.
async fn an_announced_deletion(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let image = seed.image("a", 1).await?;
    seed.tag("a", "latest", &image.manifest).await?;
    let (removals, uuid) = (layout::removals(&name("a")), "0b1c7f0e-8a52-4a3c-9d0e-2f1f5f3b6a77");
    let digest = &image.manifest;
    let of_manifest = format!("{removals}/manifests/{}/{}/{uuid}", digest.algorithm(), digest.hex());
    let notices = [format!("{removals}/tags/latest/{uuid}"), of_manifest].map(|notice| path(&notice));
    for notice in &notices {
        ensure(Entry::parse(notice).is_some(), format_args!("{notice} is no notice"))?;
        seed.put(notice, "").await?;
    }
    let before = paths(ctx.driver()).await?;
    let minute = SystemTime::now() + Duration::from_secs(60);
    collect_at(ctx.driver(), &options(true), minute).await?;
    expect_gone(ctx.driver(), &before, &BTreeSet::new()).await?;
    collect_later(ctx.driver(), &options(true)).await?;
    expect_gone(ctx.driver(), &before, &notices.into()).await
}

/// Collects untagged manifests, and checks that exactly `gone` is deleted and that `unreadable` is reported.
async fn expect_kept(ctx: &Context, gone: &[DriverPath], unreadable: DriverPath) -> Result<(), Failed> {
    let before = paths(ctx.driver()).await?;
    let report = collect_later(ctx.driver(), &options(true)).await?;
    expect_gone(ctx.driver(), &before, &gone.iter().cloned().collect()).await?;
    let reported: Vec<&str> = report.unreadable.iter().map(|unreadable| unreadable.path.as_str()).collect();
    equal(reported, [unreadable.as_str()], "what is reported as unreadable")
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::keeps_live":
    children_of_an_index_that_is_sparse_elsewhere,
    what_is_attached_to_a_live_manifest,
    blobs_that_an_index_lists,
    children_that_are_linked_like_layers,
    what_is_young,
    an_announced_deletion,
    the_repository_of_an_unreadable_manifest,
    the_repository_of_a_damaged_manifest,
    the_repository_of_an_unreadable_tag,
    what_an_unreadable_tag_has_pointed_at,
    what_a_tag_has_pointed_at_that_names_what_never_was,
    what_a_tag_without_a_revision_link_points_at,
    what_keys_in_other_letters_refer_to,
    an_unreadable_alias,
    what_an_unreadable_link_is_about,
    everything_that_a_manifest_of_schema_1_names,
    files_that_are_none_of_ours,
    everything_when_all_data_are_out_of_sight,
];
