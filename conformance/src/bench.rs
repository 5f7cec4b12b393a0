//! How fast a driver is: the bodies of the benches that [`bench!`](crate::bench!) runs on its stores.
//!
//! Simple on purpose: each case repeats one operation for about a second and prints a row. The table compares drivers, and
//! versions of a driver; it claims no further precision.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use sampan_driver::{ByteRange, DriverPath, PutMode, StorageDriver, WriteHint, WriteMode};

use crate::data::{bytes, path};
use crate::fixture::Store;
use crate::{Failed, Fixture};

/// Runs all cases whose names contain the first argument of the command line; the body of [`bench!`](crate::bench!).
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a table on the terminal is the purpose")]
pub fn run(fixture: &Fixture) -> ExitCode {
    if let Some(reason) = fixture.ignored_reason() {
        println!("ignored: {reason}");
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    println!("{:<28} {:>12} {:>12} {:>12}", "case", "times", "ops/s", "MiB/s");
    for case in CASES.iter().filter(|case| case.name.contains(&filter)) {
        match measure(fixture, case) {
            Ok(Measured { times, bytes, elapsed }) => {
                let per_second = |amount: f64| amount / elapsed.as_secs_f64();
                let mebibytes = match bytes {
                    0 => String::from("-"),
                    bytes => format!("{:.1}", per_second(bytes as f64 / f64::from(1 << 20))),
                };
                println!("{:<28} {times:>12} {:>12.1} {mebibytes:>12}", case.name, per_second(times as f64));
            }
            Err(failed) => {
                eprintln!("{}: {failed}", case.name);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Defines the `main` of a bench (`harness = false`) on the stores of a [`Fixture`].
#[macro_export]
macro_rules! bench {
    ($fixture:expr $(,)?) => {
        fn main() -> ::std::process::ExitCode {
            #[allow(unused_imports, reason = "the fixture may be made elsewhere")]
            use $crate::Fixture;
            $crate::bench::run(&$fixture)
        }
    };
}

/// One row.
struct Case {
    name: &'static str,
    what: What,
}

/// The repeated operation and its size.
enum What {
    /// `put_content`, `get_content` and `delete` of this number of bytes.
    PutGet(usize),
    /// A writer, commit, reader and `delete` of this number of bytes.
    Stream(u64),
    /// A listing of this number of children.
    List(usize),
    /// Deletion of a tree of this number of files; the measurement excludes filling it.
    Delete(usize),
    /// A walk over this number of files.
    Walk(usize),
}

struct Measured {
    times: u64,
    bytes: u64,
    elapsed: Duration,
}

fn measure(fixture: &Fixture, case: &Case) -> Result<Measured, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let store: Store = fixture.store()?;
        let driver = store.open().await?;
        let measured = repeat(&*driver, &case.what).await?;
        drop(driver);
        store.dispose().await?;
        Ok(measured)
    })
}

async fn repeat(driver: &dyn StorageDriver, what: &What) -> Result<Measured, Failed> {
    if let What::List(files) | What::Walk(files) = what {
        fill(driver, *files).await?;
    }
    let content = match what {
        What::PutGet(size) => bytes(1, *size),
        What::Stream(size) => bytes(1, (*size).min(1 << 20) as usize),
        What::List(_) | What::Delete(_) | What::Walk(_) => Bytes::new(),
    };
    let mut measured = Measured { times: 0, bytes: 0, elapsed: Duration::ZERO };
    while measured.elapsed < CASE_TIME {
        if let What::Delete(files) = what {
            fill(driver, *files).await?;
        }
        let begin = Instant::now();
        measured.bytes += match what {
            What::PutGet(_) => put_get(driver, &content).await?,
            What::Stream(size) => stream(driver, *size, &content).await?,
            What::List(_) => driver.list(&path("/many/0"), None).try_fold(0, |_, _| async { Ok(0) }).await?,
            What::Delete(_) => driver.delete_tree(&path("/many")).await.map(|()| 0)?,
            What::Walk(_) => {
                driver.walk(&DriverPath::root(), None).try_fold(0, |_, _| async { Ok(0) }).await?
            }
        };
        measured.elapsed += begin.elapsed();
        measured.times += 1;
    }
    Ok(measured)
}

async fn put_get(driver: &dyn StorageDriver, content: &Bytes) -> Result<u64, Failed> {
    let file = path("/bench/file");
    driver.put_content(&file, content.clone(), PutMode::Overwrite).await?;
    let read = driver.get_content(&file).await?;
    driver.delete(&file).await?;
    Ok(2 * read.len() as u64)
}

async fn stream(driver: &dyn StorageDriver, size: u64, block: &Bytes) -> Result<u64, Failed> {
    let (staged, file) = (path("/bench/staged"), path("/bench/file"));
    let hint = WriteHint { len: Some(size), target: Some(file.clone()) };
    let mut writer = driver.writer(&staged, WriteMode::Create(hint)).await?;
    while writer.size() < size {
        writer.write(block.clone()).await?;
    }
    writer.commit(&file).await?;
    let mut read = 0;
    let mut stream = driver.reader(&file, ByteRange::ALL).await?.into_stream();
    while let Some(chunk) = stream.try_next().await? {
        read += chunk.len() as u64;
    }
    driver.delete(&file).await?;
    Ok(size + read)
}

async fn fill(driver: &dyn StorageDriver, files: usize) -> Result<(), Failed> {
    let put = |index: usize| async move {
        let file = path(&format!("/many/{}/file-{index:06}", index % FOLDERS.min(index / 50 + 1)));
        driver.put_content(&file, Bytes::from_static(b"content"), PutMode::Overwrite).await
    };
    let mut puts = futures::stream::iter(0..files).map(put).buffer_unordered(16);
    while puts.try_next().await?.is_some() {}
    Ok(())
}

const CASES: &[Case] = &[
    Case { name: "put-get 0 B", what: What::PutGet(0) },
    Case { name: "put-get 1 KiB", what: What::PutGet(1 << 10) },
    Case { name: "put-get 1 MiB", what: What::PutGet(1 << 20) },
    Case { name: "stream 0 B", what: What::Stream(0) },
    Case { name: "stream 1 KiB", what: What::Stream(1 << 10) },
    Case { name: "stream 1 MiB", what: What::Stream(1 << 20) },
    Case { name: "stream 256 MiB", what: What::Stream(256 << 20) },
    Case { name: "list 50", what: What::List(50) },
    Case { name: "delete 50", what: What::Delete(50) },
    Case { name: "walk 5000", what: What::Walk(5_000) },
];

/// How long a case repeats.
const CASE_TIME: Duration = Duration::from_secs(1);

/// Over how many folders a large tree spreads its files.
const FOLDERS: usize = 100;
