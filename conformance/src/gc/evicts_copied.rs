//! What a collection evicts from caches whose content came from another store.

use std::sync::Arc;

use sampan_driver::{StorageDriver, StorageDriverExt};
use sampan_engine::Registry;
use sampan_engine::backup::{self, RestoreOptions, RunOptions};
use sampan_engine::gc::collect;
use sampan_engine::layout::Entry;
use sampan_engine::migrate::{Migration, Options};

use super::evicts::{Caching, weekly};
use super::seed::{Seed, name};
use crate::below::Below;
use crate::check::{ensure, equal};
use crate::{Clause, Context, Failed, clause::table};

/// A deletion that was cut off has left the mark of a pull.
async fn nothing_that_was_restored(ctx: Context) -> Result<(), Failed> {
    let at = |place| -> Arc<dyn StorageDriver> { Below::at(ctx.driver(), place) };
    let (source, target) = (at("/source"), at("/target"));
    let image = Seed::new(&source).image("hub/app", 1).await?;
    Seed::new(&source).tag("hub/app", "v1", &image.manifest).await?;
    let [source, backup] = [source, at("/backup")].map(|driver| Caching::new(&driver).after_hours(24));
    let id = backup::run(&source, &backup, "the source", &RunOptions::default()).await?.snapshot.id;

    let mark = Entry::Fetched(name("hub/app"), image.manifest.clone());
    Seed::new(&target).link(mark, &image.manifest).await?;
    let caching = Caching::new(&target);
    backup::restore(&backup, caching.at(1), id, &RestoreOptions::default()).await?;
    let report = collect(caching.at(100), &weekly()).await?;
    equal(report.evicted.ttl.count, 0, "what was evicted")?;
    let link = Entry::RevisionLink(name("hub/app"), image.manifest);
    ensure(target.exists(&link.path()).await?, "the restored manifest is gone")
}

async fn nothing_that_was_pushed_to_either_store_of_a_merge(ctx: Context) -> Result<(), Failed> {
    let at = |place| -> Arc<dyn StorageDriver> { Below::at(ctx.driver(), place) };
    let stores = [at("/source"), at("/target")];
    let mut images = Vec::new();
    for store in &stores {
        images.clear();
        for number in 0..3 {
            images.push(Seed::new(store).image("hub/app", number).await?);
        }
    }
    // The first was pushed to the source, the second to the target.
    for (store, image) in stores.iter().zip(&images) {
        Seed::new(store).remove(Entry::Fetched(name("hub/app"), image.manifest.clone())).await?;
    }
    let [source, target] = stores;
    let registry: Registry = Caching::new(&target).after_hours(24);
    let options = Options { merge: true, caches: registry.caches().clone(), ..Options::default() };
    for _ in 0..2 {
        let migration =
            Migration::begin(source.clone(), target.clone(), "the source", options.clone()).await?;
        let finish = migration.finish().await?;
        ensure(finish.comparison.is_equal(), "the merged store lacks something")?;
    }
    let report = collect(Caching::new(&target).at(100), &weekly()).await?;
    equal(report.evicted.ttl.count, 1, "what was evicted")?;
    for (number, image) in images.iter().enumerate() {
        let link = Entry::RevisionLink(name("hub/app"), image.manifest.clone());
        equal(target.exists(&link.path()).await?, number < 2, "whether the manifest stays")?;
    }
    Ok(())
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::evicts_copied":
    nothing_that_was_restored,
    nothing_that_was_pushed_to_either_store_of_a_merge,
];
