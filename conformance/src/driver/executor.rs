//! A driver does not block the thread that polls it.
//!
//! A thread that must wait for a disk or a lock yields its processor voluntarily, and Linux counts how often. So the clause
//! reads no clock: it counts the calls in whose polls the thread yielded. A good driver does so occasionally, for a lock that
//! another thread holds a moment too long, or for memory that the kernel has to find first; a driver that blocks its thread
//! does so nearly every time. Threads of one process that allocate memory wait for each other too, so the suite runs
//! nothing beside this clause; and a machine that is short of memory for a while looks the same, so the clause looks again.
//!
//! The clause cannot see waits that do not happen, such as for a file in the page cache or on a `tmpfs`.

use std::fs;
use std::future::Future;
use std::ops::Range;
use std::pin::pin;
use std::task::{Context as TaskContext, Poll};

use futures::TryStreamExt;
use futures::future::LocalBoxFuture;
use sampan_driver::{ByteRange, WriteHint, WriteMode};

use crate::check::ensure;
use crate::context::drain;
use crate::data::{bytes, path};
use crate::{Clause, Context, Failed, clause::table};

async fn no_operation_waits_where_it_is_polled(ctx: Context) -> Result<(), Failed> {
    let mut told: Vec<String> = Vec::new();
    for look in 0..LOOKS {
        let waits = waits(&ctx, look * ROUNDS..(look + 1) * ROUNDS).await?;
        let waiting = OPERATIONS.iter().zip(waits).filter(|(_, waited)| waited * 2 > ROUNDS);
        told = waiting.map(|(name, waited)| format!("{name} ({waited} of {ROUNDS})")).collect();
        if told.is_empty() {
            break;
        }
    }
    ensure(
        told.is_empty(),
        format_args!(
            "the thread that polls a future of the driver has to wait in it, and with it everything else that it runs: {}. \
             Wait on another thread, such as by tokio's spawn_blocking, unless sampan_driver::may_block() says that this \
             one may",
            told.join(", ")
        ),
    )
}

/// In how many of these rounds the thread had to wait, for each operation.
async fn waits(ctx: &Context, rounds: Range<usize>) -> Result<[usize; OPERATIONS.len()], Failed> {
    let (driver, content) = (ctx.driver(), bytes(1, 200_000));
    let mut waits = [0; OPERATIONS.len()];
    for round in rounds {
        let (file, moved) = (format!("/dir/{round}/file"), format!("/moved/{round}/file"));
        let (staged, blob) = (format!("/staged/{round}/data"), format!("/blobs/{round}/data"));
        let mut operations: Vec<LocalBoxFuture<'_, Result<(), Failed>>> = vec![
            Box::pin(ctx.put(&file, content.clone())),
            Box::pin(async { Ok(ctx.create(&format!("/created/{round}"), "content").await?) }),
            Box::pin(async { ctx.get(&file).await.map(drop) }),
            Box::pin(async { drain(driver.reader(&path(&file), ByteRange::ALL).await?).await.map(drop) }),
            Box::pin(async { ctx.stat(&file).await.map(drop) }),
            Box::pin(async { ctx.stage(&staged, content.clone()).await.map(drop) }),
            Box::pin(async {
                let mut writer = driver.writer(&path(&staged), WriteMode::Append).await?;
                writer.write(content.clone()).await?;
                Ok(writer.commit(&path(&blob)).await?)
            }),
            Box::pin(async {
                let hint = WriteHint { len: None, target: None };
                let writer = driver.writer(&path(&staged), WriteMode::Create(hint)).await?;
                Ok(writer.cancel().await?)
            }),
            Box::pin(async { Ok(driver.list(&path("/dir"), None).try_for_each(async |_| Ok(())).await?) }),
            Box::pin(async { Ok(driver.walk(&path("/dir"), None).try_for_each(async |_| Ok(())).await?) }),
            Box::pin(ctx.rename(&file, &moved)),
            Box::pin(ctx.delete(&moved)),
            Box::pin(async { ctx.delete_tree(&format!("/blobs/{round}")).await }),
        ];
        for (waited, operation) in waits.iter_mut().zip(&mut operations) {
            let (outcome, has_waited) = polled(operation).await;
            outcome?;
            *waited += usize::from(has_waited);
        }
    }
    Ok(waits)
}

/// The output of `future`, and whether the thread yielded its processor in one of its polls.
async fn polled<F: Future + Unpin>(future: &mut F) -> (F::Output, bool) {
    let (mut future, mut waits) = (pin!(future), 0);
    let outcome = std::future::poll_fn(|task: &mut TaskContext<'_>| -> Poll<F::Output> {
        let before = given_up();
        let polled = future.as_mut().poll(task);
        waits += given_up() - before;
        polled
    })
    .await;
    (outcome, waits > 0)
}

/// How often this thread has voluntarily yielded its processor.
fn given_up() -> u64 {
    let status = fs::read_to_string(STATUS).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// Whether the kernel counts voluntary switches.
pub(crate) fn is_counted() -> bool {
    fs::read_to_string(STATUS).is_ok_and(|status| status.contains("\nvoluntary_ctxt_switches:"))
}

const STATUS: &str = "/proc/thread-self/status";

/// The rounds of a look, and the most looks: a driver that blocks does so in each.
const ROUNDS: usize = 40;
const LOOKS: usize = 5;

/// The operations, in the order of the test.
const OPERATIONS: [&str; 13] = [
    "put_content",
    "put_content with Create",
    "get_content",
    "reader",
    "stat",
    "writer and close",
    "append and commit",
    "cancel",
    "list",
    "walk",
    "rename",
    "delete",
    "delete_tree",
];

pub(crate) const CLAUSES: &[Clause] = table! { "driver::executor":
    no_operation_waits_where_it_is_polled if Linux,
};
