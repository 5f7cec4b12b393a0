//! The collector evicts manifests from caches of other registries: those not used for long, and those used longest ago.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sampan_driver::{DriverPath, StorageDriver};
use sampan_engine::caches::CachePrefixes;
use sampan_engine::gc::{Amount, Error, Eviction, Options, Scope, UNASKED_BYTES, collect};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::Digest;
use sampan_engine::{Clock, Limits, Registry};

use super::collector::{expect_gone, options, paths};
use super::seed::{Image, Seed, image, index, name, tag};
use crate::check::{ensure, equal};
use crate::data::bytes;
use crate::{Clause, Context, Failed, clause::table};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// A registry with caches below `hub`, and how many seconds its clock is ahead.
pub(super) struct Caching {
    pub(super) registry: Registry,
    ahead_secs: Arc<AtomicU64>,
}

impl Caching {
    pub(super) fn new(driver: &Arc<dyn StorageDriver>) -> Self {
        Self::with(driver, CachePrefixes::below([name("hub"), name("quay")]))
    }

    /// The same, with a grace period for which it renews leases.
    pub(super) fn with_grace(driver: &Arc<dyn StorageDriver>, grace: Duration) -> Self {
        Self::of(driver, CachePrefixes::below([name("hub")]), Some(grace))
    }

    fn with(driver: &Arc<dyn StorageDriver>, caches: CachePrefixes) -> Self {
        Self::of(driver, caches, None)
    }

    fn of(driver: &Arc<dyn StorageDriver>, caches: CachePrefixes, grace: Option<Duration>) -> Self {
        let ahead_secs = Arc::new(AtomicU64::new(DAY));
        let (base, ahead) = (SystemTime::now(), ahead_secs.clone());
        let clock = Clock::new(move || base + Duration::from_secs(ahead.load(Ordering::Relaxed)));
        let limits = Limits { delete: true, ..Limits::default() };
        let builder = Registry::builder(driver.clone()).limits(limits).gc_grace(grace);
        Self { registry: builder.caches(caches).clock(clock).build(), ahead_secs }
    }

    /// Records a use on this day.
    fn used(&self, day: u64, repository: &str, manifest: &Digest) {
        self.ahead_secs.store(day * DAY, Ordering::Relaxed);
        self.registry.cache_uses().note_used(&name(repository), manifest);
    }

    /// The registry, so many hours after the store was written.
    pub(super) fn after_hours(self, hours: u64) -> Registry {
        self.ahead_secs.store(hours * HOUR, Ordering::Relaxed);
        self.registry
    }

    pub(super) fn at(&self, day: u64) -> &Registry {
        self.ahead_secs.store(day * DAY, Ordering::Relaxed);
        &self.registry
    }
}

/// Evicts what was not used for a week.
pub(super) fn weekly() -> Options {
    evicting(Eviction { ttl: Some(Duration::from_secs(7 * DAY)), ..Eviction::default() })
}

fn evicting(evict: Eviction) -> Options {
    Options { evict: Some(evict), ..options(false) }
}

/// The files of images in a repository.
fn files(repository: &str, images: &[&Image]) -> BTreeSet<DriverPath> {
    images.iter().flat_map(|image| image.files(repository)).collect()
}

/// The files of a tag.
fn tag_files(repository: &str, text: &str, manifest: &Digest) -> [DriverPath; 2] {
    let history = Entry::TagIndex(name(repository), tag(text), manifest.clone());
    [Entry::TagCurrent(name(repository), tag(text)).path(), history.path()]
}

async fn what_was_not_used_for_long(ctx: Context) -> Result<(), Failed> {
    let (seed, caching) = (Seed::new(ctx.driver()), Caching::new(ctx.driver()));
    let mut images = Vec::new();
    for number in 0..5 {
        images.push(seed.image("hub/app", number).await?);
    }
    let [old, used, by_digest, unknown, moved] = &images[..] else { unreachable!() };
    seed.tag("hub/app", "old", &old.manifest).await?;
    seed.tag("hub/app", "used", &used.manifest).await?;
    // Its tag has moved on.
    seed.history("hub/app", "used", &moved.manifest).await?;
    let ordinary = seed.image("hubble/app", 9).await?;
    seed.tag("hubble/app", "latest", &ordinary.manifest).await?;
    for (day, image) in [(2, old), (10, used), (9, by_digest), (3, moved)] {
        caching.used(day, "hub/app", &image.manifest);
    }
    let mut gone = files("hub/app", &[old, unknown, moved]);
    gone.extend(tag_files("hub/app", "old", &old.manifest));
    gone.insert(Entry::TagIndex(name("hub/app"), tag("used"), moved.manifest.clone()).path());
    let bytes: usize = [old, unknown, moved].iter().map(|image| image.bytes.len() + 300).sum();

    let before = paths(ctx.driver()).await?;
    // The ordinary rule about untagged manifests does not hold in a cache.
    let options = Options { delete_untagged: true, ..weekly() };
    let dry = collect(caching.at(12), &Options { dry_run: true, ..options.clone() }).await?;
    equal(paths(ctx.driver()).await?, before.clone(), "the store after a dry run")?;
    let report = collect(caching.at(12), &options).await?;
    expect_gone(ctx.driver(), &before, &gone).await?;
    for (report, which) in [(&dry, "of the dry run"), (&report, "of the collection")] {
        let ttl = Amount { count: 3, bytes: bytes as u64 };
        equal((report.evicted.ttl, report.evicted.size), (ttl, Amount::default()), which)?;
        equal((report.evicted.tags, report.manifests, report.blobs.count), (1, 3, 12), which)?;
        let sizes: Vec<_> = report.caches.iter().map(|size| size.bytes).collect();
        let left = [used, by_digest].iter().map(|image| image.bytes.len() as u64 + 300).sum::<u64>();
        // Below `quay`, below `hub`, and all together.
        equal(sizes, vec![0, left, left], which)?;
    }
    equal(caching.registry.cache_bytes().all(), report.caches[2].bytes, "the bytes that the registry knows")?;
    let left = ctx.driver().walk(&layout::removed_root(), None);
    equal(futures::StreamExt::count(left).await, 0, "the number of records of removed tags")?;
    let again = collect(caching.at(12), &options).await?;
    equal((again.evicted.ttl.count, again.blobs.count), (0, 0), "what a second collection finds")
}

async fn what_was_used_longest_ago_until_caches_are_within_their_bounds(ctx: Context) -> Result<(), Failed> {
    let (seed, caching) = (Seed::new(ctx.driver()), Caching::new(ctx.driver()));
    let mut images = Vec::new();
    for number in 0..10 {
        let repository = if number < 6 { "hub/app" } else { "quay/app" };
        let image = seed.image(repository, number).await?;
        caching.used(2 + number, repository, &image.manifest);
        images.push(image);
    }
    let each = images[0].bytes.len() as u64 + 300;
    // Its layers are needed outside: it is of no use to evict it for the bound of all.
    for blob in &images[6].blobs {
        seed.layer("own", blob).await?;
    }
    let manifest = seed.manifest("own", &images[6].bytes).await?;
    seed.tag("own", "latest", &manifest).await?;
    let evict = Eviction {
        max_bytes: Some(6 * each),
        max_bytes_below: HashMap::from([("hub".to_owned(), 5 * each)]),
        ..Eviction::default()
    };
    let before = paths(ctx.driver()).await?;
    let report = collect(caching.at(12), &evicting(evict)).await?;
    // Below `hub`, 6 are more than 5, so 4 may stay (4.5). Then all 7 are more than 6, so 5 may stay (5.4).
    let gone = files("hub/app", &[&images[0], &images[1], &images[2], &images[3]]);
    expect_gone(ctx.driver(), &before, &gone).await?;
    equal(report.evicted.size, Amount { count: 4, bytes: 4 * each }, "what was evicted")?;
    let sizes: Vec<_> = report.caches.iter().map(|size| (size.prefix.clone(), size.bytes)).collect();
    let expected = [(Some("quay"), 3 * each), (Some("hub"), 2 * each), (None, 5 * each)];
    equal(sizes, expected.map(|(prefix, bytes)| (prefix.map(str::to_owned), bytes)).to_vec(), "the sizes")
}

async fn an_index_before_its_children_and_artifacts_with_their_subject(ctx: Context) -> Result<(), Failed> {
    let (seed, caching) = (Seed::new(ctx.driver()), Caching::new(ctx.driver()));
    let mut images = Vec::new();
    for number in 0..6 {
        images.push(seed.image("hub/app", number).await?);
    }
    let [used_child, child, shared, old_child, signed, config] = &images[..] else { unreachable!() };
    let children = |images: &[&Image]| index(&images.iter().map(|i| i.manifest.clone()).collect::<Vec<_>>());
    // Only a child was used lately.
    let by_child = seed.manifest("hub/app", &children(&[used_child, child])).await?;
    // An older index of the same image shares a child with the one that was used.
    let older = seed.manifest("hub/app", &children(&[shared, old_child])).await?;
    let newer = seed.manifest("hub/app", &children(&[shared])).await?;
    let signature = image(&config.blobs[0], &[], Some(&signed.manifest));
    let signature = seed.manifest("hub/app", &signature).await?;
    for (day, manifest) in [
        (10, &used_child.manifest),
        (2, &older),
        (10, &newer),
        (10, &shared.manifest),
        (3, &signed.manifest),
        (10, &signature),
        (10, &config.manifest),
    ] {
        caching.used(day, "hub/app", manifest);
    }
    let mut gone = files("hub/app", &[old_child, signed]);
    for manifest in [&older, &signature] {
        gone.insert(Entry::Fetched(name("hub/app"), manifest.clone()).path());
        gone.insert(Entry::RevisionLink(name("hub/app"), manifest.clone()).path());
        gone.insert(Entry::Blob(manifest.clone()).path());
    }
    let before = paths(ctx.driver()).await?;
    collect(caching.at(12), &weekly()).await?;
    expect_gone(ctx.driver(), &before, &gone).await?;
    ensure(paths(ctx.driver()).await?.contains(&Entry::Blob(by_child).path()), "the index of a used child")
}

/// Blobs are fetched when a client asks for them, so a cache may lack them; so does one that Distribution has filled.
async fn nothing_is_damaged_that_a_cache_lacks(ctx: Context) -> Result<(), Failed> {
    let (seed, caching) = (Seed::new(ctx.driver()), Caching::new(ctx.driver()));
    let (partial, lost, broken, dangling) = (
        seed.image("hub/app", 1).await?,
        seed.image("hub/app", 2).await?,
        seed.image("hub/broken", 3).await?,
        seed.image("hub/app", 4).await?,
    );
    for blob in &partial.blobs {
        seed.remove(Entry::LayerLink(name("hub/app"), blob.clone())).await?;
        seed.remove(Entry::Blob(blob.clone())).await?;
    }
    for (text, image) in [("partial", &partial), ("lost", &lost), ("dangling", &dangling)] {
        seed.tag("hub/app", text, &image.manifest).await?;
        caching.used(10, "hub/app", &image.manifest);
    }
    caching.used(10, "hub/broken", &broken.manifest);
    let before_loss = paths(ctx.driver()).await?;
    seed.remove(Entry::Blob(lost.manifest.clone())).await?;
    seed.put(&Entry::Blob(broken.manifest.clone()).path(), "{").await?;
    seed.remove(Entry::RevisionLink(name("hub/app"), dangling.manifest.clone())).await?;
    let report = collect(caching.at(12), &weekly()).await?;
    ensure(report.is_complete(), format_args!("it reports {:?}", report.unreadable))?;
    equal(report.evicted.ttl.count + report.evicted.size.count, 0, "what was evicted")?;
    let mut gone = files("hub/app", &[&lost, &dangling]);
    gone.extend(files("hub/broken", &[&broken]));
    gone.extend(tag_files("hub/app", "lost", &lost.manifest));
    gone.extend(tag_files("hub/app", "dangling", &dangling.manifest));
    expect_gone(ctx.driver(), &before_loss, &gone).await
}

async fn nothing_else_when_only_caches_are_collected(ctx: Context) -> Result<(), Failed> {
    let (seed, caching) = (Seed::new(ctx.driver()), Caching::new(ctx.driver()));
    let (cached, tagged) = (seed.image("hub/app", 1).await?, seed.image("own", 2).await?);
    seed.tag("own", "latest", &tagged.manifest).await?;
    // Garbage of the repository: an untagged manifest, a layer that no manifest needs, an old entry of a history.
    let untagged = seed.image("own", 3).await?;
    seed.history("own", "latest", &Digest::sha256_of(b"gone")).await?;
    let layer = seed.blob(&bytes(77, 100)).await?;
    seed.layer("own", &layer).await?;
    // A manifest that was deleted with its tag can be restored.
    let restorable = seed.blob(&image(&layer, &[], None)).await?;
    let record = Entry::RemovedTag(name("own"), tag("v1"), 1_700_000_000_000, restorable);
    seed.put(&record.path(), "{}").await?;
    let orphan = seed.blob(&bytes(78, 100)).await?;
    let before = paths(ctx.driver()).await?;
    let options = Options { scope: Scope::Caches, delete_untagged: true, ..weekly() };
    let report = collect(caching.at(12), &options).await?;
    let mut gone = files("hub/app", &[&cached]);
    gone.insert(Entry::Blob(orphan).path());
    expect_gone(ctx.driver(), &before, &gone).await?;
    equal(report.evicted.ttl.count, 1, "what was evicted")?;

    let options = Options { delete_untagged: true, ..weekly() };
    collect(caching.at(12), &options).await?;
    let left = paths(ctx.driver()).await?;
    ensure(!left.contains(&Entry::Blob(untagged.manifest).path()), "a collection of all leaves the rest")
}

/// The bound of a collection is for mistakes; that of a cache is the user's.
async fn however_much_that_is(ctx: Context) -> Result<(), Failed> {
    let (seed, caching) = (Seed::new(ctx.driver()), Caching::new(ctx.driver()));
    let large = |number| bytes(number, UNASKED_BYTES as usize + 1);
    let layer = seed.blob(&large(1)).await?;
    seed.layer("hub/app", &layer).await?;
    let cached = seed.manifest("hub/app", &image(&layer, &[], None)).await?;
    let garbage = seed.blob(&large(2)).await?;
    seed.layer("own", &garbage).await?;
    let options = Options { max_delete_percent: 1, ..weekly() };
    let before = paths(ctx.driver()).await?;
    let result = collect(caching.at(12), &options).await;
    ensure(matches!(result, Err(Error::TooMuch(_))), format_args!("the garbage went: {result:?}"))?;
    let gone = [
        Entry::RevisionLink(name("hub/app"), cached.clone()).path(),
        Entry::Fetched(name("hub/app"), cached.clone()).path(),
        Entry::Blob(cached).path(),
        Entry::LayerLink(name("hub/app"), layer.clone()).path(),
        Entry::Blob(layer).path(),
    ];
    expect_gone(ctx.driver(), &before, &gone.into()).await
}

/// A link in a cache is young for the grace period of caches, and the data of its blobs are.
async fn nothing_that_was_fetched_a_moment_ago(ctx: Context) -> Result<(), Failed> {
    let (seed, caching) = (Seed::new(ctx.driver()), Caching::new(ctx.driver()));
    let (cached, own) = (seed.image("hub/app", 1).await?, seed.image("own", 2).await?);
    caching.used(0, "hub/app", &cached.manifest);
    let evict = |grace| Eviction { max_bytes: Some(0), grace, ..Eviction::default() };
    let options = |grace| Options { grace: Duration::from_secs(DAY), ..evicting(evict(grace)) };
    let before = paths(ctx.driver()).await?;
    caching.ahead_secs.store(2 * HOUR, Ordering::Relaxed);
    let early = Options { dry_run: true, ..options(Duration::from_secs(3 * HOUR)) };
    let report = collect(&caching.registry, &early).await?;
    equal((report.evicted.size.count, report.blobs.count), (0, 0), "what would be evicted early")?;
    collect(&caching.registry, &options(Duration::from_secs(HOUR))).await?;
    let mut gone = files("hub/app", &[&cached]);
    // Its data are the lease file of a manifest for every repository.
    gone.remove(&Entry::Blob(cached.manifest).path());
    expect_gone(ctx.driver(), &before, &gone).await?;
    ensure(paths(ctx.driver()).await?.contains(&Entry::Blob(own.manifest).path()), "an ordinary manifest")
}

async fn nothing_while_it_is_offline(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let caching = Caching::with(ctx.driver(), CachePrefixes::everything());
    let (tagged, untagged) = (seed.image("a", 1).await?, seed.image("a", 2).await?);
    seed.tag("a", "latest", &tagged.manifest).await?;
    let before = paths(ctx.driver()).await?;
    collect(caching.at(100), &options(true)).await?;
    expect_gone(ctx.driver(), &before, &BTreeSet::new()).await?;
    ensure(before.contains(&Entry::Blob(untagged.manifest).path()), "the untagged manifest")
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::evicts":
    what_was_not_used_for_long,
    what_was_used_longest_ago_until_caches_are_within_their_bounds,
    an_index_before_its_children_and_artifacts_with_their_subject,
    nothing_is_damaged_that_a_cache_lacks,
    nothing_else_when_only_caches_are_collected,
    however_much_that_is,
    nothing_that_was_fetched_a_moment_ago,
    nothing_while_it_is_offline,
];
