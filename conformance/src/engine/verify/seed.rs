//! The store that the clauses of verification damage, and its clients.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{DriverPath, PutMode, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};
use sampan_engine::verify::{Options, Start};
use sampan_engine::{Clock, Registry, StartUpload};

use super::super::client::{Client, Image, index, tag};
use super::find::FLIPPED;
use crate::{Context, Failed};

pub(super) fn options(repair: bool) -> Options {
    // A driver that fails for good is not waited for.
    let (grace, outage) = (Duration::ZERO, Duration::ZERO);
    Options { data: Some(Start::Beginning), repair, grace, outage, ..Options::default() }
}

/// Everything that a store can have: two repositories with a common image, an index, a signature, an alias, and an upload.
pub(super) async fn seeded(ctx: &Context) -> Result<(Client, [Image; 2]), Failed> {
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

/// A client of another process, an hour later: it has nothing in memory, and no push seems to continue.
pub(super) async fn later(ctx: &Context) -> Result<Client, Failed> {
    let (driver, now) = (ctx.reopen().await?.driver().clone(), SystemTime::now() + Duration::from_secs(3600));
    let clock = Clock::new(move || now);
    Ok(Client { registry: Registry::builder(driver).clock(clock).blob_cache_bytes(0).build() })
}

pub(super) async fn files(driver: &Arc<dyn StorageDriver>) -> Result<BTreeMap<DriverPath, Bytes>, Failed> {
    let paths: Vec<_> = driver.walk(&DriverPath::root(), None).map_ok(|file| file.path).try_collect().await?;
    let mut files = BTreeMap::new();
    for path in paths {
        files.insert(path.clone(), driver.get_content(&path).await?);
    }
    files.remove(&Entry::Verification.path());
    Ok(files)
}

/// Puts damaged bytes in the place of a blob.
pub(super) async fn damage(ctx: &Context, content: &Bytes) -> Result<Digest, Failed> {
    let digest = Digest::sha256_of(content);
    let damaged = FLIPPED(content).unwrap_or_default();
    ctx.driver().put_content(&Entry::Blob(digest.clone()).path(), damaged, PutMode::Overwrite).await?;
    Ok(digest)
}
