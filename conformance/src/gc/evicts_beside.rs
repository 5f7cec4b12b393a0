//! What a collection evicts from caches beside pushes, and where a store refuses a part of its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sampan_driver::{
    DriverError, DriverPath, ErrorKind, Operation, PutMode, StorageDriver, StorageDriverExt,
};
use sampan_engine::gc::{Eviction, Options, collect};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::Digest;
use sampan_engine::{CachedPut, Error, PutManifest, Registry};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

use super::evicts::{Caching, weekly};
use super::model::Offloaded;
use super::seed::{self, MANIFEST, Seed, name};
use crate::check::{ensure, equal};
use crate::hooked::{Hook, Hooked};
use crate::refusing::Refusing;
use crate::{Clause, Context, Failed, clause::table};

/// The failure of what a hook does before an operation.
fn failed<E: std::error::Error + Send + Sync + 'static>(
    operation: Operation,
    path: &DriverPath,
) -> impl FnOnce(E) -> DriverError {
    move |error| DriverError::new(ErrorKind::Other, "test", operation, path).with_source(error)
}

/// Stores the same manifest in another way just before its data or link is written.
#[derive(Debug)]
struct Meanwhile {
    registry: Registry,
    put: Put,
    has_begun: AtomicBool,
}

#[derive(Clone, Debug)]
enum Put {
    Fetched(CachedPut),
    Pushed(PutManifest),
}

impl Put {
    fn digest(&self) -> Digest {
        let (Self::Fetched(CachedPut { bytes, .. }) | Self::Pushed(PutManifest { bytes, .. })) = self;
        Digest::sha256_of(bytes)
    }

    async fn run(&self, registry: &Registry) -> Result<(), Error> {
        let repository = registry.repository(name("hub/app"));
        match self.clone() {
            Self::Fetched(put) => repository.manifests().put_cached(put).await.map(|_| ()),
            Self::Pushed(put) => repository.manifests().put(put).await.map(|_| ()),
        }
    }
}

#[async_trait]
impl Hook for Meanwhile {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        let data = Entry::Blob(self.put.digest()).path();
        let link = Entry::RevisionLink(name("hub/app"), self.put.digest()).path();
        let is_it =
            matches!(operation, Operation::PutAll | Operation::PutContent) && [data, link].contains(path);
        if is_it && !self.has_begun.swap(true, Ordering::SeqCst) {
            self.put.run(&self.registry).await.map_err(failed(operation, path))?;
        }
        Ok(())
    }
}

/// An image without its manifest's link; how a pull fetches that and how a client pushes it.
async fn image(ctx: &Context) -> Result<(Put, Put), Failed> {
    let seed = Seed::new(ctx.driver());
    let image = seed.image("hub/app", 1).await?;
    for entry in [Entry::RevisionLink, Entry::Fetched] {
        seed.remove(entry(name("hub/app"), image.manifest.clone())).await?;
    }
    let fetched = Put::Fetched(CachedPut {
        bytes: image.bytes.clone(),
        media_type: MANIFEST.to_owned(),
        digest: image.manifest.clone(),
        tags: Vec::new(),
    });
    let pushed = Put::Pushed(PutManifest {
        bytes: image.bytes.clone(),
        media_type: None,
        reference: image.manifest.clone().into(),
        tags: Vec::new(),
        left_out: Vec::new(),
    });
    Ok((fetched, pushed))
}

/// Stores a manifest with `put`, and in between with `other`. Nothing is evicted later.
async fn check_stays(ctx: &Context, put: Put, other: Put) -> Result<(), Failed> {
    let (registry, has_begun) = (Caching::new(ctx.driver()).registry, AtomicBool::new(false));
    let meanwhile = Arc::new(Meanwhile { registry, put: other, has_begun });
    let driver: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), meanwhile.clone()));
    put.run(&Caching::new(&driver).registry).await?;
    ensure(meanwhile.has_begun.load(Ordering::SeqCst), "the manifest was not stored in between")?;
    let report = collect(Caching::new(ctx.driver()).at(100), &weekly()).await?;
    equal(report.evicted.ttl.count, 0, "what was evicted of what a client pushed")
}

async fn nothing_that_a_client_pushed_while_it_was_fetched(ctx: Context) -> Result<(), Failed> {
    let (fetched, pushed) = image(&ctx).await?;
    check_stays(&ctx, pushed, fetched).await
}

/// The pull found no link, and marks the manifest after the push has answered.
async fn nothing_that_a_client_pushed_before_a_pull_marked_it(ctx: Context) -> Result<(), Failed> {
    let (fetched, pushed) = image(&ctx).await?;
    check_stays(&ctx, fetched, pushed).await
}

/// Else it would stay with all that a pull fetches again.
async fn what_was_pushed_deleted_and_fetched(ctx: Context) -> Result<(), Failed> {
    let (fetched, pushed) = image(&ctx).await?;
    let registry = Caching::new(ctx.driver()).registry;
    pushed.run(&registry).await?;
    registry.repository(name("hub/app")).manifests().delete(&fetched.digest().into()).await?;
    fetched.run(&registry).await?;
    let report = collect(Caching::new(ctx.driver()).at(100), &weekly()).await?;
    equal(report.evicted.ttl.count, 1, "what was evicted")
}

/// Holds a pull back before it writes, once it has found no link.
#[derive(Debug, Default)]
struct Gate {
    is_reached: Notify,
    is_open: Notify,
    has_begun: AtomicBool,
}

#[async_trait]
impl Hook for Gate {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, _: &DriverPath) -> sampan_driver::Result<()> {
        let writes = matches!(operation, Operation::PutAll | Operation::PutContent);
        if writes && !self.has_begun.swap(true, Ordering::SeqCst) {
            self.is_reached.notify_one();
            self.is_open.notified().await;
        }
        Ok(())
    }
}

/// As soon as a deletion has removed the link, a pull begins, and a client pushes the manifest again.
#[derive(Debug)]
struct AfterLink {
    driver: Arc<dyn StorageDriver>,
    link: DriverPath,
    fetched: Put,
    pushed: Put,
    gate: Arc<Gate>,
    pull: Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

#[async_trait]
impl Hook for AfterLink {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        let mut pull = self.pull.lock().await;
        if pull.is_some() || self.driver.exists(&self.link).await? {
            return Ok(());
        }
        let driver: Arc<dyn StorageDriver> = Arc::new(Hooked::new(self.driver.clone(), self.gate.clone()));
        let (registry, fetched) = (Caching::new(&driver).registry, self.fetched.clone());
        *pull = Some(tokio::spawn(async move { fetched.run(&registry).await }));
        self.gate.is_reached.notified().await;
        self.pushed.run(&Caching::new(&self.driver).registry).await.map_err(failed(operation, path))
    }
}

/// The pull writes its mark when the deletion has ended.
async fn nothing_that_was_pushed_beside_its_deletion_and_a_pull(ctx: Context) -> Result<(), Failed> {
    let (fetched, pushed) = image(&ctx).await?;
    pushed.run(&Caching::new(ctx.driver()).registry).await?;
    let link = Entry::RevisionLink(name("hub/app"), pushed.digest()).path();
    let gate = Arc::new(Gate::default());
    let (driver, pull) = (ctx.driver().clone(), Mutex::default());
    let hook = AfterLink { driver, link: link.clone(), fetched, pushed, gate: gate.clone(), pull };
    let hook = Arc::new(hook);
    let driver: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), hook.clone()));
    let repository = Caching::new(&driver).registry.repository(name("hub/app"));
    repository.manifests().delete(&hook.pushed.digest().into()).await?;
    gate.is_open.notify_one();
    let pull = hook.pull.lock().await.take();
    let Some(pull) = pull else { return Err(Failed::new("nothing was pulled")) };
    pull.await.map_err(|error| Failed::new(error.to_string()))??;
    let report = collect(Caching::new(ctx.driver()).at(100), &weekly()).await?;
    equal(report.evicted.ttl.count, 0, "what was evicted of what a client pushed")?;
    ensure(ctx.driver().exists(&link).await?, "what a client pushed is gone")
}

/// Collects just before a manifest is written.
#[derive(Debug)]
struct Collect {
    registry: Registry,
    before: DriverPath,
    has_begun: AtomicBool,
}

#[async_trait]
impl Hook for Collect {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        if operation == Operation::PutAll
            && *path == self.before
            && !self.has_begun.swap(true, Ordering::SeqCst)
        {
            let evict = Eviction { max_bytes: Some(0), ..Eviction::default() };
            let options = Options { evict: Some(evict), ..Options::default() };
            collect(&self.registry, &options).await.map_err(failed(operation, path))?;
        }
        Ok(())
    }
}

/// The lease files are some hours old: too young for a renewal, and too old for the grace period of caches.
async fn nothing_that_an_acknowledged_push_needs(ctx: Context) -> Result<(), Failed> {
    let driver: Arc<dyn StorageDriver> = Arc::new(Offloaded::new(ctx.driver().clone(), Handle::current()));
    for is_index in [false, true] {
        let driver = driver.clone();
        let played = tokio::task::spawn_blocking(move || {
            // A collection waits for the time that its own clock shows.
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
            runtime.block_on(push_beside_eviction(driver, is_index))
        });
        played.await?.map_err(|failed| failed.within(format_args!("an index: {is_index}")))?;
    }
    Ok(())
}

async fn push_beside_eviction(driver: Arc<dyn StorageDriver>, is_index: bool) -> Result<(), Failed> {
    let cached = Seed::new(&driver).image("hub/app", u64::from(is_index)).await?;
    let (bytes, needed) = match is_index {
        false => {
            let layers = &cached.blobs[1..2];
            let needed = Entry::LayerLink(name("hub/app"), layers[0].clone());
            (seed::image(&cached.blobs[0], layers, None), needed)
        }
        true => {
            let needed = Entry::RevisionLink(name("hub/app"), cached.manifest.clone());
            (seed::index(std::slice::from_ref(&cached.manifest)), needed)
        }
    };
    let (digest, has_begun) = (Digest::sha256_of(&bytes), AtomicBool::new(false));
    let registry = Caching::with_grace(&driver, Options::default().grace).after_hours(3);
    let before = Entry::Blob(digest.clone()).path();
    let meanwhile = Arc::new(Collect { registry, before, has_begun });
    let hooked: Arc<dyn StorageDriver> = Arc::new(Hooked::new(driver.clone(), meanwhile.clone()));
    let registry = Caching::with_grace(&hooked, Options::default().grace).after_hours(3);
    let reference = digest.into();
    let put = PutManifest { bytes, media_type: None, reference, tags: Vec::new(), left_out: Vec::new() };
    let pushed = registry.repository(name("hub/app")).manifests().put(put).await;
    ensure(meanwhile.has_begun.load(Ordering::SeqCst), "nothing was collected in between")?;
    let is_there = driver.exists(&needed.path()).await?;
    ensure(is_there || pushed.is_err(), format_args!("a push was acknowledged without {needed:?}"))
}

async fn what_is_due_beside_an_old_notice_that_stays(ctx: Context) -> Result<(), Failed> {
    let notice = layout::cache_offline_root().join("00000000-0000-4000-8000-000000000000")?;
    ctx.driver().put_content(&notice, "1".into(), PutMode::Overwrite).await?;
    Seed::new(ctx.driver()).image("hub/app", 1).await?;
    let (operations, prefix) = (&[Operation::Delete], layout::cache_offline_root().to_string());
    let driver = Refusing { operations, prefix, kind: ErrorKind::PermissionDenied }.over(ctx.driver());
    let caching = Caching::new(&driver);
    let report = collect(caching.at(12), &weekly()).await?;
    equal(report.evicted.ttl.count, 1, "what was evicted")?;
    // The lock of the collection is free again.
    collect(caching.at(12), &weekly()).await?;
    ensure(ctx.driver().exists(&notice).await?, "the notice is gone")
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::evicts_beside":
    nothing_that_a_client_pushed_while_it_was_fetched,
    nothing_that_a_client_pushed_before_a_pull_marked_it,
    what_was_pushed_deleted_and_fetched,
    nothing_that_was_pushed_beside_its_deletion_and_a_pull,
    nothing_that_an_acknowledged_push_needs,
    what_is_due_beside_an_old_notice_that_stays,
];
