//! `Opened`: the parts that may be missing or forbidden to this process.

use std::sync::Arc;

use sampan_config::Config;
use sampan_driver::StorageDriver;

use super::store::InUse;
use super::{Access, AppError, network, store};
use crate::blocking::on_blocking_pool;
use crate::drivers::Drivers;
use crate::serve::Security;

/// The parts that may be missing or forbidden to this process. Opens them together, so that one error names all problems.
pub(super) struct Opened {
    pub(super) driver: Arc<dyn StorageDriver>,
    pub(super) access: Access,
    pub(super) security: Security,
    /// Lives as long as the registry.
    pub(super) used: Option<InUse>,
}

impl Opened {
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
    let Some(directory) = drivers.local_directory(selected) else { return Ok((driver, None)) };
    let used = on_blocking_pool(move || {
        store::examine(&directory, access)?;
        Ok::<_, AppError>(InUse::of(&directory))
    })
    .await?;
    Ok((driver, used))
}
