//! A file that the store does not give is not a store that does not answer, and neither costs what is known.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::TryStreamExt;
use sampan_driver::{DriverError, DriverPath, ErrorKind, Operation, PutMode, StorageDriver};
use sampan_engine::layout::{self, Entry};
use sampan_engine::oci::Digest;
use sampan_engine::verify::{EndReason, Options, Problem, RepairOutcome, Report, Start, VerificationTurn};
use sampan_engine::verify::{acknowledge, verify, verify_in_turn};
use sampan_engine::{Clock, Registry};

use super::super::client::{Client, Image, name, tag};
use super::find::kind_of;
use super::seed::{damage, later, options};
use crate::check::{ensure, equal};
use crate::hooked::{Hook, Hooked};
use crate::refusing::Refusing;
use crate::{Context, Failed};

/// Does not answer for one file, and from then on for nothing that is read if it is an outage.
#[derive(Debug)]
struct Silent {
    path: DriverPath,
    is_outage: bool,
    has_begun: AtomicBool,
}

impl Silent {
    fn over(ctx: &Context, path: &DriverPath, is_outage: bool) -> Registry {
        let silent = Silent { path: path.clone(), is_outage, has_begun: AtomicBool::new(false) };
        let driver: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), Arc::new(silent)));
        Registry::builder(driver).blob_cache_bytes(0).build()
    }
}

#[async_trait]
impl Hook for Silent {
    const SPLITS_PUT_ALL: bool = false;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        use Operation::{Check, GetContent, List, Reader, Stat, Walk};
        // The progress of a run is read and written to the end: what is lost of it is another matter.
        let is_read = matches!(operation, Check | GetContent | List | Reader | Stat | Walk);
        let is_own = path.as_str().contains("/sampan/");
        if !is_read || is_own {
            return Ok(());
        }
        let is_it = *path == self.path;
        if is_it {
            self.has_begun.store(true, Ordering::SeqCst);
        }
        match is_it || (self.is_outage && self.has_begun.load(Ordering::SeqCst)) {
            true => Err(DriverError::new(ErrorKind::Unavailable, "test", operation, path)),
            false => Ok(()),
        }
    }
}

/// Nine blobs in the order of their digests, of which the second and the eighth are damaged.
async fn nine(ctx: &Context) -> Result<Vec<DriverPath>, Failed> {
    let mut contents: Vec<(Digest, u8)> =
        (0..9).map(|number| (Digest::sha256_of(&[number]), number)).collect();
    contents.sort();
    let mut paths = Vec::new();
    for (place, (digest, number)) in contents.into_iter().enumerate() {
        let content = if matches!(place, 1 | 7) { vec![number, 0] } else { vec![number] };
        let path = Entry::Blob(digest).path();
        ctx.driver().put_content(&path, content.into(), PutMode::Overwrite).await?;
        paths.push(path);
    }
    Ok(paths)
}

fn impatient(start: Start) -> Options {
    Options { data: Some(start), structure: false, ..options(false) }
}

fn found(report: &Report) -> Vec<(&str, &'static str)> {
    let shown = |it: &'_ Problem| kind_of(&it.kind);
    report.problems.iter().map(|it| (it.path.as_str(), shown(it))).collect()
}

pub(super) async fn a_file_that_the_store_never_gives_is_reported(ctx: Context) -> Result<(), Failed> {
    let paths = nine(&ctx).await?;
    for threads in [0, 2] {
        let registry = Silent::over(&ctx, &paths[4], false);
        let report = verify(&registry, &Options { threads, ..impatient(Start::Beginning) }).await?;
        let expected = [(1, "damaged"), (4, "unreadable"), (7, "damaged")];
        let mut expected = expected.map(|(place, kind)| (paths[place].as_str(), kind)).to_vec();
        expected.sort_unstable();
        equal(found(&report), expected, format_args!("{report:?}"))?;
        equal(report.ending, EndReason::Finished, "the end")?;
    }
    // So are a manifest, a link and a tag; what is wrong elsewhere is found beside them.
    let (client, images) = (Client::new(ctx.driver()), [1, 2].map(Image::new));
    client.push_image("app", &images[0], "v1").await?;
    client.push_image("app", &images[1], "v2").await?;
    ctx.driver().delete(&Entry::RevisionLink(name("app"), images[1].digest()).path()).await?;
    let dangling = Entry::TagCurrent(name("app"), tag("v2")).path();
    for silent in [
        Entry::Blob(images[0].digest()),
        Entry::LayerLink(name("app"), Digest::sha256_of(&images[0].config)),
        Entry::TagCurrent(name("app"), tag("v1")),
    ] {
        let silent = silent.path();
        let registry = Silent::over(&ctx, &silent, false);
        let report = verify(&registry, &Options { structure: true, ..impatient(Start::Beginning) }).await?;
        let found = found(&report);
        for expected in [(silent.as_str(), "unreadable"), (dangling.as_str(), "tagDangling")] {
            ensure(found.contains(&expected), format_args!("{expected:?} is not in {report:?}"))?;
        }
        equal(report.ending, EndReason::Finished, "the end")?;
    }
    // So is the place of a link that the store does not let the registry look for.
    let link = Entry::LayerLink(name("app"), Digest::sha256_of(&images[0].layers[0])).path();
    ctx.driver().delete(&link).await?;
    let (operations, kind) = (&[Operation::Stat], ErrorKind::PermissionDenied);
    let driver = Refusing { operations, prefix: link.to_string(), kind }.over(ctx.driver());
    let registry = Registry::builder(driver).blob_cache_bytes(0).build();
    let report = verify(&registry, &Options { structure: true, ..impatient(Start::Beginning) }).await?;
    let expected = (link.as_str(), "unreadable");
    ensure(found(&report).contains(&expected), format_args!("{expected:?} is not in {report:?}"))?;
    equal(report.ending, EndReason::Finished, "the end")
}

pub(super) async fn an_outage_keeps_what_was_found_before_it(ctx: Context) -> Result<(), Failed> {
    let paths = nine(&ctx).await?;
    for threads in [0, 2] {
        ctx.delete_tree(Entry::Verification.path().as_str()).await?;
        let (registry, options) = (Silent::over(&ctx, &paths[4], true), impatient(Start::Continue));
        let first = verify(&registry, &Options { threads, repair: true, ..options.clone() }).await?;
        equal(found(&first), vec![(paths[1].as_str(), "damaged")], format_args!("{first:?}"))?;
        equal((first.ending, first.moved()), (EndReason::Failed, 0), "the end, and what was moved")?;
        ensure(first.error.is_some(), "the report does not say why it ended")?;
        let healthy = Registry::builder(ctx.driver().clone()).build();
        acknowledge(&healthy, &options, &first).await?;
        let second = verify(&healthy, &options).await?;
        equal(found(&second), vec![(paths[7].as_str(), "damaged")], format_args!("{second:?}"))?;
        let data = second.data.unwrap_or_default();
        equal((data.blobs_before, data.blobs), (4, 5), "the blobs of both runs")?;
    }
    // An outage before anything was read, and in the structure; then the part is still due.
    let client = Client::new(ctx.driver());
    client.push_image("app", &Image::new(1), "v1").await?;
    for (place, structure) in
        [(DriverPath::root(), true), (Entry::TagCurrent(name("app"), tag("v1")).path(), true)]
    {
        let place = if place == DriverPath::root() { paths[4].clone() } else { place };
        let registry = Silent::over(&ctx, &place, true);
        let options = Options { structure, ..impatient(Start::Beginning) };
        let hour = Duration::from_secs(3600);
        for _ in 0..2 {
            match verify_in_turn(&registry, &options, hour).await? {
                VerificationTurn::Done(report) => equal(report.ending, EndReason::Failed, "the end")?,
                VerificationTurn::NotDue(_) => return Err(Failed::new("a part that failed counts as done")),
            }
        }
    }
    Ok(())
}

/// Collections wait for a lock that is left, and pushes of what was to be moved. They must do so while a store that copies files
/// may carry out the move.
pub(super) async fn a_repair_that_fails_keeps_its_lock_only_while_an_answer_is_due(
    ctx: Context,
) -> Result<(), Failed> {
    let client = Client::new(ctx.driver());
    let image = Image::new(1);
    client.push_image("app", &image, "v1").await?;
    damage(&ctx, &image.layers[0]).await?;
    let flat = ctx.driver().capabilities().flat;
    let (batches, notes) =
        (format!("{}/doomed-", layout::collection_root()), layout::damaged_root().to_string());
    let data = layout::blobs_root().to_string();
    let (put, rename) = (&[Operation::PutContent], &[Operation::Rename]);
    for (operations, prefix, kind, stays) in [
        (put, batches, ErrorKind::PermissionDenied, false),
        (put, notes, ErrorKind::PermissionDenied, false),
        (rename, data.clone(), ErrorKind::PermissionDenied, false),
        (rename, data, ErrorKind::Unavailable, flat),
    ] {
        let operation = operations[0];
        let driver = Refusing { operations, prefix, kind }.over(later(&ctx).await?.registry.driver());
        let now = SystemTime::now() + Duration::from_secs(3600);
        let clock = Clock::new(move || now);
        let registry = Registry::builder(driver).clock(clock).blob_cache_bytes(0).build();
        let report = verify(&registry, &options(true)).await?;
        let left = report.problems.iter().filter(|it| matches!(it.outcome, RepairOutcome::Left(_))).count();
        equal(left, 1, format_args!("what a repair left that failed to {operation}: {report:?}"))?;
        let files: Vec<_> = ctx
            .driver()
            .walk(&layout::collection_root(), None)
            .map_ok(|file| file.path)
            .try_collect()
            .await?;
        equal(!files.is_empty(), stays, format_args!("after {kind} of {operation}, there is {files:?}"))?;
    }
    Ok(())
}
