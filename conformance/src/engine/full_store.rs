//! A store without space: what frees some continues with the space that was reserved for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{DriverError, DriverPath, ErrorKind, Operation, Result, StorageDriver, StorageDriverExt};
use sampan_engine::gc::{self, Options};
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::{Clock, Error, Registry, StartUpload, StoreIdentity, reserve_space};

use super::client::{Client, Image, body, tag};
use crate::check::{ensure, equal};
use crate::hooked::{Hook, Hooked};
use crate::{Clause, Context, Failed, clause::table};

async fn deletions_and_collections_take_the_reserved_space(ctx: Context) -> std::result::Result<(), Failed> {
    let client = Client::new(ctx.driver());
    for (number, name) in [(1, "stays"), (2, "goes")] {
        client.push_image("image", &Image::new(number), name).await?;
    }
    let full: Arc<dyn StorageDriver> =
        Arc::new(Hooked::new(ctx.driver().clone(), Arc::new(Full(ctx.driver().clone()))));
    let manifests = Client::new(&full).repository("image").manifests();
    let reserve = Entry::Reserve.path();
    let is_reserved = async || ctx.driver().exists(&reserve).await;
    // Only a store of directories with an identifier reserves space by itself.
    let reserves = !ctx.driver().capabilities().flat;
    reserve_space(ctx.driver()).await?;
    ensure(!is_reserved().await?, "a store without an identifier has reserved space")?;
    StoreIdentity::establish(ctx.driver()).await?;
    reserve_space(ctx.driver()).await?;
    equal(is_reserved().await?, reserves, "whether space is reserved")?;

    ctx.put(reserve.as_str(), "space").await?;
    let pushed = Client::new(&full).push_image("image", &Image::new(3), "new").await;
    ensure(pushed.is_err(), "a push took the reserved space")?;
    ensure(is_reserved().await?, "a push freed the reserved space")?;

    manifests.delete(&Image::new(2).digest().into()).await?;
    equal(manifests.get(&tag("stays").into()).await?.bytes, Image::new(1).manifest, "the other image")?;
    ensure(!is_reserved().await?, "the reserved space was not needed")?;
    ctx.put(reserve.as_str(), "space").await?;
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    let later = Clock::new(move || SystemTime::now() + month);
    let registry = Registry::builder(full.clone()).clock(later).build();
    let options =
        Options { delete_untagged: true, confirmed: true, grace: Duration::ZERO, ..Options::default() };
    let report = gc::collect(&registry, &options).await?;
    ensure(report.blobs.count > 0, format_args!("nothing was freed: {report:?}"))?;
    equal(is_reserved().await?, reserves, "whether space is reserved again")
}

/// Without a reserve the cause is what it is.
async fn a_store_without_a_reserve_says_that_it_is_full(ctx: Context) -> std::result::Result<(), Failed> {
    let client = Client::new(ctx.driver());
    client.push_image("image", &Image::new(1), "latest").await?;
    let full: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), Arc::new(Always)));
    let manifests = Client::new(&full).repository("image").manifests();
    let refused = manifests.delete(&tag("latest").into()).await;
    ensure(
        matches!(&refused, Err(Error::Driver(error)) if error.kind() == ErrorKind::StorageFull),
        format_args!("a deletion in a full store was answered by {refused:?}"),
    )
}

/// The bytes that a client sent before stay, as does the upload; bytes that filled the store would block all clients until a purge.
async fn an_upload_that_fills_the_store_gives_its_space_back(
    ctx: Context,
) -> std::result::Result<(), Failed> {
    let filling = Arc::new(Filling(AtomicU64::new(u64::MAX)));
    let full: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), filling.clone()));
    let uploads = Client::new(&full).repository("image").uploads();
    let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
    let digest = Digest::sha256_of(b"firstsecondsecond");
    let upload = uploads.start(StartUpload::default()).await?.id;
    let chunks = || body([second.clone(), second.clone()]);
    for (sent, bytes_before) in [(None, 0), (Some(first), 5)] {
        if let Some(sent) = sent {
            uploads.append(&upload, None, body([sent])).await?;
        }
        filling.fill_after(1);
        let appended = uploads.append(&upload, None, chunks()).await;
        ensure(appended.is_err_and(|error| error.is_storage_full()), "a chunk fits into a full store")?;
        filling.fill_after(1);
        let finished = uploads.finish(&upload, None, chunks(), &digest).await;
        ensure(finished.is_err_and(|error| error.is_storage_full()), "a blob fits into a full store")?;
        filling.fill_after(u64::MAX);
        equal(uploads.status(&upload).await?.size_bytes, bytes_before, "the bytes of the upload")?;
    }
    uploads.finish(&upload, None, chunks(), &digest).await?;
    Ok(())
}

fn is_full(operation: Operation, path: &DriverPath) -> Result<()> {
    match operation {
        Operation::PutContent | Operation::PutAll | Operation::Write | Operation::Writer => {
            Err(DriverError::new(ErrorKind::StorageFull, "full", operation, path))
        }
        _ => Ok(()),
    }
}

/// A store that is full as long as its reserve is there.
#[derive(Debug)]
struct Full(Arc<dyn StorageDriver>);

#[async_trait]
impl Hook for Full {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> Result<()> {
        match self.0.exists(&Entry::Reserve.path()).await? {
            true => is_full(operation, path),
            false => Ok(()),
        }
    }
}

/// A store that is full.
#[derive(Debug)]
struct Always;

#[async_trait]
impl Hook for Always {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> Result<()> {
        is_full(operation, path)
    }
}

/// A store that is full after some more writes of uploads.
#[derive(Debug)]
struct Filling(AtomicU64);

impl Filling {
    fn fill_after(&self, writes: u64) {
        self.0.store(writes, Ordering::Relaxed);
    }
}

#[async_trait]
impl Hook for Filling {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> Result<()> {
        let fits = |left: u64| left.checked_sub(1);
        match operation {
            Operation::Write if self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() => {
                is_full(operation, path)
            }
            _ => Ok(()),
        }
    }
}

pub(crate) const CLAUSES: &[Clause] = table!["engine::full_store":
    deletions_and_collections_take_the_reserved_space,
    a_store_without_a_reserve_says_that_it_is_full,
    an_upload_that_fills_the_store_gives_its_space_back,
];
