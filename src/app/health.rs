//! The configured health checks.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, HeaderValue};
use async_trait::async_trait;
use futures::future::join_all;
use sampan_config::{Config, HealthConfig};
use sampan_driver::{StorageDriver, StoreAccess};
use sampan_shown_url::ShownUrl;

use super::{AppError, store};
use crate::blocking::on_blocking_pool;
use crate::health::{
    Check, CheckResult, DiskSpace, FileCheck, HealthStatus, HttpCheck, HttpRequest, PeriodicCheck, SpaceNeed,
    StorageCheck, TcpCheck,
};
use crate::http_client;

/// The interval for the value 0, as in Distribution, and the default interval of the disk check.
const INTERVAL: Duration = Duration::from_secs(10);

/// All configured checks.
pub(super) struct Checks {
    board: HealthStatus,
    watches: Vec<PeriodicCheck>,
    disk: Option<Disk>,
}

struct Disk {
    space: DiskSpace,
    interval: Duration,
    need: SpaceNeed,
}

impl Checks {
    /// The checks of `config` over `driver`, whose files are in `directory` if they are on this machine.
    pub(super) fn new(
        config: &Config,
        driver: Arc<dyn StorageDriver>,
        directory: Option<PathBuf>,
    ) -> Result<Self, AppError> {
        let access = store::access(config);
        let watches = match &config.health {
            Some(health) => {
                let (driver, directory) = (StorageCheck(driver), directory.clone());
                let check = StoreCheck { driver, directory, access, told: AtomicBool::new(false) };
                watches(health, config.storage.driver.name(), check)?
            }
            None => Vec::new(),
        };
        let floor = config.health.as_ref().map(|health| &health.diskspace).filter(|floor| floor.enabled);
        let disk = directory.map(|directory| Disk {
            space: DiskSpace::new(directory),
            interval: or_default(floor.map_or(INTERVAL, |floor| floor.interval)),
            need: match access {
                StoreAccess::ReadOnly => SpaceNeed::Nothing,
                StoreAccess::ReadWrite => {
                    SpaceNeed::Writes { floor_bytes: floor.map_or(0, |floor| floor.floor.0) }
                }
            },
        });
        Ok(Self { board: HealthStatus::default(), watches, disk })
    }

    /// The results of the checks.
    pub(super) fn board(&self) -> HealthStatus {
        self.board.clone()
    }

    /// The free space, if known.
    pub(super) fn disk_space(&self) -> Option<DiskSpace> {
        self.disk.as_ref().map(|disk| disk.space.clone())
    }

    /// Runs the checks for ever.
    pub(super) async fn run(self) {
        let Self { board, watches, disk } = self;
        let disk = async {
            if let Some(Disk { space, interval, need }) = disk {
                space.run(interval, need, board.clone()).await;
            }
        };
        let watches = join_all(watches.into_iter().map(|watch| watch.run(board.clone())));
        tokio::join!(disk, watches);
        // Without any check this waits for ever too, since its caller waits for the end.
        std::future::pending::<()>().await;
    }
}

/// A check of the store through its driver, and of this process's permissions in its directory.
#[derive(Debug)]
struct StoreCheck {
    driver: StorageCheck,
    directory: Option<PathBuf>,
    access: StoreAccess,
    /// Whether the remedy is in the log. Clients see the result of a check, so the result contains no paths.
    told: AtomicBool,
}

#[async_trait]
impl Check for StoreCheck {
    async fn probe(&self) -> Result<CheckResult, String> {
        let seen = match (self.driver.probe().await?, self.access) {
            // A read-only registry writes nothing.
            (CheckResult::ReadOnly(_), StoreAccess::ReadOnly) => CheckResult::Well,
            (seen, _) => seen,
        };
        let (CheckResult::Well, Some(directory), access) = (&seen, self.directory.clone(), self.access)
        else {
            return Ok(seen);
        };
        let refusal = on_blocking_pool(move || store::refusal(&directory, access)).await;
        let told = self.told.swap(refusal.is_some(), Ordering::Relaxed);
        let Some(remedy) = refusal else { return Ok(CheckResult::Well) };
        if !told {
            tracing::error!("{remedy}");
        }
        match access {
            StoreAccess::ReadWrite => {
                Ok(CheckResult::ReadOnly("this process lacks permission to write to the store".to_owned()))
            }
            StoreAccess::ReadOnly => Err("this process lacks permission to read the store".to_owned()),
        }
    }
}

fn watches(health: &HealthConfig, kind: &str, store: StoreCheck) -> Result<Vec<PeriodicCheck>, AppError> {
    let watch = |name: &str, check: Arc<dyn Check>, interval: Duration, threshold: i64| PeriodicCheck {
        name: name.to_owned(),
        check,
        interval: or_default(interval),
        threshold: u32::try_from(threshold.max(0)).unwrap_or(u32::MAX),
    };
    let mut watches = Vec::new();
    let storage = &health.storagedriver;
    if storage.enabled {
        let name = format!("storagedriver_{kind}");
        watches.push(watch(&name, Arc::new(store), storage.interval, storage.threshold));
    }
    // The check of the configuration guarantees these names.
    for file in &health.file {
        let name = file.file.clone().unwrap_or_default();
        let path = std::path::absolute(&name).unwrap_or_else(|_| PathBuf::from(&name));
        watches.push(watch(&name, Arc::new(FileCheck(path)), file.interval, file.threshold));
    }
    for tcp in &health.tcp {
        let name = tcp.addr.clone().unwrap_or_default();
        let check = TcpCheck { address: name.clone(), timeout: some(tcp.timeout) };
        watches.push(watch(&name, Arc::new(check), tcp.interval, tcp.threshold));
    }
    if health.http.is_empty() {
        return Ok(watches);
    }
    // A check that exceeds its interval has failed.
    let longest = health.http.iter().map(|http| or_default(http.interval)).max().unwrap_or(INTERVAL);
    let client = http_client::client(longest, None)?;
    for http in &health.http {
        let shown = ShownUrl::new(http.uri.as_deref().unwrap_or_default()).to_string();
        // URLs that differ only in hidden parts are different checks.
        let others = |name: &String| watches.iter().any(|watch| watch.name == *name);
        let mut names = std::iter::once(shown.clone()).chain((2..).map(|number| format!("{shown}#{number}")));
        let name = names.find(|name| !others(name)).unwrap_or(shown);
        let check = HttpCheck { client: client.clone(), request: request(http)?, status: http.statuscode };
        watches.push(watch(&name, Arc::new(check), http.interval, http.threshold));
    }
    Ok(watches)
}

fn request(http: &sampan_config::HttpCheck) -> Result<HttpRequest, AppError> {
    let uri = http.uri.clone().unwrap_or_default();
    let invalid = |what: String| AppError::HealthRequest { uri: ShownUrl::new(&uri), what };
    let url = uri.parse().map_err(|error| invalid(format!("{error}")))?;
    let mut headers = HeaderMap::new();
    for (name, values) in &http.headers {
        let header: HeaderName = name.parse().map_err(|_| invalid(format!("{name:?} is not a header")))?;
        for value in values {
            let value = HeaderValue::from_str(value.expose())
                .map_err(|_| invalid(format!("a value of {name} cannot be sent")))?;
            headers.append(header.clone(), value);
        }
    }
    Ok(HttpRequest { url, headers, timeout: some(http.timeout) })
}

fn or_default(interval: Duration) -> Duration {
    some(interval).unwrap_or(INTERVAL)
}

fn some(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}
