//! `StartParts`: the parts that may be missing or forbidden to this process.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use sampan_config::Config;
use sampan_driver::{StorageDriver, StoreAccess};
use sampan_engine::layout;
use sampan_engine::migrate::{Begun, Moved};
use tokio::time::timeout;

use super::store::InUse;
use super::{Access, AppError, network, store};
use crate::auth::rfc3339;
use crate::blocking::on_blocking_pool;
use crate::drivers::Drivers;
use crate::maintenance::prepare_store;
use crate::serve::Security;

/// The parts that may be missing or forbidden to this process. Opens them together, so that one error names all problems.
pub(super) struct StartParts {
    pub(super) driver: Arc<dyn StorageDriver>,
    pub(super) access: Access,
    pub(super) security: Security,
    /// Lives as long as the registry.
    pub(super) used: Option<InUse>,
}

impl StartParts {
    pub(super) async fn open(config: &Config, drivers: &Drivers) -> Result<Self, AppError> {
        let (driver, access, security) = (
            open_store(config, drivers).await,
            Access::open(&config.auth).await,
            network::security(&config.http).await,
        );
        match (driver, access, security) {
            (Ok((driver, used)), Ok(access), Ok(security)) => Ok(Self { driver, access, security, used }),
            (driver, access, security) => {
                let errors = [driver.err(), access.err(), security.err()].into_iter().flatten().collect();
                Err(AppError::all(errors).unwrap_or(AppError::Several(Vec::new())))
            }
        }
    }
}

async fn open_store(
    config: &Config,
    drivers: &Drivers,
) -> Result<(Arc<dyn StorageDriver>, Option<InUse>), AppError> {
    let (selected, access) = (&config.storage.driver, store::access(config));
    let driver = drivers.build(selected, access).await?;
    if access == StoreAccess::ReadWrite {
        warn_if_moved(&driver).await;
        warn_if_filled(&driver).await;
        warn_if_backups(&driver).await;
        // A store that is slow now is prepared later.
        _ = timeout(MAX_WAIT, prepare_store(&driver)).await;
    }
    let Some(directory) = drivers.local_directory(selected) else { return Ok((driver, None)) };
    let used = on_blocking_pool(move || {
        store::examine(&directory, access)?;
        Ok::<_, AppError>(InUse::of(&directory))
    })
    .await?;
    Ok((driver, used))
}

/// Warns if a migration has moved the store: what is pushed here is missing where clients go next. A store that cannot be read
/// now is a matter of the health checks.
async fn warn_if_moved(driver: &Arc<dyn StorageDriver>) {
    if let Ok(Ok(Some(Moved { to, at }))) = timeout(MAX_WAIT, Moved::read(driver)).await {
        tracing::warn!(
            %to,
            "this store was moved to {to} at {}, and this registry takes pushes that are missing there: serve that store, or \
             delete {} here if this one is in use again",
            rfc3339(Some(at)),
            layout::Entry::Moved.path()
        );
    }
}

/// Warns if a migration that is not finished fills the store: its end removes what is pushed here meanwhile.
async fn warn_if_filled(driver: &Arc<dyn StorageDriver>) {
    if let Ok(Ok(Some(Begun { from, at, finished, merge, .. }))) =
        timeout(MAX_WAIT, Begun::read(driver)).await
    {
        let finished = match finished.is_empty() {
            true => String::new(),
            false => format!(" but for {}, which is finished", finished.join(", ")),
        };
        let harm = if merge { "may replace tags that are pushed" } else { "removes what is pushed" };
        tracing::warn!(
            %from,
            "a migration from {from} that began at {} fills this store{finished}, and its end {harm} here meanwhile: finish \
             it, or delete {} here if it does not continue",
            rfc3339(Some(at)),
            layout::Entry::MigrationBegun.path()
        );
    }
}

/// Warns if the store has the snapshots of another one: no snapshot has what is pushed here.
async fn warn_if_backups(driver: &Arc<dyn StorageDriver>) {
    let root = layout::snapshots_root();
    let mut snapshots = driver.list(&root, None);
    if let Ok(Some(Ok(_))) = timeout(MAX_WAIT, snapshots.next()).await {
        tracing::warn!(
            "this store has the backups of another one, and this registry takes pushes, which no snapshot has: set \
             storage.maintenance.readonly.enabled, or delete {root} here if nothing of the backups is needed",
        );
    }
}

/// How long the start of the registry waits for the marker of a migration.
const MAX_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use sampan_driver::PutMode;
    use sampan_driver_inmemory::InMemoryDriver;

    use super::*;
    use crate::test_log::TestLog;

    #[tokio::test]
    async fn a_store_that_a_migration_fills_is_warned_of() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let log = TestLog::default();
        let guard = log.capture();
        warn_if_filled(&driver).await;
        assert_eq!(log.text(), "");
        let path = layout::Entry::MigrationBegun.path();
        for (content, expected) in [
            ("", "removes what is pushed"),
            (r#","finished":["team/**"]"#, "but for team/**, which is finished"),
            (r#","merge":true"#, "may replace tags"),
        ] {
            let content = format!(r#"{{"from":"s3 bucket=a","begun_ms":0{content}}}"#);
            driver.put_content(&path, content.into(), PutMode::Overwrite).await.unwrap();
            warn_if_filled(&driver).await;
            assert!(log.text().contains(expected), "{}", log.text());
        }
        drop(guard);
        assert!(log.text().contains("a migration from s3 bucket=a"), "{}", log.text());
    }

    #[tokio::test]
    async fn a_store_of_backups_is_warned_of() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let log = TestLog::default();
        let guard = log.capture();
        warn_if_backups(&driver).await;
        assert_eq!(log.text(), "");
        let path = layout::Entry::Snapshot(1).path();
        driver.put_content(&path, Bytes::new(), PutMode::Create).await.unwrap();
        warn_if_backups(&driver).await;
        drop(guard);
        assert!(log.text().contains("backups of another one"), "{}", log.text());
    }

    #[tokio::test]
    async fn a_store_that_was_moved_is_warned_of() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let log = TestLog::default();
        let guard = log.capture();
        warn_if_moved(&driver).await;
        assert_eq!(log.text(), "");
        let content = Bytes::from_static(b"{\"to\":\"s3 bucket=b\",\"moved_ms\":0}");
        driver.put_content(&layout::Entry::Moved.path(), content, PutMode::Overwrite).await.unwrap();
        warn_if_moved(&driver).await;
        drop(guard);
        assert!(log.text().contains("moved to s3 bucket=b at 1970"), "{}", log.text());
    }
}
