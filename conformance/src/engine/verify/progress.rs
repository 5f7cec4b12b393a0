//! A verification continues where it was, and one registry does each part.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sampan_driver::{DriverPath, ErrorKind, Operation, StorageDriver};
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::verify::{
    EndReason, Observer, Options, ProblemKind, Progress, Report, Start, VerificationTurn, acknowledge,
    verify, verify_in_turn,
};
use sampan_engine::{Clock, Registry};

use super::super::client::name;
use super::seed::{damage, files, options, seeded};
use crate::check::{ensure, equal};
use crate::faulty::{Fault, Faulty};
use crate::hooked::{Hook, Hooked};
use crate::refusing::Refusing;
use crate::{Context, Failed};

pub(super) async fn a_run_that_was_stopped_goes_on_where_it_was(ctx: Context) -> Result<(), Failed> {
    let (client, [image, _]) = seeded(&ctx).await?;
    damage(&ctx, &image.layers[1]).await?;
    let (mut hashed, mut runs) = (0, 0);
    loop {
        let base = Options { structure: false, data: Some(Start::Continue), ..options(false) };
        let (seen, stop) = (Arc::new(AtomicU64::new(0)), base.stop.clone());
        let observer = Observer::new({
            let seen = seen.clone();
            move |_| {
                if seen.fetch_add(1, Ordering::SeqCst) == 2 {
                    stop.cancel();
                }
            }
        });
        let report = verify(&client.registry, &Options { observer: Some(observer), ..base }).await?;
        let Some(data) = report.data else { return Err(Failed::new("nothing was hashed")) };
        equal(data.blobs_before, hashed, "blobs of earlier runs")?;
        hashed += data.blobs;
        runs += 1;
        if report.ending == EndReason::Finished {
            break;
        }
        ensure(runs < 20, "it never ends")?;
    }
    equal(hashed, 11, "blobs of all runs")?;
    let last = Progress::read(&client.registry).await?.last;
    equal(last.map(|last| (last.blobs, last.damaged)), Some((11, 1)), "the cycle")?;
    // A part of a cycle.
    let half = Options { up_to: u64::MAX / 2, ..options(false) };
    let first = verify(&client.registry, &half).await?.data.map_or(0, |data| data.blobs);
    let second = verify(&client.registry, &Options { data: Some(Start::Continue), ..options(false) }).await?;
    let second = second.data.map_or(0, |data| data.blobs);
    ensure(first > 0 && second > 0 && first + second == 11, format_args!("{first} and {second}"))
}

/// At every call of the driver: what a part of a cycle has found is in its report, or in that of the next run.
pub(super) async fn damage_that_a_killed_run_found_is_reported_by_the_next(
    ctx: Context,
) -> Result<(), Failed> {
    let (client, [image, _]) = seeded(&ctx).await?;
    let digest = damage(&ctx, &image.layers[1]).await?;
    let is_in = |report: &Report| report.problems.iter().any(|it| it.digest.as_ref() == Some(&digest));
    let mut has_failed = false;
    for fails_at in ctx.moments(Fault::CrashAfter) {
        ctx.delete_tree(Entry::Verification.path().as_str()).await?;
        let faulty = Arc::new(Faulty::new(ctx.driver().clone(), Fault::CrashAfter, fails_at));
        let killed = Registry::builder(faulty.clone()).build();
        let part = Options { structure: false, up_to: up_to(&digest), ..options(false) };
        // What a run finds that is killed is shown nowhere.
        let first = verify(&killed, &part).await.ok().filter(|report| report.error.is_none());
        if let Some(report) = &first {
            ensure(is_in(report), format_args!("{report:?}"))?;
            acknowledge(&client.registry, &part, report).await?;
        }
        let rest = Options { structure: false, data: Some(Start::Continue), ..options(false) };
        let second = verify(&client.registry, &rest).await?;
        let data = second.data.unwrap_or_default();
        equal(is_in(&second), first.is_none(), format_args!("killed at operation {fails_at}: {second:?}"))?;
        equal(data.blobs + data.blobs_before, 11, "the blobs of both runs")?;
        if !faulty.has_failed() {
            break;
        }
        has_failed = true;
    }
    ensure(has_failed, "the verification does nothing")
}

/// The end of the part of a cycle that has this digest last.
fn up_to(digest: &Digest) -> u64 {
    u64::from_str_radix(&digest.hex()[..16], 16).unwrap_or(u64::MAX)
}

pub(super) async fn of_several_registries_one_verifies_a_part(ctx: Context) -> Result<(), Failed> {
    seeded(&ctx).await?;
    let hour = Duration::from_secs(3600);
    let at = |hours: u32| {
        let now = SystemTime::now() + hours * hour;
        Registry::builder(ctx.driver().clone()).clock(Clock::new(move || now)).build()
    };
    let is_done = async |registry: &Registry| -> Result<bool, Failed> {
        Ok(matches!(verify_in_turn(registry, &options(false), hour).await?, VerificationTurn::Done(_)))
    };
    let read_only = at(0);
    read_only.set_read_only(true);
    ensure(is_done(&read_only).await.is_err(), "a read-only registry keeps progress")?;
    let first = at(0);
    equal(is_done(&first).await?, true, "whether the first registry verifies")?;
    equal(is_done(&at(0)).await?, false, "whether a second one does in the same hour")?;
    equal(is_done(&at(2)).await?, true, "whether one does two hours later")?;
    let turns: Vec<_> =
        files(ctx.driver()).await?.into_keys().filter(|it| it.as_str().contains("/turns/")).collect();
    equal(turns.len(), 1, "the records of turns")?;
    // One that becomes read-only as soon as its turn is recorded has not failed.
    let hook = Arc::new(ReadOnlyAtTurn::default());
    let driver: Arc<dyn StorageDriver> = Arc::new(Hooked::new(ctx.driver().clone(), hook.clone()));
    let later = SystemTime::now() + 4 * hour;
    let registry = Registry::builder(driver).clock(Clock::new(move || later)).build();
    _ = hook.0.set(registry.clone());
    match verify_in_turn(&registry, &options(true), hour).await? {
        VerificationTurn::Done(report) => equal(report.ending, EndReason::Stopped, "its end"),
        VerificationTurn::NotDue(_) => Err(Failed::new("the part is not due")),
    }
}

/// Makes the registry read-only before the record of a turn is written.
#[derive(Debug, Default)]
struct ReadOnlyAtTurn(OnceLock<Registry>);

#[async_trait]
impl Hook for ReadOnlyAtTurn {
    const SPLITS_PUT_ALL: bool = true;

    async fn before(&self, operation: Operation, path: &DriverPath) -> sampan_driver::Result<()> {
        if operation == Operation::PutContent
            && matches!(Entry::parse(path), Some(Entry::VerificationTurn(_)))
            && let Some(registry) = self.0.get()
        {
            registry.set_read_only(true);
        }
        Ok(())
    }
}

/// A run that is killed after it has read the structure has shown its findings to no one.
pub(super) async fn what_the_structure_shows_is_read_again_until_it_is_reported(
    ctx: Context,
) -> Result<(), Failed> {
    let (client, [image, _]) = seeded(&ctx).await?;
    ctx.driver().delete(&Entry::RevisionLink(name("copy"), image.digest()).path()).await?;
    let is_due = async || -> Result<bool, Failed> {
        let progress = Progress::read(&client.registry).await?;
        Ok(!progress.has_structure_since(SystemTime::now(), Duration::from_secs(3600)))
    };
    let is_in =
        |report: &Report| report.problems.iter().any(|it| matches!(it.kind, ProblemKind::TagDangling { .. }));
    let brief = Options { max_duration: Some(Duration::ZERO), ..options(false) };
    let report = verify(&client.registry, &brief).await?;
    equal((report.ending, is_in(&report)), (EndReason::Stopped, true), "a run that ends as it hashes")?;
    ensure(is_due().await?, "the structure counts as read before its problems are reported")?;
    acknowledge(&client.registry, &brief, &report).await?;
    ensure(!is_due().await?, "the structure was read to its end, and its problems are reported")?;

    ctx.driver().delete(&Entry::Verification.path()).await?;
    let stopped = Options { data: None, ..options(false) };
    stopped.stop.cancel();
    let report = verify(&client.registry, &stopped).await?;
    acknowledge(&client.registry, &stopped, &report).await?;
    ensure(is_due().await?, "half a structure counts as read")?;
    let quick = Options { data: None, ..options(false) };
    let report = verify(&client.registry, &quick).await?;
    ensure(is_in(&report), format_args!("{report:?}"))?;
    acknowledge(&client.registry, &quick, &report).await?;
    ensure(!is_due().await?, "a run that hashes nothing has read the structure, too")
}

pub(super) async fn what_is_found_is_reported_where_no_progress_can_be_written(
    ctx: Context,
) -> Result<(), Failed> {
    let (_, [image, _]) = seeded(&ctx).await?;
    let digest = damage(&ctx, &image.layers[1]).await?;
    let operations = &[Operation::PutContent, Operation::PutAll, Operation::Writer];
    let full = Refusing { operations, prefix: "/".to_owned(), kind: ErrorKind::StorageFull };
    let driver = full.over(ctx.driver());
    let report = verify(&Registry::builder(driver).build(), &options(false)).await?;
    equal(report.ending, EndReason::Finished, "the end of the run")?;
    equal(report.data.map(|data| data.blobs), Some(11), "the blobs that are hashed")?;
    let found: Vec<_> = report.problems.iter().filter_map(|it| it.digest.as_ref()).collect();
    equal(found, vec![&digest], "what is damaged")
}
