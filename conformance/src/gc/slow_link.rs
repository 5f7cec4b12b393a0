//! A manifest whose link write takes longer than a whole collection.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sampan_driver::{StorageDriver, StorageDriverExt};
use sampan_engine::gc::Options;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::{Error, PutManifest, Registry};
use tokio::runtime::Handle;

use super::collector::{collect_at, lacking};
use super::model::Offloaded;
use super::seed::{Seed, image, name, tag};
use crate::check::ensure;
use crate::data::bytes;
use crate::slow::{Chance, Slow};
use crate::{Clause, Context, Failed, clause::table};

/// The registry knows of no grace period, so it refreshed no leases when it confirmed the blobs.
async fn keeps_what_the_manifest_refers_to(ctx: Context) -> Result<(), Failed> {
    let driver: Arc<dyn StorageDriver> = Arc::new(Offloaded::new(ctx.driver().clone(), Handle::current()));
    for was_linked in [false, true] {
        for secs in [0, 3, 8, 60] {
            let driver = driver.clone();
            let played = tokio::task::spawn_blocking(move || {
                // The runtime has its own clock.
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
                runtime.block_on(push_beside_collection(driver, Duration::from_secs(secs), was_linked))
            });
            played.await?.map_err(|failed| failed.within(format_args!("written in {secs} s")))?;
            ctx.delete_tree("/docker").await?;
        }
    }
    Ok(())
}

async fn push_beside_collection(
    driver: Arc<dyn StorageDriver>,
    duration: Duration,
    was_linked: bool,
) -> Result<(), Failed> {
    let seed = Seed::new(&driver);
    let mut blobs = Vec::new();
    for number in 0..2 {
        let blob = seed.blob(&bytes(number, 10)).await?;
        seed.layer("a", &blob).await?;
        blobs.push(blob);
    }
    let manifest = image(&blobs[0], &blobs[1..], None);
    if was_linked {
        seed.manifest("a", &manifest).await?;
    }
    let slow: Arc<dyn StorageDriver> = Arc::new(Slow::new(driver.clone(), Chance::slow_links(duration)));
    let put = PutManifest {
        bytes: manifest.clone(),
        media_type: None,
        reference: tag("latest").into(),
        tags: Vec::new(),
        left_out: Vec::new(),
    };
    let pushing = tokio::spawn(async move {
        Registry::builder(slow).build().repository(name("a")).manifests().put(put).await
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let grace = Duration::from_secs(3600);
    let options = Options { delete_untagged: true, grace, ..Options::default() };
    collect_at(&driver, &options, SystemTime::now() + grace * 24).await?;
    let digest = Digest::sha256_of(&manifest);
    match pushing.await? {
        Ok(_) => match lacking(&driver, &name("a"), &digest).await? {
            None => Ok(()),
            Some(path) => Err(Failed::new(format_args!("the push is acknowledged, but {path} is gone"))),
        },
        Err(Error::ManifestReferencesUnknown(_)) => {
            let link = Entry::RevisionLink(name("a"), digest).path();
            ensure(
                was_linked || !driver.exists(&link).await?,
                "the push is refused, and its manifest is linked",
            )
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::slow_link": keeps_what_the_manifest_refers_to];
