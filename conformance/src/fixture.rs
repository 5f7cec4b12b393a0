//! `Fixture`: how to create an empty store, how to open the same store again, how to remove it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use sampan_driver::{DriverConfig, DriverPath, ErrorKind, StorageDriver};
use tempfile::TempDir;

use crate::faulty::Fault;
use crate::process::{act_elsewhere, next_fixture};
use crate::{Clause, Failed};

/// How to create, reopen and remove the stores of a driver.
#[derive(Clone)]
pub struct Fixture {
    /// Creates the place of an empty store, or opens the named place that another process has created.
    make: Make,
    number: usize,
    wraps: Vec<Wrap>,
    ignored: Option<String>,
    pace: Pace,
    is_exclusive: bool,
    is_in_this_process: bool,
}

/// How long an operation of a store takes; the suite scales its number of runs by it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Pace {
    /// Microseconds; the suite tries everything.
    #[default]
    Local,
    /// Milliseconds, as on a nearby server: flows fail only at every n-th operation, and collections run once.
    Server,
    /// Milliseconds on a server that processes requests serially: still fewer failures, and only the largest scenario of
    /// collections.
    Crawling,
}

impl Pace {
    /// The distance between the operations at which a flow fails.
    fn crash_stride(self) -> usize {
        match self {
            Self::Local => 1,
            Self::Server => 11,
            Self::Crawling => 47,
        }
    }
}

impl Fixture {
    /// Stores in a new temporary directory each; `config` turns the directory into the driver's configuration.
    ///
    /// Reopening a store builds that configuration again.
    pub fn in_dir<C: DriverConfig>(config: impl Fn(&Path) -> C + Send + Sync + 'static) -> Self {
        let config = Arc::new(config);
        Self::new(move |wanted| {
            let (dir, root): (_, PathBuf) = match wanted {
                StoreRequest::New => with_path(tempfile::tempdir()?),
                StoreRequest::Scratch => with_path(scratch_dir()?),
                StoreRequest::Existing(name) => (None, name.into()),
            };
            let (config, name) = (config.clone(), root.to_str().map(str::to_owned));
            let open = move || build(config(&root));
            Ok(StoreLocation { open: Box::new(open), name, dir, empty_on_dispose: false })
        })
    }

    /// Stores under a random key prefix each, for clouds where the bucket or container already exists.
    ///
    /// `config` puts the prefix (such as `sampan-conformance/0123456789abcdef`) where the driver has its root directory.
    /// Afterwards the driver itself deletes everything under the prefix.
    pub fn in_prefix<C: DriverConfig>(config: impl Fn(&str) -> C + Send + Sync + 'static) -> Self {
        let config = Arc::new(config);
        Self::new(move |wanted| {
            let prefix = match wanted {
                StoreRequest::New | StoreRequest::Scratch => {
                    format!("sampan-conformance/{:016x}", rand::random::<u64>())
                }
                StoreRequest::Existing(name) => name.to_owned(),
            };
            let config = config.clone();
            let name = Some(prefix.clone());
            let open = move || {
                let (config, prefix) = (config.clone(), prefix.clone());
                reach(move || config(&prefix))
            };
            Ok(StoreLocation { open: Box::new(open), name, dir: None, empty_on_dispose: true })
        })
    }

    /// Stores from `make` that die with the process; reopening one continues with the same driver.
    pub fn shared(make: impl Fn() -> Arc<dyn StorageDriver> + Send + Sync + 'static) -> Self {
        Self::new(move |_| {
            let driver = make();
            let open = move || std::future::ready(Ok(driver.clone())).boxed();
            Ok(StoreLocation { open: Box::new(open), name: None, dir: None, empty_on_dispose: false })
        })
    }

    /// No store: the suite shows every clause as ignored for `reason`, such as "set SAMPAN_S3_ENDPOINT".
    pub fn ignored(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let failed = reason.clone();
        let mut fixture =
            Self::new(move |_| Err(Failed::new(format_args!("there is no store to run on: {failed}"))));
        fixture.ignored = Some(reason);
        fixture
    }

    /// The same stores behind a decorator, which wraps the driver at each opening.
    #[must_use]
    pub fn decorated(
        mut self,
        wrap: impl Fn(Arc<dyn StorageDriver>) -> Arc<dyn StorageDriver> + Send + Sync + 'static,
    ) -> Self {
        self.wraps.push(Arc::new(wrap));
        self
    }

    /// The same stores, with their speed declared.
    #[must_use]
    pub fn paced(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// The same stores, each of which only one driver can have open at a time, such as an embedded database that locks its
    /// file.
    ///
    /// The suite then drops the first driver before it opens a second, and skips tests with two open drivers.
    #[must_use]
    pub fn exclusive(mut self) -> Self {
        self.is_exclusive = true;
        self
    }

    /// The same stores, declared to be in the memory of this process, although their driver is for durable stores: the suite
    /// cannot test them beyond the end of a process, and shows those clauses as ignored.
    #[must_use]
    pub fn in_this_process(mut self) -> Self {
        self.is_in_this_process = true;
        self
    }

    /// How fast the stores are.
    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// Whether no other process can open the stores.
    pub(crate) fn is_in_this_process(&self) -> bool {
        self.is_in_this_process
    }

    /// The number of this fixture in the program.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Why the suite ignores every clause, if it does.
    pub(crate) fn ignored_reason(&self) -> Option<&str> {
        self.ignored.as_deref()
    }

    /// Creates an empty store.
    pub(crate) fn store(&self) -> Result<Store, Failed> {
        self.store_in((self.make)(StoreRequest::New)?)
    }

    /// Creates an empty store for a clause. The contract is tested where tests have their files, and what is built on it
    /// in the directory `SAMPAN_CONFORMANCE_SCRATCH`, if that is set.
    pub(crate) fn store_for(&self, clause: &Clause) -> Result<Store, Failed> {
        let is_of_contract = clause.name.starts_with("driver::");
        self.store_in((self.make)(if is_of_contract { StoreRequest::New } else { StoreRequest::Scratch })?)
    }

    /// The store that another process has created at `place`.
    pub(crate) fn store_at(&self, place: &str) -> Result<Store, Failed> {
        self.store_in((self.make)(StoreRequest::Existing(place))?)
    }

    fn store_in(&self, place: StoreLocation) -> Result<Store, Failed> {
        let (fixture, is_exclusive) = (self.number, self.is_exclusive);
        Ok(Store { place, wraps: self.wraps.clone(), pace: self.pace, fixture, is_exclusive })
    }

    fn new(make: impl Fn(StoreRequest<'_>) -> Result<StoreLocation, Failed> + Send + Sync + 'static) -> Self {
        Self {
            make: Arc::new(make),
            number: next_fixture(),
            wraps: Vec::new(),
            ignored: None,
            pace: Pace::default(),
            is_exclusive: false,
            is_in_this_process: false,
        }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("ignored", &self.ignored).finish_non_exhaustive()
    }
}

/// A store that the suite can open repeatedly.
pub(crate) struct Store {
    place: StoreLocation,
    wraps: Vec<Wrap>,
    pace: Pace,
    fixture: usize,
    is_exclusive: bool,
}

impl Store {
    /// Opens the store like a new process.
    pub(crate) async fn open(&self) -> Result<Arc<dyn StorageDriver>, Failed> {
        let driver = (self.place.open)().await?;
        Ok(self.wraps.iter().fold(driver, |driver, wrap| wrap(driver)))
    }

    /// The operations, counted from 1, that fail with `fault`, one per run. The first one differs between the faults.
    pub(crate) fn moments(&self, fault: Fault) -> impl Iterator<Item = u64> + use<> {
        let stride = self.pace.crash_stride();
        (1 + (fault as usize * stride / Fault::ALL.len()) as u64..).step_by(stride)
    }

    pub(crate) fn pace(&self) -> Pace {
        self.pace
    }

    /// Whether only one driver at a time can have the store open.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    /// Lets another process do `act` and die. No driver may have the store open.
    pub(crate) fn act_elsewhere(&self, act: &str) -> Result<(), Failed> {
        let Some(place) = &self.place.name else {
            return Err(Failed::new(
                "the driver says that its stores are durable, but those of Fixture::shared die with the process: use \
                 Fixture::in_dir or Fixture::in_prefix",
            ));
        };
        act_elsewhere(self.fixture, place, act)
    }

    /// Removes the store completely. The clause is over, so a server that cut a connection is asked again.
    pub(crate) async fn dispose(self) -> Result<(), Failed> {
        if self.place.empty_on_dispose {
            let mut attempts_left = DISPOSE_ATTEMPTS;
            loop {
                attempts_left -= 1;
                match (self.place.open)().await?.delete_tree(&DriverPath::root()).await {
                    Err(error) if error.kind() == ErrorKind::Unavailable && attempts_left > 0 => {}
                    emptied => break emptied?,
                }
            }
        }
        if let Some(dir) = self.place.dir {
            dir.close()?;
        }
        Ok(())
    }
}

/// How often a store is emptied before the suite gives up.
const DISPOSE_ATTEMPTS: u32 = 5;

/// The location of a store.
struct StoreLocation {
    open: Box<dyn Fn() -> Opening + Send + Sync>,
    /// The name by which another process finds the place, if one can.
    name: Option<String>,
    /// Removed with its content when the place is dropped.
    dir: Option<TempDir>,
    empty_on_dispose: bool,
}

/// The store that a fixture must make.
#[derive(Clone, Copy)]
enum StoreRequest<'a> {
    /// A new one.
    New,
    /// A new one, in memory if there is a directory for it.
    Scratch,
    /// The one of that name, which another process has made.
    Existing(&'a str),
}

type Make = Arc<dyn Fn(StoreRequest<'_>) -> Result<StoreLocation, Failed> + Send + Sync>;

type Opening = BoxFuture<'static, Result<Arc<dyn StorageDriver>, Failed>>;

type Wrap = Arc<dyn Fn(Arc<dyn StorageDriver>) -> Arc<dyn StorageDriver> + Send + Sync>;

fn with_path(dir: TempDir) -> (Option<TempDir>, PathBuf) {
    let path = dir.path().to_owned();
    (Some(dir), path)
}

fn scratch_dir() -> std::io::Result<TempDir> {
    match std::env::var_os("SAMPAN_CONFORMANCE_SCRATCH").filter(|dir| !dir.is_empty()) {
        Some(dir) => tempfile::tempdir_in(dir),
        None => tempfile::tempdir(),
    }
}

fn build<C: DriverConfig>(config: C) -> Opening {
    async { Ok(config.build().await?) }.boxed()
}

/// Opens a driver on a server. A server busy with other clauses may not answer within the seconds that a driver waits when it
/// is built, so this retries and prints each failure.
#[expect(clippy::print_stderr, reason = "what was tried again is to be seen")]
fn reach<C: DriverConfig>(config: impl Fn() -> C + Send + 'static) -> Opening {
    async move {
        for _ in 1..OPEN_ATTEMPTS {
            match config().build().await {
                Ok(driver) => return Ok(driver),
                Err(error) => eprintln!("a store is opened once more, since {error}"),
            }
        }
        Ok(config().build().await?)
    }
    .boxed()
}

/// How often the suite tries to open a store on a server.
const OPEN_ATTEMPTS: u32 = 3;
