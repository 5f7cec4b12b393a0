//! What a collection evicts from caches beside pushes, and where a store refuses a part of its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sampan_driver::{
    DriverError, DriverPath, ErrorKind, Operation, PutMode, StorageDriver, StorageDriverExt,
};
use sampan_engine::gc::collect;
use sampan_engine::layout::{self, Entry};
use sampan_engine::{CachedPut, PutManifest, Registry};

use super::evicts::{Caching, weekly};
use super::seed::{MANIFEST, Seed, name};
use crate::check::{ensure, equal};
use crate::hooked::{Hook, Hooked};
use crate::refusing::Refusing;
use crate::{Clause, Context, Failed, clause::table};

/// Fetches the same manifest just before a push of it writes its link.
#[derive(Debug)]
struct Fetch {
    registry: Registry,
    put: CachedPut,
    has_begun: AtomicBool,
}

#[async_trait]
impl Hook for Fetch {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        let data = Entry::Blob(self.put.digest.clone()).path();
        let link = Entry::RevisionLink(name("hub/app"), self.put.digest.clone()).path();
        let is_it =
            matches!(operation, Operation::PutAll | Operation::PutContent) && [data, link].contains(path);
        if is_it && !self.has_begun.swap(true, Ordering::SeqCst) {
            let fetched =
                self.registry.repository(name("hub/app")).manifests().put_cached(self.put.clone()).await;
            fetched.map_err(|error| {
                DriverError::new(ErrorKind::Other, "test", operation, path).with_source(error)
            })?;
        }
        Ok(())
    }
}

async fn nothing_that_a_client_pushed_while_it_was_fetched(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let image = seed.image("hub/app", 1).await?;
    for entry in [Entry::RevisionLink, Entry::Fetched] {
        seed.remove(entry(name("hub/app"), image.manifest.clone())).await?;
    }
    let put = CachedPut {
        bytes: image.bytes.clone(),
        media_type: MANIFEST.to_owned(),
        digest: image.manifest.clone(),
        tags: Vec::new(),
    };
    let (registry, has_begun) = (Caching::new(ctx.driver()).registry, AtomicBool::new(false));
    let fetch = Arc::new(Fetch { registry, put, has_begun });
    let driver: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), fetch.clone()));
    let push = PutManifest {
        bytes: image.bytes.clone(),
        media_type: None,
        reference: image.manifest.clone().into(),
        tags: Vec::new(),
        left_out: Vec::new(),
    };
    Caching::new(&driver).registry.repository(name("hub/app")).manifests().put(push).await?;
    ensure(fetch.has_begun.load(Ordering::SeqCst), "nothing was fetched")?;
    let report = collect(Caching::new(ctx.driver()).at(100), &weekly()).await?;
    equal(report.evicted.ttl.count, 0, "what was evicted of what a client pushed")
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
    what_is_due_beside_an_old_notice_that_stays,
];
