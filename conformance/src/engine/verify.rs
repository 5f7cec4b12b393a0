//! Verification: every damage is found and named, what is whole is left alone, and what is moved aside comes back by a push.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{
    BoxError, ByteRange, DriverError, DriverPath, ErrorKind, Operation, PutMode, StorageDriver,
};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest, Reference};
use sampan_engine::verify::{
    Ending, Event, HealSource, Observer, Options, Outcome, Problem, ProblemKind, Progress, Report, Start,
    VerificationTurn, Wanted, verify, verify_in_turn,
};
use sampan_engine::{Body, Clock, Error, Registry, StartUpload, gc};

use super::client::{Client, Image, body, index, name, tag};
use crate::check::{ensure, equal};
use crate::faulty::{Fault, Faulty};
use crate::hooked::{Hook, Hooked};
use crate::{Clause, Context, Failed, clause::table};

fn options(repair: bool) -> Options {
    Options { data: Some(Start::Beginning), repair, grace: Duration::ZERO, ..Options::default() }
}

/// Everything that a store can have: two repositories with a common image, an index, a signature, an alias, and an upload.
async fn seeded(ctx: &Context) -> Result<(Client, [Image; 2]), Failed> {
    let (client, images) = (Client::new(ctx.driver()), [Image::new(1), Image::new(2)]);
    client.push_image("team/app", &images[0], "v1").await?;
    client.push_image("copy", &images[0], "latest").await?;
    client.push_image("team/app", &images[1], "v2").await?;
    client.push_manifest("team/app", &index(&[&images[0], &images[1]]), tag("all"), &[]).await?;
    client.attach("team/app", "application/x.signature", &images[0].manifest).await?;
    let alias = Digest::of(Algorithm::Sha512, &images[1].manifest);
    client.push_manifest("team/app", &images[1].manifest, alias, &[]).await?;
    client.repository("copy").uploads().start(StartUpload::default()).await?;
    Ok((client, images))
}

/// A client of another process, an hour later: it has nothing in memory, and no push seems to go on.
async fn later(ctx: &Context) -> Result<Client, Failed> {
    let (driver, now) = (ctx.reopen().await?.driver().clone(), SystemTime::now() + Duration::from_secs(3600));
    let clock = Clock::new(move || now);
    Ok(Client { registry: Registry::builder(driver).clock(clock).blob_cache_bytes(0).build() })
}

async fn files(driver: &Arc<dyn StorageDriver>) -> Result<BTreeMap<DriverPath, Bytes>, Failed> {
    let paths: Vec<_> = driver.walk(&DriverPath::root(), None).map_ok(|file| file.path).try_collect().await?;
    let mut files = BTreeMap::new();
    for path in paths {
        files.insert(path.clone(), driver.get_content(&path).await?);
    }
    files.remove(&Entry::Verification.path());
    Ok(files)
}

async fn what_is_whole_is_counted_and_left_alone(ctx: Context) -> Result<(), Failed> {
    let (client, _) = seeded(&ctx).await?;
    let before = files(ctx.driver()).await?;
    for repair in [false, true] {
        for threads in [0, 2] {
            let report = verify(&client.registry, &Options { threads, ..options(repair) }).await?;
            ensure(report.is_whole() && report.ending == Ending::Finished, format_args!("{report:?}"))?;
            let Some(structure) = report.structure else { return Err(Failed::new("no structure was read")) };
            let counts = (structure.repositories, structure.tags, structure.manifests, structure.layer_links);
            equal(counts, (2, 4, 5, 10), "repositories, tags, manifests and links to layers")?;
            equal(
                (structure.foreign, structure.absent_children),
                (0, 0),
                "foreign files and absent children",
            )?;
            let Some(data) = report.data else { return Err(Failed::new("nothing was hashed")) };
            equal((data.blobs, data.of_blobs), (11, 11), "blobs")?;
            equal(data.bytes, data.of_bytes, "bytes")?;
            ensure(data.bytes > 40_000, format_args!("{data:?}"))?;
        }
    }
    ensure(files(ctx.driver()).await? == before, "a verification changed the store")?;
    let progress = Progress::read(&client.registry).await?;
    equal(progress.last.map(|last| (last.blobs, last.damaged)), Some((11, 0)), "the last cycle")
}

/// A damage to a file, by its content before.
type Damage = fn(&Bytes) -> Option<Bytes>;

/// A damage to a file, the kind of problem that it is, whether the structure alone shows it, and who needs the file.
type Row<'a> = (&'a str, &'a Entry, Damage, &'a str, bool, &'a [(&'a str, Vec<&'a str>)]);

const FLIPPED: Damage = |content| {
    let mut content = content.to_vec();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    Some(content.into())
};
const CUT: Damage = |content| Some(content.slice(..content.len() - 1));
const LONGER: Damage = |content| Some([content, &b"x"[..]].concat().into());
const EMPTY: Damage = |_| Some(Bytes::new());
const GONE: Damage = |_| None;

/// Each damage, the kind of problem that it is, and whether the structure alone shows it.
async fn each_damage_is_found_and_its_images_are_named(ctx: Context) -> Result<(), Failed> {
    let (client, [image, _]) = seeded(&ctx).await?;
    let blob = |content: &Bytes| Entry::Blob(Digest::sha256_of(content));
    let (layer, config, manifest) = (blob(&image.layers[0]), blob(&image.config), blob(&image.manifest));
    let link = Entry::LayerLink(name("team/app"), Digest::sha256_of(&image.layers[0]));
    let revision = Entry::RevisionLink(name("team/app"), image.digest());
    let current = Entry::TagCurrent(name("team/app"), tag("v1"));
    let both = [("copy", vec!["latest"]), ("team/app", vec!["all", "v1"])];
    let one = [("team/app", vec!["all", "v1"])];
    let rows: [Row<'_>; 17] = [
        ("a bit of a layer", &layer, FLIPPED, "damaged", false, &both),
        ("the end of a layer", &layer, CUT, "damaged", true, &both),
        ("a longer layer", &layer, LONGER, "damaged", true, &both),
        ("an empty layer", &layer, EMPTY, "damaged", true, &both),
        ("a missing layer", &layer, GONE, "missing", true, &both),
        ("a bit of a configuration", &config, FLIPPED, "damaged", false, &both),
        ("a missing configuration", &config, GONE, "missing", true, &both),
        ("a bit of a manifest", &manifest, FLIPPED, "damaged", true, &both),
        ("the end of a manifest", &manifest, CUT, "damaged", true, &both),
        ("an empty manifest", &manifest, EMPTY, "damaged", true, &both),
        ("a missing manifest", &manifest, GONE, "missing", true, &both),
        ("a missing link", &link, GONE, "linkMissing", true, &one),
        ("an empty link", &link, EMPTY, "linkMissing", true, &one),
        ("a bit of a link", &link, FLIPPED, "linkDamaged", false, &[]),
        ("a bit of a manifest's link", &revision, FLIPPED, "linkDamaged", false, &[]),
        ("a missing manifest's link", &revision, GONE, "tagDangling", true, &[]),
        ("the end of a tag", &current, CUT, "tagDamaged", true, &[]),
    ];
    for (what, entry, damage, kind, is_structure, needed_by) in rows {
        let path = entry.path();
        let content = ctx.driver().get_content(&path).await?;
        match damage(&content) {
            Some(damaged) => ctx.driver().put_content(&path, damaged, PutMode::Overwrite).await?,
            None => ctx.driver().delete(&path).await?,
        }
        let before = files(ctx.driver()).await?;
        for data in [Some(Start::Beginning), None] {
            let report = verify(&client.registry, &Options { data, ..options(false) }).await?;
            let is_expected = data.is_some() || is_structure;
            let found: Vec<_> = report.problems.iter().map(|problem| kind_of(&problem.kind)).collect();
            // A tag whose manifest has no link is a second finding where the link is damaged; nothing else is.
            let expected = if is_expected { vec![kind] } else { vec![] };
            ensure(found == expected, format_args!("{what}: {:?}", report.problems))?;
            let needs = report.problems.first().map(needs).unwrap_or_default();
            let wanted = if is_expected { needed_by } else { &[] };
            let wanted: Vec<_> = wanted.iter().map(|(name, tags)| (*name, tags.clone())).collect();
            let shown: Vec<_> = needs
                .iter()
                .map(|(name, tags)| (name.as_str(), tags.iter().map(String::as_str).collect()))
                .collect();
            equal(shown, wanted, format_args!("{what}: who needs it"))?;
        }
        ensure(files(ctx.driver()).await? == before, format_args!("{what}: a report changed the store"))?;
        ctx.driver().put_content(&path, content, PutMode::Overwrite).await?;
    }
    let report = verify(&client.registry, &options(false)).await?;
    ensure(report.is_whole(), format_args!("after all: {report:?}"))
}

fn kind_of(kind: &ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Damaged { .. } => "damaged",
        ProblemKind::Missing => "missing",
        ProblemKind::Unreadable { .. } => "unreadable",
        ProblemKind::LinkMissing => "linkMissing",
        ProblemKind::LinkDamaged { .. } => "linkDamaged",
        ProblemKind::TagDangling { .. } => "tagDangling",
        ProblemKind::TagDamaged { .. } => "tagDamaged",
    }
}

/// Repositories and tags of those that need it.
fn needs(problem: &Problem) -> BTreeMap<String, Vec<String>> {
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for need in &problem.needed_by {
        needs.entry(need.repository.clone()).or_default().extend(need.tags.clone());
    }
    needs.values_mut().for_each(|tags| {
        tags.sort_unstable();
        tags.dedup();
    });
    needs
}

/// Puts damaged bytes in the place of a blob.
async fn damage(ctx: &Context, content: &Bytes) -> Result<Digest, Failed> {
    let digest = Digest::sha256_of(content);
    let damaged = FLIPPED(content).unwrap_or_default();
    ctx.driver().put_content(&Entry::Blob(digest.clone()).path(), damaged, PutMode::Overwrite).await?;
    Ok(digest)
}

async fn a_push_anywhere_heals_what_was_moved_aside(ctx: Context) -> Result<(), Failed> {
    let (_, [image, _]) = seeded(&ctx).await?;
    let layer = damage(&ctx, &image.layers[0]).await?;
    let manifest = damage(&ctx, &image.manifest).await?;
    let client = later(&ctx).await?;
    let report = verify(&client.registry, &options(true)).await?;
    let moved: Vec<_> =
        report.problems.iter().map(|it| matches!(it.outcome, Outcome::MovedAside(_))).collect();
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

async fn links_are_written_and_memory_heals_manifests(ctx: Context) -> Result<(), Failed> {
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
    let linked = Outcome::Linked.to_string();
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
struct Elsewhere(BTreeMap<Digest, Bytes>);

#[async_trait]
impl HealSource for Elsewhere {
    fn name(&self) -> String {
        "elsewhere".to_owned()
    }

    async fn open(&self, content: &Wanted<'_>) -> Result<Option<Body>, BoxError> {
        ensure(!content.repositories.is_empty(), "a source must learn where to look")
            .map_err(|it| it.to_string())?;
        Ok(self.0.get(content.digest).map(|bytes| body([bytes.clone()])))
    }
}

async fn content_of_another_place_is_compared_before_it_heals(ctx: Context) -> Result<(), Failed> {
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
    let healed = Outcome::Healed("elsewhere".to_owned());
    // The missing layer is found when its manifest is healed.
    equal(report.problems.iter().filter(|it| it.outcome == healed).count(), 3, format_args!("{report:?}"))?;
    let aside: Vec<_> =
        report.problems.iter().filter(|it| matches!(it.outcome, Outcome::MovedAside(_))).collect();
    equal(aside.iter().map(|it| it.digest.clone()).collect::<Vec<_>>(), vec![Some(lie)], "what was moved")?;
    Client::of_another_process(&ctx).await?.pulls("team/app", &image, tag("v1")).await
}

async fn a_run_that_was_stopped_goes_on_where_it_was(ctx: Context) -> Result<(), Failed> {
    let (client, [image, _]) = seeded(&ctx).await?;
    damage(&ctx, &image.layers[1]).await?;
    let (mut hashed, mut runs) = (0, 0);
    loop {
        let base = Options { structure: false, data: Some(Start::Continue), ..options(false) };
        let (seen, stop) = (Arc::new(AtomicU64::new(0)), base.stop.clone());
        let observer = Observer::new({
            let seen = seen.clone();
            move |event| {
                if matches!(event, Event::Hashed(_)) && seen.fetch_add(1, Ordering::SeqCst) == 2 {
                    stop.cancel();
                }
            }
        });
        let report = verify(&client.registry, &Options { observer: Some(observer), ..base }).await?;
        let Some(data) = report.data else { return Err(Failed::new("nothing was hashed")) };
        equal(data.blobs_before, hashed, "blobs of earlier runs")?;
        hashed += data.blobs;
        runs += 1;
        if report.ending == Ending::Finished {
            break;
        }
        ensure(runs < 20, "it never ends")?;
    }
    equal(hashed, 11, "blobs of all runs")?;
    let last = Progress::read(&client.registry).await?.last;
    equal(last.map(|last| (last.blobs, last.damaged)), Some((11, 1)), "the cycle")?;
    // A part of a cycle.
    let half = Options { up_to: u64::MAX / 2, ..options(false) };
    let first = verify(&client.registry, &half).await?.data.map_or(0, |data| data.blobs);
    let second = verify(&client.registry, &Options { data: Some(Start::Continue), ..options(false) }).await?;
    let second = second.data.map_or(0, |data| data.blobs);
    ensure(first > 0 && second > 0 && first + second == 11, format_args!("{first} and {second}"))
}

async fn much_damage_moves_nothing(ctx: Context) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let mut damaged = 0;
    for number in 0..6 {
        let image = Image::new(number);
        client.push_image("app", &image, &format!("v{number}")).await?;
        for layer in &image.layers {
            damage(&ctx, layer).await?;
            damaged += 1;
        }
    }
    let before = files(ctx.driver()).await?;
    let report = verify(&client.registry, &options(true)).await?;
    equal(report.ending, Ending::TooMuch, "the end")?;
    equal((report.count(), report.moved()), (damaged, 0), "what was found and moved")?;
    let are_left = report.problems.iter().all(|problem| matches!(problem.outcome, Outcome::Left(_)));
    ensure(are_left, format_args!("{report:?}"))?;
    ensure(files(ctx.driver()).await? == before, "something was moved")?;
    // Nor is the store emptied part by part.
    let (client, mut moved, mut last) = (later(&ctx).await?, 0, Ending::Finished);
    for part in 1..=16 {
        let up_to = if part == 16 { u64::MAX } else { u64::MAX / 16 * part };
        let slice = Options { structure: false, data: Some(Start::Continue), up_to, ..options(true) };
        let report = verify(&client.registry, &slice).await?;
        moved += report.moved();
        if report.count() > 0 {
            last = report.ending;
        }
    }
    ensure(moved <= 10 && last == Ending::TooMuch, format_args!("{moved} were moved; at last {last:?}"))
}

/// Fails to read one file.
#[derive(Debug)]
struct BadSector(DriverPath);

#[async_trait]
impl Hook for BadSector {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        match operation {
            Operation::Reader | Operation::GetContent if *path == self.0 => {
                Err(DriverError::new(ErrorKind::Other, "test", operation, path).with_source("bad sector"))
            }
            _ => Ok(()),
        }
    }
}

async fn what_cannot_be_read_is_told_and_stays(ctx: Context) -> Result<(), Failed> {
    let (_, [image, _]) = seeded(&ctx).await?;
    let current = Entry::TagCurrent(name("copy"), tag("latest")).path();
    for path in
        [Entry::Blob(image.digest()).path(), Entry::Blob(Digest::sha256_of(&image.layers[0])).path(), current]
    {
        let before = files(ctx.driver()).await?;
        let bad: Arc<dyn StorageDriver> =
            Arc::new(Hooked::new(ctx.driver().clone(), Arc::new(BadSector(path.clone()))));
        let report = verify(&Registry::builder(bad).build(), &options(true)).await?;
        let found: Vec<_> = report.problems.iter().map(|it| (it.path.as_str(), kind_of(&it.kind))).collect();
        equal(found, vec![(path.as_str(), "unreadable")], format_args!("{report:?}"))?;
        ensure(files(ctx.driver()).await? == before, format_args!("{path} was changed"))?;
    }
    Ok(())
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

async fn what_a_push_brings_meanwhile_is_not_lost(ctx: Context) -> Result<(), Failed> {
    let (_, [image, _]) = seeded(&ctx).await?;
    let layer = damage(&ctx, &image.layers[0]).await?;
    let path = Entry::Blob(layer).path();
    let hook = LatePush { driver: ctx.driver().clone(), path, content: image.layers[0].clone() };
    let hooked: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), Arc::new(hook)));
    // An hour later no push seems to go on.
    let now = SystemTime::now() + Duration::from_secs(3600);
    let registry = Registry::builder(hooked).clock(Clock::new(move || now)).build();
    let report = verify(&registry, &options(true)).await?;
    equal(report.count(), 1, format_args!("{report:?}"))?;
    Client::of_another_process(&ctx).await?.pulls("team/app", &image, tag("v1")).await?;
    let aside = files(ctx.driver()).await?.into_keys().find(|path| path.as_str().contains("/damaged/"));
    ensure(aside.is_none(), format_args!("{aside:?} is left"))
}

async fn a_collection_keeps_what_a_moved_manifest_needs(ctx: Context) -> Result<(), Failed> {
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
async fn a_crash_of_a_repair_loses_nothing(ctx: Context) -> Result<(), Failed> {
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

/// A client that is told that a layer is there sends the manifest, whose descriptor says another length: it is told to send
/// the layer, and both is whole again.
async fn a_push_that_meets_a_short_blob_heals_it(ctx: Context) -> Result<(), Failed> {
    let (_, [image, other]) = seeded(&ctx).await?;
    let (layer, short) = (Digest::sha256_of(&image.layers[0]), image.layers[0].slice(..1000));
    let path = Entry::Blob(layer.clone()).path();
    ctx.driver().put_content(&path, short.clone(), PutMode::Overwrite).await?;
    let client = Client::of_another_process(&ctx).await?;
    let blobs = client.repository("copy").blobs();
    equal(blobs.stat_and_lease(&layer).await?.size_bytes, 1000, "the length that a client is told")?;
    let refused = client.push_manifest("copy", &image.manifest, tag("again"), &[]).await;
    let is_told =
        matches!(&refused, Err(Error::ManifestReferencesUnknown(missing)) if *missing == [layer.clone()]);
    ensure(is_told, format_args!("the manifest: {refused:?}"))?;
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

async fn of_several_registries_one_verifies_a_part(ctx: Context) -> Result<(), Failed> {
    seeded(&ctx).await?;
    let hour = Duration::from_secs(3600);
    let at = |hours: u32| {
        let now = SystemTime::now() + hours * hour;
        Registry::builder(ctx.driver().clone()).clock(Clock::new(move || now)).build()
    };
    let is_done = async |registry: &Registry| -> Result<bool, Failed> {
        Ok(matches!(verify_in_turn(registry, &options(false), hour).await?, VerificationTurn::Done(_)))
    };
    let read_only = at(0);
    read_only.set_read_only(true);
    ensure(is_done(&read_only).await.is_err(), "a read-only registry keeps progress")?;
    let first = at(0);
    equal(is_done(&first).await?, true, "whether the first registry verifies")?;
    equal(is_done(&at(0)).await?, false, "whether a second one does in the same hour")?;
    equal(is_done(&at(2)).await?, true, "whether one does two hours later")?;
    let turns: Vec<_> =
        files(ctx.driver()).await?.into_keys().filter(|it| it.as_str().contains("/turns/")).collect();
    equal(turns.len(), 1, "the records of turns")
}

pub(crate) const CLAUSES: &[Clause] = table! { "engine::verify":
    what_is_whole_is_counted_and_left_alone,
    each_damage_is_found_and_its_images_are_named,
    a_push_anywhere_heals_what_was_moved_aside,
    links_are_written_and_memory_heals_manifests,
    content_of_another_place_is_compared_before_it_heals,
    a_run_that_was_stopped_goes_on_where_it_was,
    much_damage_moves_nothing,
    what_cannot_be_read_is_told_and_stays,
    what_a_push_brings_meanwhile_is_not_lost,
    a_collection_keeps_what_a_moved_manifest_needs,
    a_crash_of_a_repair_loses_nothing,
    a_push_that_meets_a_short_blob_heals_it,
    of_several_registries_one_verifies_a_part,
};
