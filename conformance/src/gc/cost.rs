//! The cost of a collection, counted in operations.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::future::try_join_all;
use futures::{StreamExt, stream};
use sampan_driver::{DriverPath, Operation, StorageDriver};
use sampan_engine::Registry;
use sampan_engine::gc::Options;
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::Digest;

use super::collector::{collect_later, options, paths};
use super::seed::{Seed, name};
use crate::check::{ensure, equal};
use crate::data::{bytes, path};
use crate::engine::hooks::Counted;
use crate::hooked::{Hook, Hooked};
use crate::{Clause, Context, Failed, clause::table};

/// Twice the garbage needs twice as many walks. Batches are small, so that there are many.
async fn much_garbage_takes_few_walks(ctx: Context) -> Result<(), Failed> {
    let mut costs = Vec::new();
    for count in [30, 60] {
        let seed = Seed::new(ctx.driver());
        let live = seed.image("live", 0).await?;
        seed.tag("live", "latest", &live.manifest).await?;
        let before = paths(ctx.driver()).await?;
        for number in 1..=count {
            seed.image("dead", number).await?;
            // A link to data that the collection keeps.
            let link = Digest::sha256_of(&number.to_be_bytes());
            seed.link(Entry::LayerLink(name("dead"), link.clone()), &link).await?;
        }
        let counted = Counted::default();
        let report =
            collect_later(&counted.over(ctx.driver()), &Options { batch: 2, ..options(true) }).await?;
        let things = (report.blobs.count, report.manifests, report.saved);
        equal(things, (4 * count, count, 0), "what went, and what was saved")?;
        equal(paths(ctx.driver()).await?, before, "what is left")?;
        costs.push(
            counted.count(|operation, path| {
                operation == Operation::Walk && *path == layout::repositories_root()
            }),
        );
        ctx.driver().delete_tree(&path("/docker")).await?;
    }
    equal(costs[1], costs[0], "the walks over the repositories for twice the garbage")?;
    ensure(costs[0] <= 9, format_args!("there were {} walks over the repositories", costs[0]))
}

/// Many pushes meet a collection at once: one of them reads each batch.
async fn what_is_pending_is_read_once(ctx: Context) -> Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let (root, run) = (layout::collection_root(), "0b1c7f0e-8a52-4a3c-9d0e-2f1f5f3b6a77");
    seed.put(&path(&format!("{root}/run-{run}-1")), r#"{"grace_ms":60000,"process":1}"#).await?;
    for number in 0..BATCHES {
        let doomed = Digest::sha256_of(&number.to_be_bytes());
        seed.put(&path(&format!("{root}/doomed-{run}-{number}")), format!("{doomed}\n")).await?;
    }
    let reads = Arc::new(Reads::default());
    let driver: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), reads.clone()));
    let registry = Registry::builder(driver).build();
    try_join_all((0..10_u64).map(|number| {
        let (uploads, content) = (registry.repository(name("a")).uploads(), bytes(number, 100));
        async move {
            let body = stream::iter([Ok(content.clone())]).boxed();
            uploads.put(&Digest::sha256_of(&content), None, body).await.map(drop)
        }
    }))
    .await?;
    equal(reads.0.load(Ordering::SeqCst), BATCHES as usize, "how often batches were read")
}

const BATCHES: u64 = 5;

/// Counts the reads of batches; each read takes a while.
#[derive(Debug, Default)]
struct Reads(AtomicUsize);

#[async_trait]
impl Hook for Reads {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        if operation == Operation::GetContent
            && matches!(Entry::parse(path), Some(Entry::CollectionPending(..)))
        {
            self.0.fetch_add(1, Ordering::SeqCst);
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::cost":
    much_garbage_takes_few_walks,
    what_is_pending_is_read_once,
];
