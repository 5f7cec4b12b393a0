//! Running clauses: as trials of libtest-mimic, or one by its name.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use libtest_mimic::{Arguments, Trial};
use sampan_driver::Capabilities;
use tracing_subscriber::EnvFilter;

use crate::{Clause, Context, Failed, Fixture, Need, clauses};

/// Runs the suite as the command line asks (`--help` tells); the body of [`main!`](crate::main!).
pub fn run(fixture: Fixture) -> ExitCode {
    if std::env::var_os("RUST_LOG").is_some() {
        // libtest-mimic captures no output, so logs are silent unless they are asked for.
        tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).init();
    }
    libtest_mimic::run(&Arguments::from_args(), trials(&fixture)).exit_code()
}

/// The clauses as trials on the stores of `fixture`.
///
/// A store is opened to learn its capabilities. When that fails, every trial does, so that no filter hides it.
pub fn trials(fixture: &Fixture) -> Vec<Trial> {
    if let Some(reason) = fixture.ignored_reason() {
        let ignored =
            |clause: &Clause| Trial::test(clause.name, || Ok(())).with_kind(reason).with_ignored_flag(true);
        return clauses().map(ignored).collect();
    }
    let (capabilities, large_bytes) =
        match block_on(capabilities(fixture)).and_then(|can| Ok((can, large_bytes()?))) {
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
        let lacking = lacking(clause.need, capabilities, large_bytes);
        let test = move || run_on(&fixture, clause, large_bytes).map_err(|failed| failed.to_string().into());
        Trial::test(clause.name, test)
            .with_kind(lacking.unwrap_or_default())
            .with_ignored_flag(lacking.is_some())
    };
    clauses().map(trial).collect()
}

/// Runs the clause `name` on a store of `fixture`, whatever it needs.
///
/// # Errors
///
/// When the clause does not hold.
///
/// # Panics
///
/// When there is no clause of that name.
pub fn run_clause(fixture: &Fixture, name: &str) -> Result<(), Failed> {
    let Some(clause) = clauses().find(|clause| clause.name == name) else {
        panic!("there is no clause `{name}`");
    };
    run_on(fixture, clause, None)
}

fn run_on(fixture: &Fixture, clause: &Clause, large_bytes: Option<u64>) -> Result<(), Failed> {
    block_on(async {
        let context = Context::open(fixture.store()?, large_bytes).await?;
        // A guard against hanging, never a means of waiting for something.
        let patience = patience(large_bytes);
        let outcome = tokio::time::timeout(patience, (clause.run)(context.clone())).await;
        let outcome = outcome.unwrap_or_else(|_| {
            Err(Failed::new(format_args!(
                "{} has not come to an end in {} s: the driver hangs, or each of its operations takes too long \
                 (Fixture::paced is for such stores), or the machine has too much else to do",
                clause.name,
                patience.as_secs()
            )))
        });
        let disposed = context.dispose().await;
        outcome.and(disposed)
    })
}

async fn capabilities(fixture: &Fixture) -> Result<Capabilities, Failed> {
    let store = fixture.store()?;
    let capabilities = store.open().await?.capabilities();
    store.dispose().await?;
    Ok(capabilities)
}

/// What the store or the person lacks, in words.
fn lacking(need: Need, capabilities: Capabilities, large_bytes: Option<u64>) -> Option<&'static str> {
    let (met, lacking) = match need {
        Need::Nothing => (true, ""),
        Need::AtomicRename => (capabilities.atomic_rename, "rename is not atomic"),
        Need::Durable => (capabilities.durable, "not durable"),
        Need::Flat => (capabilities.flat, "it has directories"),
        Need::Large => (large_bytes.is_some(), "set SAMPAN_CONFORMANCE_LARGE to a number of MiB"),
        Need::NoRedirect => (!capabilities.redirect, "it redirects"),
        Need::Redirect => (capabilities.redirect, "no redirects"),
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

fn patience(large_bytes: Option<u64>) -> Duration {
    Duration::from_secs(300 + large_bytes.unwrap_or(0) / (1 << 20))
}

/// Each clause has a runtime of its own, so that what one leaves running cannot disturb another.
fn block_on<T>(future: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(future)
}
