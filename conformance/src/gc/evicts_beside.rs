//! What a collection evicts from caches beside pushes, and where a store refuses a part of its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sampan_driver::{
    DriverError, DriverPath, ErrorKind, Operation, PutMode, StorageDriver, StorageDriverExt,
};
use sampan_engine::gc::collect;
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::Digest;
use sampan_engine::{CachedPut, Error, PutManifest, Registry};

use super::evicts::{Caching, weekly};
use super::seed::{MANIFEST, Seed, name};
use crate::check::{ensure, equal};
use crate::hooked::{Hook, Hooked};
use crate::refusing::Refusing;
use crate::{Clause, Context, Failed, clause::table};

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
            self.put.run(&self.registry).await.map_err(|error| {
                DriverError::new(ErrorKind::Other, "test", operation, path).with_source(error)
            })?;
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
    what_is_due_beside_an_old_notice_that_stays,
];
