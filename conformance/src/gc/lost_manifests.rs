//! Manifests that cannot be read for now: whatever they may refer to stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sampan_driver::{
    ByteRange, DriverError, DriverPath, ErrorKind, FileReader, Operation, Result, StorageDriver,
};
use sampan_engine::gc::Options;
use sampan_engine::layout::Entry;

use super::collector::{collect_later, expect_gone, options, paths};
use super::seed::{Seed, index, name, tag};
use crate::check::{ensure, equal};
use crate::{Clause, Context, Failed, clause::table};

/// A copy elsewhere, or a push, brings the manifest back, and it needs its layers. A child of a tagged index is one of them.
async fn the_repository_of_a_tagged_manifest_without_data(ctx: Context) -> std::result::Result<(), Failed> {
    for is_child in [false, true] {
        let seed = Seed::new(ctx.driver());
        let (lost, other) = (seed.image("a", 1).await?, seed.image("a", 2).await?);
        let tagged = match is_child {
            true => seed.manifest("a", &index(std::slice::from_ref(&lost.manifest))).await?,
            false => lost.manifest.clone(),
        };
        seed.tag("a", "latest", &tagged).await?;
        seed.tag("b", "latest", &seed.image("b", 3).await?.manifest).await?;
        ctx.driver().delete(&Entry::Blob(lost.manifest.clone()).path()).await?;
        for delete_untagged in [false, true] {
            let before = paths(ctx.driver()).await?;
            let report = collect_later(ctx.driver(), &options(delete_untagged)).await?;
            expect_gone(ctx.driver(), &before, &BTreeSet::new()).await?;
            let reported: Vec<_> = report.unreadable.iter().map(|file| file.path.clone()).collect();
            let link = Entry::RevisionLink(name("a"), lost.manifest.clone()).path();
            equal(reported, [link.to_string()], "what is reported")?;
        }
        // With a push of the manifest, the rest of the repository is garbage again.
        seed.put(&Entry::Blob(lost.manifest.clone()).path(), lost.bytes.clone()).await?;
        let report = collect_later(ctx.driver(), &options(true)).await?;
        ensure(report.is_complete(), format_args!("not everything could be read: {:?}", report.unreadable))?;
        let left = paths(ctx.driver()).await?;
        ensure(lost.files("a").iter().all(|file| left.contains(file)), "a part of the image is gone")?;
        ensure(other.files("a").iter().all(|file| !left.contains(file)), "garbage is left")?;
        ctx.driver().delete_tree(&crate::data::path("/docker")).await?;
    }
    Ok(())
}

/// A store of which a part is away may list a file and answer that there is none; a file may be on a bad sector, or belong to
/// another user.
async fn the_repository_of_a_manifest_that_cannot_be_read(ctx: Context) -> std::result::Result<(), Failed> {
    for (is_tagged, kind) in [true, false].into_iter().flat_map(|it| KINDS.map(|kind| (it, kind))) {
        let seed = Seed::new(ctx.driver());
        let image = seed.image("a", 1).await?;
        if is_tagged {
            seed.tag("a", "latest", &image.manifest).await?;
        }
        seed.tag("b", "latest", &seed.image("b", 2).await?.manifest).await?;
        let data = Entry::Blob(image.manifest.clone()).path();
        nothing_goes(&ctx, &data, kind).await?;
        ctx.driver().delete_tree(&crate::data::path("/docker")).await?;
    }
    Ok(())
}

/// Its history names one of two images, and it may point at either.
async fn the_repository_of_a_tag_that_cannot_be_read(ctx: Context) -> std::result::Result<(), Failed> {
    for kind in [ErrorKind::PermissionDenied, ErrorKind::Other] {
        let seed = Seed::new(ctx.driver());
        seed.tag("a", "latest", &seed.image("a", 1).await?.manifest).await?;
        let current = Entry::TagCurrent(name("a"), tag("latest")).path();
        nothing_goes(&ctx, &current, kind).await?;
        ctx.driver().delete_tree(&crate::data::path("/docker")).await?;
    }
    Ok(())
}

/// A failure of the whole store ends the collection instead: nothing that it answers can be relied on.
async fn everything_when_the_store_fails(ctx: Context) -> std::result::Result<(), Failed> {
    let seed = Seed::new(ctx.driver());
    let image = seed.image("a", 1).await?;
    let driver = failing(&ctx, &Entry::Blob(image.manifest.clone()).path(), ErrorKind::Unavailable);
    let before = paths(ctx.driver()).await?;
    let ended = collect_later(&driver, &options(true)).await;
    ensure(ended.is_err(), format_args!("a collection over a store that fails ended with {ended:?}"))?;
    expect_gone(ctx.driver(), &before, &BTreeSet::new()).await
}

const KINDS: [ErrorKind; 3] = [ErrorKind::NotFound, ErrorKind::PermissionDenied, ErrorKind::Other];

/// Collects while `file` cannot be read, and checks that this is reported and that nothing goes.
async fn nothing_goes(ctx: &Context, file: &DriverPath, kind: ErrorKind) -> std::result::Result<(), Failed> {
    let before = paths(ctx.driver()).await?;
    // The quick scan of a dry run lists directories, and not the files in them.
    let runs = if kind == ErrorKind::NotFound { &[false][..] } else { &[true, false] };
    for dry_run in runs.iter().copied() {
        let options = Options { dry_run, ..options(true) };
        let report = collect_later(&failing(ctx, file, kind), &options).await?;
        expect_gone(ctx.driver(), &before, &BTreeSet::new()).await?;
        ensure(!report.unreadable.is_empty(), format_args!("{kind}: the report names no unreadable file"))?;
        equal((report.blobs.count, report.layer_links), (0, 0), "what the report says is garbage")?;
    }
    Ok(())
}

fn failing(ctx: &Context, file: &DriverPath, kind: ErrorKind) -> Arc<dyn StorageDriver> {
    Arc::new(Failing { inner: ctx.driver().clone(), file: file.clone(), kind })
}

/// A driver that lists a file and cannot read it.
#[derive(Debug)]
struct Failing {
    inner: Arc<dyn StorageDriver>,
    file: DriverPath,
    kind: ErrorKind,
}

impl Failing {
    fn look(&self, operation: Operation, path: &DriverPath) -> Result<()> {
        match *path == self.file {
            true => Err(DriverError::new(self.kind, self.inner.name(), operation, path)),
            false => Ok(()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageDriver for Failing {
    sampan_driver::forward! { self => self.inner;
        name capabilities put_content put_all writer stat list list_holding walk rename delete
        delete_tree delete_all sync_deletions check redirect_url
    }

    async fn get_content(&self, path: &DriverPath) -> Result<Bytes> {
        self.look(Operation::GetContent, path)?;
        self.inner.get_content(path).await
    }

    async fn reader(&self, path: &DriverPath, range: ByteRange) -> Result<FileReader> {
        self.look(Operation::Reader, path)?;
        self.inner.reader(path, range).await
    }
}

pub(crate) const CLAUSES: &[Clause] = table!["gc::lost_manifests":
    the_repository_of_a_tagged_manifest_without_data,
    the_repository_of_a_manifest_that_cannot_be_read,
    the_repository_of_a_tag_that_cannot_be_read,
    everything_when_the_store_fails,
];
