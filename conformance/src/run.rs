//! Running clauses: as trials of libtest-mimic, or one by its name.

use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use sampan_driver::{Capabilities, WriteHint, WriteMode};
use tracing_subscriber::EnvFilter;

use crate::data::path;
use crate::driver::executor;
use crate::last_operation::LastOperation;
use crate::process::{do_and_die, is_other};
use crate::watched::{hangs, watched};
use crate::{Clause, Context, Failed, Fixture, Need, Pace, clauses};

/// Runs the suite by the command line (see `--help`); the body of [`main!`](crate::main!).
pub fn run(fixture: Fixture) -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        // libtest-mimic captures no output, so logs are off unless `RUST_LOG` enables them.
        tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).init();
    }
    run_trials(trials(&fixture))
}

/// Runs the trials by the command line. Where that says nothing of threads, `RUST_TEST_THREADS` does, which libtest-mimic
/// does not read.
pub fn run_trials(mut trials: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    if arguments.test_threads.is_none() {
        let threads = std::env::var("RUST_TEST_THREADS").ok();
        arguments.test_threads =
            threads.and_then(|threads| threads.parse().ok()).filter(|threads| *threads > 0);
    }
    // A long one that began last would be alone for most of its time, and one that has to be alone would wait for the others.
    let is_one_of = |names: &[&str], trial: &Trial| names.iter().any(|name| trial.name().ends_with(name));
    trials.sort_by_key(|trial| (!is_one_of(&ALONE, trial), !is_one_of(&LONG, trial)));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The clauses that take longest.
const LONG: [&str; 5] = [
    "gc::concurrent::no_promise_is_broken",
    "engine::linearizable::with_delays_by_lot",
    "engine::linearizable::at_full_speed",
    "gc::crash::leaves_nothing_that_is_not_whole",
    "gc::referrers::what_is_young_stays",
];

/// The clauses that run while no other does: in one process, threads wait for each other's memory.
const ALONE: [&str; 1] = ["driver::executor::no_operation_waits_where_it_is_polled"];

/// The time of one clause: beside others, or alone.
#[expect(dead_code, reason = "the guards are held, not read")]
enum ClauseTurn {
    BesideOthers(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl ClauseTurn {
    /// Waits for it.
    fn of(clause: &Clause) -> Self {
        static RUNNING: RwLock<()> = RwLock::new(());
        if ALONE.contains(&clause.name) {
            return Self::Alone(RUNNING.write().unwrap_or_else(PoisonError::into_inner));
        }
        Self::BesideOthers(RUNNING.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The clauses as trials on the stores of `fixture`.
///
/// This opens a store to read its capabilities. When that fails, every trial fails, so that no filter hides it.
pub fn trials(fixture: &Fixture) -> Vec<Trial> {
    do_and_die(fixture);
    if is_other() {
        return Vec::new();
    }
    if let Some(reason) = fixture.ignored_reason() {
        let ignored =
            |clause: &Clause| Trial::test(clause.name, || Ok(())).with_kind(reason).with_ignored_flag(true);
        return clauses().map(ignored).collect();
    }
    let (features, large_bytes) = match features(fixture).and_then(|can| Ok((can, large_bytes()?))) {
        Ok(known) => known,
        Err(failed) => {
            let message = failed.to_string();
            let fails = |clause: &Clause| {
                let message = message.clone();
                Trial::test(clause.name, move || Err(message.into()))
            };
            return clauses().map(fails).collect();
        }
    };
    let trial = |clause: &'static Clause| {
        let fixture = fixture.clone();
        let lacking = lacking(clause.need, features, fixture.is_in_this_process(), large_bytes);
        let test = move || {
            run_on(&fixture, clause, large_bytes).map_err(|failed| {
                let reason = failed.to_string();
                say_at_once(clause, &reason);
                reason.into()
            })
        };
        Trial::test(clause.name, test)
            .with_kind(lacking.unwrap_or_default())
            .with_ignored_flag(lacking.is_some())
    };
    clauses().map(trial).collect()
}

/// Runs the clause `name` on a store of `fixture`, regardless of its needs.
///
/// # Errors
///
/// When the clause does not hold.
///
/// # Panics
///
/// When no clause has that name.
pub fn run_clause(fixture: &Fixture, name: &str) -> Result<(), Failed> {
    let Some(clause) = clauses().find(|clause| clause.name == name) else {
        panic!("there is no clause `{name}`");
    };
    run_on(fixture, clause, None)
}

fn run_on(fixture: &Fixture, clause: &Clause, large_bytes: Option<u64>) -> Result<(), Failed> {
    let patience = patience(clause, fixture.pace(), large_bytes)?;
    run_for(fixture, clause, large_bytes, patience)
}

/// Runs any clause on a store of `fixture`, and gives it up after `patience`.
///
/// # Errors
///
/// When the clause does not hold, or does not end in time.
pub fn run_within(fixture: &Fixture, clause: &Clause, patience: Duration) -> Result<(), Failed> {
    run_for(fixture, clause, None, patience)
}

/// Runs a clause on its own thread, so that the suite also reports a clause whose driver blocks the thread for ever.
fn run_for(
    fixture: &Fixture,
    clause: &Clause,
    large_bytes: Option<u64>,
    patience: Duration,
) -> Result<(), Failed> {
    if is_other() {
        return Err(Failed::new("this process was started for something else, see `do_and_die`"));
    }
    let _turn = ClauseTurn::of(clause);
    let last = Arc::<LastOperation>::default();
    let (fixture, clause, noted) = (fixture.clone(), *clause, last.clone());
    let run = move || block_on(run_through(&fixture, &clause, large_bytes, patience, &noted));
    watched(clause.name, patience, &last, run)
}

async fn run_through(
    fixture: &Fixture,
    clause: &Clause,
    large_bytes: Option<u64>,
    patience: Duration,
    last: &Arc<LastOperation>,
) -> Result<(), Failed> {
    let store = Arc::new(fixture.store_for(clause)?);
    let run = async {
        let context = Context::open(store.clone(), large_bytes, last.clone()).await?;
        (clause.run)(context).await
    };
    // A guard against hanging, never a means of waiting for something.
    let outcome = tokio::time::timeout(patience, run).await;
    let outcome = outcome.unwrap_or_else(|_| Err(hangs(clause.name, patience, last)));
    let disposed = match Arc::into_inner(store) {
        Some(store) => store.dispose().await,
        None => Ok(()), // A clause that timed out left a task behind; its failure reports that.
    };
    outcome.and(disposed)
}

/// Prints the reason of a failure, which libtest-mimic prints at the end of the suite.
#[expect(clippy::print_stderr, reason = "a suite that takes minutes, or is stopped, has told its failures")]
fn say_at_once(clause: &Clause, reason: &str) {
    eprintln!("{} FAILED: {reason}", clause.name);
}

/// The abilities of a store.
#[derive(Clone, Copy, Debug)]
struct Features {
    capabilities: Capabilities,
    /// The writer of a new file has a view.
    views: bool,
}

fn features(fixture: &Fixture) -> Result<Features, Failed> {
    let (last, fixture) = (Arc::default(), fixture.clone());
    let open = move || {
        block_on(async {
            let store = fixture.store()?;
            let driver = store.open().await?;
            let capabilities = driver.capabilities();
            let views = capabilities.read_only.is_none() && {
                let mode = WriteMode::Create(WriteHint::default());
                let writer = driver.writer(&path("/staged/data"), mode).await?;
                let has_view = writer.view().is_some();
                writer.cancel().await?;
                has_view
            };
            drop(driver);
            store.dispose().await?;
            Ok(Features { capabilities, views })
        })
    };
    watched("the first opening of a store", Duration::from_secs(OPENING_SECS), &last, open)
}

/// The missing capability or setting, in words.
fn lacking(
    need: Need,
    features: Features,
    is_in_this_process: bool,
    large_bytes: Option<u64>,
) -> Option<&'static str> {
    let Features { capabilities, views } = features;
    let (met, lacking) = match need {
        Need::Nothing => (true, ""),
        Need::AtomicRename => (capabilities.atomic_rename, "rename is not atomic"),
        Need::Durable => (capabilities.durable, "not durable"),
        Need::Flat => (capabilities.flat, "it has directories"),
        Need::Large => (large_bytes.is_some(), "set SAMPAN_CONFORMANCE_LARGE to a number of MiB"),
        Need::Linux => (executor::is_counted(), "Linux alone counts how often a thread waits"),
        Need::Process if is_in_this_process => (false, "the store is in the memory of this process"),
        Need::Process => (capabilities.durable, "not durable"),
        Need::NoRedirect => (!capabilities.redirect, "it redirects"),
        Need::Redirect => (capabilities.redirect, "no redirects"),
        Need::View => (views, "no views of staged files"),
    };
    (!met).then_some(lacking)
}

fn large_bytes() -> Result<Option<u64>, Failed> {
    let Some(text) = std::env::var_os("SAMPAN_CONFORMANCE_LARGE") else { return Ok(None) };
    let mebibytes =
        text.to_str().and_then(|text| text.parse::<u64>().ok()).filter(|mebibytes| *mebibytes > 0);
    match mebibytes.and_then(|mebibytes| mebibytes.checked_mul(1 << 20)) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(Failed::new(format_args!(
            "SAMPAN_CONFORMANCE_LARGE is {text:?}, but it must be a number of MiB, such as 5120"
        ))),
    }
}

/// How long a clause may take. Clauses of the contract do little each.
fn patience(clause: &Clause, pace: Pace, large_bytes: Option<u64>) -> Result<Duration, Failed> {
    let usual = match pace {
        Pace::Local if clause.name.starts_with("driver::") => 120,
        Pace::Local | Pace::Server => 300,
        Pace::Crawling => 600,
    };
    let times = match std::env::var_os("SAMPAN_CONFORMANCE_PATIENCE") {
        None => 1,
        Some(text) => {
            let times = text.to_str().and_then(|text| text.parse::<u32>().ok()).filter(|times| *times > 0);
            times.ok_or_else(|| {
                Failed::new(format_args!(
                    "SAMPAN_CONFORMANCE_PATIENCE is {text:?}, but it must be a number, such as 5"
                ))
            })?
        }
    };
    Ok(Duration::from_secs(usual + large_bytes.unwrap_or(0) / (1 << 20)) * times)
}

/// Each clause has its own runtime, so that tasks it leaves running cannot disturb another.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(future)
}

/// How long a store may take to open, with the time that its server needs.
const OPENING_SECS: u64 = 120;
