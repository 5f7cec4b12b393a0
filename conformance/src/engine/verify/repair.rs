//! Repairs: a push, memory or another place heals, and nothing is lost on the way.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{BoxError, ByteRange, DriverPath, Operation, PutMode, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Digest, Reference};
use sampan_engine::verify::{HealRequest, HealSource, Options, RepairOutcome, Report, verify};
use sampan_engine::{Body, Clock, Error, Registry, gc};

use super::super::client::{Client, Image, body, name, tag};
use super::find::kind_of;
use super::seed::{damage, files, later, options, seeded};
use crate::check::{ensure, equal};
use crate::faulty::{Fault, Faulty};
use crate::hooked::{Hook, Hooked};
use crate::{Context, Failed};

pub(super) async fn a_push_anywhere_heals_what_was_moved_aside(ctx: Context) -> Result<(), Failed> {
    let (_, [image, _]) = seeded(&ctx).await?;
    let layer = damage(&ctx, &image.layers[0]).await?;
    let manifest = damage(&ctx, &image.manifest).await?;
    let client = later(&ctx).await?;
    let report = verify(&client.registry, &options(true)).await?;
    let moved: Vec<_> =
        report.problems.iter().map(|it| matches!(it.outcome, RepairOutcome::MovedAside(_))).collect();
    equal(moved, vec![true, true], format_args!("whether both were moved: {report:?}"))?;
    let aside: Vec<_> =
        files(ctx.driver()).await?.into_keys().filter(|path| path.as_str().contains("/damaged/")).collect();
    equal(aside.len(), 4, "data and notes")?;
    let again = verify(&client.registry, &options(true)).await?;
    let kinds: Vec<_> = again.problems.iter().map(|it| kind_of(&it.kind)).collect();
    // What the manifest needs is not known without it.
    equal(kinds, vec!["missing"], "what a second run finds")?;
    for repository in ["copy", "team/app"] {
        let blobs = client.repository(repository).blobs();
        let known = blobs.stat_and_lease(&layer).await;
        ensure(
            matches!(known, Err(Error::BlobUnknown(..))),
            format_args!("the layer in {repository}: {known:?}"),
        )?;
        let got = client.repository(repository).manifests().get(&Reference::Digest(manifest.clone())).await;
        ensure(matches!(got, Err(Error::ManifestUnknown(..))), format_args!("the manifest: {got:?}"))?;
    }
    client.push_image("copy", &image, "latest").await?;
    client.pulls("team/app", &image, tag("v1")).await?;
    let report = verify(&client.registry, &options(true)).await?;
    ensure(report.is_whole(), format_args!("after a push: {report:?}"))
}

pub(super) async fn links_are_written_and_memory_heals_manifests(ctx: Context) -> Result<(), Failed> {
    let (client, [image, other]) = seeded(&ctx).await?;
    client.pulls("copy", &image, tag("latest")).await?;
    let link = Entry::LayerLink(name("team/app"), Digest::sha256_of(&other.layers[0])).path();
    ctx.driver().delete(&link).await?;
    let wrong = Entry::RevisionLink(name("team/app"), other.digest()).path();
    ctx.driver().put_content(&wrong, image.digest().to_string().into(), PutMode::Overwrite).await?;
    damage(&ctx, &image.manifest).await?;
    let report = verify(&client.registry, &options(true)).await?;
    let mut outcomes: Vec<_> = report.problems.iter().map(|problem| problem.outcome.to_string()).collect();
    outcomes.sort_unstable();
    let linked = RepairOutcome::Linked.to_string();
    equal(
        outcomes,
        vec!["healed from memory".to_owned(), linked.clone(), linked],
        format_args!("{report:?}"),
    )?;
    ensure(report.is_whole() && report.count() == 3, format_args!("{report:?}"))?;
    let after = Client::of_another_process(&ctx).await?;
    after.pulls("team/app", &image, tag("v1")).await?;
    after.pulls("team/app", &other, tag("v2")).await?;
    let report = verify(&after.registry, &options(false)).await?;
    ensure(report.count() == 0, format_args!("{report:?}"))
}

/// Another place that has some content, and lies about some.
#[derive(Debug)]
pub(super) struct Elsewhere(pub(super) BTreeMap<Digest, Bytes>);

#[async_trait]
impl HealSource for Elsewhere {
    fn name(&self) -> String {
        "elsewhere".to_owned()
    }

    async fn open(&self, content: &HealRequest<'_>) -> Result<Option<Body>, BoxError> {
        ensure(!content.repositories.is_empty(), "a source must learn where to look")
            .map_err(|it| it.to_string())?;
        Ok(self.0.get(content.digest).map(|bytes| body([bytes.clone()])))
    }
}

pub(super) async fn content_of_another_place_is_compared_before_it_heals(ctx: Context) -> Result<(), Failed> {
    let (_, [image, other]) = seeded(&ctx).await?;
    let mut has = BTreeMap::new();
    for content in [&image.layers[0], &image.manifest, &other.config] {
        has.insert(damage(&ctx, content).await?, content.clone());
    }
    let missing = Digest::sha256_of(&image.layers[1]);
    ctx.driver().delete(&Entry::Blob(missing.clone()).path()).await?;
    has.insert(missing, image.layers[1].clone());
    let lie = Digest::sha256_of(&other.config);
    has.insert(lie.clone(), Bytes::from_static(b"something else"));
    let client = later(&ctx).await?;
    let source: Arc<dyn HealSource> = Arc::new(Elsewhere(has));
    let report = verify(&client.registry, &Options { source: Some(source), ..options(true) }).await?;
    let healed = RepairOutcome::Healed("elsewhere".to_owned());
    // The missing layer is found when its manifest is healed.
    equal(report.problems.iter().filter(|it| it.outcome == healed).count(), 3, format_args!("{report:?}"))?;
    let aside: Vec<_> =
        report.problems.iter().filter(|it| matches!(it.outcome, RepairOutcome::MovedAside(_))).collect();
    equal(aside.iter().map(|it| it.digest.clone()).collect::<Vec<_>>(), vec![Some(lie)], "what was moved")?;
    Client::of_another_process(&ctx).await?.pulls("team/app", &image, tag("v1")).await
}

/// Brings the good bytes right before the damaged ones are moved.
struct LatePush {
    driver: Arc<dyn StorageDriver>,
    path: DriverPath,
    content: Bytes,
}

impl fmt::Debug for LatePush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatePush").field("path", &self.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl Hook for LatePush {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        if operation == Operation::Rename && *path == self.path {
            self.driver.put_content(path, self.content.clone(), PutMode::Overwrite).await?;
        }
        Ok(())
    }
}

pub(super) async fn what_a_push_brings_meanwhile_is_not_lost(ctx: Context) -> Result<(), Failed> {
    let (_, [image, _]) = seeded(&ctx).await?;
    let layer = damage(&ctx, &image.layers[0]).await?;
    let path = Entry::Blob(layer).path();
    let hook = LatePush { driver: ctx.driver().clone(), path, content: image.layers[0].clone() };
    let hooked: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), Arc::new(hook)));
    // An hour later no push seems to continue.
    let now = SystemTime::now() + Duration::from_secs(3600);
    let registry = Registry::builder(hooked).clock(Clock::new(move || now)).build();
    let report = verify(&registry, &options(true)).await?;
    equal(report.count(), 1, format_args!("{report:?}"))?;
    Client::of_another_process(&ctx).await?.pulls("team/app", &image, tag("v1")).await?;
    let aside = files(ctx.driver()).await?.into_keys().find(|path| path.as_str().contains("/damaged/"));
    ensure(aside.is_none(), format_args!("{aside:?} is left"))
}

pub(super) async fn a_collection_keeps_what_a_moved_manifest_needs(ctx: Context) -> Result<(), Failed> {
    let (_, [image, other]) = seeded(&ctx).await?;
    damage(&ctx, &image.manifest).await?;
    let moved = verify(&later(&ctx).await?.registry, &options(true)).await?.moved();
    equal(moved, 1, "what was moved")?;
    let before = files(ctx.driver()).await?;
    let later = SystemTime::now() + Duration::from_secs(30 * 24 * 3600);
    let collector = Registry::builder(ctx.driver().clone()).clock(Clock::new(move || later)).build();
    let collection = gc::Options {
        delete_untagged: true,
        grace: Duration::ZERO,
        confirmed: true,
        ..gc::Options::default()
    };
    let report = gc::collect(&collector, &collection).await?;
    ensure(!report.is_complete(), "the collection says that it read everything")?;
    let after = files(ctx.driver()).await?;
    let lost: Vec<_> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    let is_upload = |path: &&&DriverPath| !path.as_str().contains("/_uploads/");
    ensure(!lost.iter().any(|path| is_upload(&path)), format_args!("the collection deleted {lost:?}"))?;
    let client = Client::of_another_process(&ctx).await?;
    client.push_manifest("copy", &image.manifest, tag("latest"), &[]).await?;
    client.pulls("team/app", &image, tag("v1")).await?;
    client.pulls("team/app", &other, tag("v2")).await
}

/// At every call of the driver: what was whole stays whole, and a push heals the rest.
pub(super) async fn a_crash_of_a_repair_loses_nothing(ctx: Context) -> Result<(), Failed> {
    let mut has_failed = false;
    for fault in [Fault::CrashAfter, Fault::Once] {
        for fails_at in ctx.moments(fault) {
            ctx.delete_tree("/").await?;
            let client = Client::of_another_process(&ctx).await?;
            let [image, other] = [Image::new(1), Image::new(2)];
            client.put_image("app", &image, "v1").await?;
            client.put_image("app", &other, "v2").await?;
            damage(&ctx, &image.layers[0]).await?;
            let faulty = Arc::new(Faulty::new(ctx.driver().clone(), fault, fails_at));
            let now = SystemTime::now() + Duration::from_secs(3600);
            let registry = Registry::builder(faulty.clone()).clock(Clock::new(move || now)).build();
            let _ = verify(&registry, &Options { structure: false, ..options(true) }).await;
            let within = |failed: Failed| failed.within(format_args!("{fault:?} at operation {fails_at}"));
            let after = async {
                let client = Client::of_another_process(&ctx).await?;
                client.pulls("app", &other, tag("v2")).await?;
                // The batch of a run that was killed makes a push wait; a store without it takes the push at once.
                ctx.delete_tree("/docker/registry/sampan/gc").await?;
                let client = Client::of_another_process(&ctx).await?;
                client.put_image("app", &image, "v1").await?;
                client.pulls("app", &image, tag("v1")).await?;
                let report: Report = verify(&client.registry, &options(true)).await?;
                ensure(report.is_whole(), format_args!("{report:?}"))
            };
            after.await.map_err(within)?;
            if !faulty.has_failed() {
                break;
            }
            has_failed = true;
        }
    }
    ensure(has_failed, "the repair does nothing")
}

/// The layer seems to be there, so the client sends the manifest, whose descriptor has another length: the answer names the
/// layer, the client sends it, and both are whole again.
pub(super) async fn a_push_that_meets_a_short_blob_heals_it(ctx: Context) -> Result<(), Failed> {
    let (_, [image, other]) = seeded(&ctx).await?;
    let (layer, short) = (Digest::sha256_of(&image.layers[0]), image.layers[0].slice(..1000));
    let path = Entry::Blob(layer.clone()).path();
    ctx.driver().put_content(&path, short.clone(), PutMode::Overwrite).await?;
    let client = Client::of_another_process(&ctx).await?;
    let blobs = client.repository("copy").blobs();
    equal(blobs.stat_and_lease(&layer).await?.size_bytes, 1000, "the length in the answer")?;
    let refused = client.push_manifest("copy", &image.manifest, tag("again"), &[]).await;
    let is_named =
        matches!(&refused, Err(Error::ManifestReferencesUnknown(missing)) if *missing == [layer.clone()]);
    ensure(is_named, format_args!("the manifest: {refused:?}"))?;
    let known = blobs.stat_and_lease(&layer).await;
    ensure(matches!(known, Err(Error::BlobUnknown(..))), format_args!("the layer after it: {known:?}"))?;
    let read = client.repository("team/app").blobs().read(&layer, ByteRange::ALL).await;
    ensure(matches!(read, Err(Error::BlobUnknown(..))), format_args!("a pull of the layer: {read:?}"))?;
    client.push_image("copy", &image, "again").await?;
    client.pulls("team/app", &image, tag("v1")).await?;
    // A descriptor that is wrong says nothing about the data.
    let text = String::from_utf8_lossy(&other.manifest).replace("\"size\":20000", "\"size\":20001");
    ensure(text.contains("20001"), "the test has another manifest in mind")?;
    client.push_manifest("team/app", &Bytes::from(text), tag("odd"), &[]).await?;
    client.pulls("team/app", &other, tag("v2")).await
}
