//! Another process: this test program runs itself again to do something to a store, acknowledge it, and die.
//!
//! An environment variable names the fixture, the place of the store, and the act. The number of a fixture is its creation
//! order, so a `main` must create its fixtures in the same order each time.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::driver::durability;
use crate::{Context, Failed, Fixture};

/// The number of the next fixture.
pub(crate) fn next_fixture() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::SeqCst)
}

/// Whether this process was started to do something and die.
pub(crate) fn is_other() -> bool {
    std::env::var_os(ORDER).is_some()
}

/// Does the act that this process was started for and dies, if there is one and it concerns `fixture`.
///
/// A `main` that asks for no [`trials`](crate::trials) calls this for each of its fixtures.
pub fn do_and_die(fixture: &Fixture) {
    let Some(order) = std::env::var(ORDER).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok())
    else {
        return;
    };
    if order["fixture"].as_u64() != Some(fixture.number() as u64) {
        return;
    }
    // If this process hangs, its parent may be gone.
    thread::spawn(|| {
        thread::sleep(ANSWER_TIMEOUT);
        std::process::exit(HANGS);
    });
    let text = |key: &str| order[key].as_str().unwrap_or_default().to_owned();
    if let Err(failed) = obey(fixture, &text("place"), &text("act")) {
        tell(&failed.to_string());
        std::process::exit(FAILS);
    }
}

fn obey(fixture: &Fixture, place: &str, act: &str) -> Result<(), Failed> {
    crate::run::block_on(async {
        let context = Context::open(Arc::new(fixture.store_at(place)?), None, Arc::default()).await?;
        durability::act(act, &context).await?;
        tell(ACKNOWLEDGED);
        // Abort with the driver alive: nothing is dropped or flushed.
        std::process::abort();
    })
}

#[expect(clippy::print_stdout, reason = "this is how the processes speak to each other")]
fn tell(what: &str) {
    println!("{what}");
    let _ = std::io::stdout().flush();
}

/// Lets another process do `act` to the store at `place` of the fixture `fixture`, and waits for its end.
///
/// # Errors
///
/// When that process did not acknowledge.
pub(crate) fn act_elsewhere(fixture: usize, place: &str, act: &str) -> Result<(), Failed> {
    let order = json!({"fixture": fixture, "place": place, "act": act}).to_string();
    let output = Command::new(std::env::current_exe()?)
        .env(ORDER, order)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if said.lines().any(|line| line == ACKNOWLEDGED) && !output.status.success() {
        return Ok(());
    }
    Err(Failed::new(format_args!(
        "another process that was to {act} and die did not acknowledge ({}); it said: {} {} (does `main` make its fixtures \
         in the same order each time, and ask for their trials?)",
        output.status,
        said.trim(),
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

/// The variable that tells a process what to do.
const ORDER: &str = "SAMPAN_CONFORMANCE_ORDER";

const ACKNOWLEDGED: &str = "sampan-conformance: acknowledged";

const ANSWER_TIMEOUT: Duration = Duration::from_secs(100);

const FAILS: i32 = 3;

const HANGS: i32 = 4;
