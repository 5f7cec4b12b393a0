//! `Lease`: the right to collect in a store, which one collector has at a time; and its notices to those who promise.

use std::sync::Arc;
use std::time::Duration;

use sampan_driver::{ErrorKind, PutMode, StorageDriver, StorageDriverExt};
use tokio::time::{Instant, timeout};

use super::options::Stop;
use super::{Error, Result};
use crate::clock::Clock;
use crate::layout::Entry;
use crate::promise::{Doomed, Key, NOTICE, RunNotice, millis};

/// How long a collector is believed to be alive without a sign of life.
pub const LEASE: Duration = Duration::from_secs(120);

/// How long a collector waits, once its notice is up, before it marks: longer than anybody believes that there is none, and
/// than a write takes that relies on it.
pub const SETTLE: Duration = Duration::from_secs(NOTICE.as_secs() + 3);

/// How often it gives a sign of life.
const RENEWAL: Duration = Duration::from_secs(20);

/// How much of the lease must be left for a deletion: what clocks may differ, and what the deletion may take.
const MARGIN: Duration = Duration::from_secs(60);

/// The right to collect in a store.
#[derive(Debug)]
pub(super) struct Lease {
    driver: Arc<dyn StorageDriver>,
    clock: Clock,
    notice: RunNotice,
    renewed: Instant,
}

impl Lease {
    /// Takes the lease, from a collector that died if need be. Two that try at once both write; the last one has it.
    pub(super) async fn take(
        driver: &Arc<dyn StorageDriver>,
        clock: &Clock,
        grace: Duration,
        stop: &Stop,
    ) -> Result<Self> {
        let mut lease = Self {
            driver: driver.clone(),
            clock: clock.clone(),
            notice: RunNotice {
                id: uuid::Uuid::new_v4().to_string(),
                expires_ms: 0,
                grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX),
            },
            renewed: Instant::now(),
        };
        match lease.write(PutMode::Create).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                lease.check_abandoned().await?;
                // Replaced, not removed: there is no moment at which somebody would see no run.
                lease.write(PutMode::Overwrite).await?;
            }
            result => result?,
        }
        if !grace.is_zero() && timeout(SETTLE, stop.said()).await.is_ok() {
            lease.release().await?;
            return Err(Error::Stopped);
        }
        lease.check_mine().await?;
        // What a dead collector was about to delete.
        lease.clear().await?;
        Ok(lease)
    }

    /// Gives a sign of life when the last one was some time ago.
    pub(super) async fn keep(&mut self) -> Result<()> {
        if self.renewed.elapsed() < RENEWAL {
            return Ok(());
        }
        self.check_mine().await?;
        Ok(self.write(PutMode::Overwrite).await?)
    }

    /// Makes sure that the lease holds while something is deleted.
    pub(super) async fn hold(&mut self) -> Result<()> {
        self.keep().await?;
        if self.renewed.elapsed() + MARGIN > LEASE { Err(Error::Lost) } else { Ok(()) }
    }

    /// Says what is about to be deleted.
    pub(super) async fn publish(&mut self, keys: &[Key]) -> Result<()> {
        self.check_mine().await?;
        let path = Entry::CollectionDoomed.path();
        Ok(self.driver.put_content(&path, Doomed::content(keys), PutMode::Overwrite).await?)
    }

    /// Says that it was.
    pub(super) async fn clear(&self) -> Result<()> {
        Ok(self.driver.delete(&Entry::CollectionDoomed.path()).await?)
    }

    /// Gives the lease back.
    pub(super) async fn release(self) -> Result<()> {
        self.check_mine().await?;
        Ok(self.driver.delete(&Entry::CollectionRun.path()).await?)
    }

    async fn write(&mut self, mode: PutMode) -> sampan_driver::Result<()> {
        let renewed = Instant::now();
        self.notice.expires_ms = millis(self.clock.now() + LEASE);
        self.driver.put_content(&Entry::CollectionRun.path(), self.notice.to_bytes(), mode).await?;
        self.renewed = renewed;
        Ok(())
    }

    async fn check_abandoned(&self) -> Result<()> {
        let path = Entry::CollectionRun.path();
        let Some(info) = self.driver.stat_if_any(&path).await? else { return Ok(()) };
        let Some(content) = self.driver.get_content_if_any(&path).await? else { return Ok(()) };
        let now = millis(self.clock.now());
        // What cannot be read was written by nobody we know, and is given as much time as a collector.
        let unknown = millis(info.modified + LEASE);
        let expires = RunNotice::parse(&content).map_or(unknown, |notice| notice.expires_ms);
        if expires <= now {
            Ok(())
        } else {
            Err(Error::Running { path, seconds: (expires - now).div_ceil(1000) })
        }
    }

    async fn check_mine(&self) -> Result<()> {
        let content = self.driver.get_content_if_any(&Entry::CollectionRun.path()).await?;
        let notice = content.and_then(|content| RunNotice::parse(&content));
        if notice.is_some_and(|notice| notice.id == self.notice.id) { Ok(()) } else { Err(Error::Lost) }
    }
}
