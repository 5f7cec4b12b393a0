//! One of the registries over a store purges abandoned uploads, once per interval.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::join_all;
use sampan_driver::{DriverPath, PutMode, StorageDriver};
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::layout::Entry;
use sampan_engine::{Clock, PurgeOptions, PurgeTurn, Registry};

use super::{begin, over, uploads};
use crate::support::FailingDriver;
use crate::support::failing_driver::Misbehaviour;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Another registry, some time later.
fn later(driver: &Arc<dyn StorageDriver>, by: Duration) -> Registry {
    Registry::builder(driver.clone()).clock(Clock::new(move || SystemTime::now() + by)).build()
}

/// Purges everything once per hour; returns the number of uploads if a purge was due.
async fn purge(registry: &Registry) -> Result<Option<u64>, sampan_engine::Error> {
    let options = PurgeOptions { older_than: SystemTime::now() + HOUR, dry_run: false };
    Ok(match registry.purge_uploads_in_turn(&options, HOUR).await? {
        PurgeTurn::Purged(report) => Some(report.purged),
        PurgeTurn::NotDue(due_in) => {
            assert!(!due_in.is_zero() && due_in <= HOUR, "{due_in:?}");
            None
        }
    })
}

#[tokio::test]
async fn a_purge_by_one_registry_spares_the_others() {
    let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    let (one, other) = (over(driver.clone()), over(driver.clone()));
    begin(&one, b"given up").await;
    assert_eq!(purge(&one).await.unwrap(), Some(1));
    let id = begin(&one, b"given up, too").await;
    for registry in [&other, &one, &later(&driver, HOUR - Duration::from_secs(60))] {
        assert_eq!(purge(registry).await.unwrap(), None);
    }
    assert!(uploads(&other).status(&id).await.is_ok());
    assert_eq!(purge(&later(&driver, 2 * HOUR)).await.unwrap(), Some(1));
    assert_eq!(purge(&later(&driver, 2 * HOUR)).await.unwrap(), None);
}

#[tokio::test]
async fn of_many_simultaneous_registries_one_purges() {
    let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    for round in 0..3 {
        let registries: Vec<_> = (0..20).map(|_| later(&driver, 2 * HOUR * round)).collect();
        begin(&registries[0], b"given up").await;
        let turns = join_all(registries.iter().map(purge)).await;
        let purged: Vec<_> = turns.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(purged, [1], "in round {round}");
    }
}

#[tokio::test]
async fn a_failed_purge_is_repeated_by_the_next_registry() {
    let odd = FailingDriver::new();
    let driver: Arc<dyn StorageDriver> = Arc::new(odd.clone());
    begin(&over(driver.clone()), b"given up").await;
    odd.be(Misbehaviour::ListsBreakAfter(0));
    for _ in 0..2 {
        purge(&over(driver.clone())).await.unwrap_err();
    }
    odd.behave();
    assert_eq!(purge(&over(driver.clone())).await.unwrap(), Some(1));
}

/// A power failure has emptied the note, or a clock was wrong by years: an extra purge is better than none.
#[tokio::test]
async fn an_unreadable_note_does_not_prevent_a_purge() {
    let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    for (number, content) in [(7, ""), (9, "soon"), (11, "99999999999999"), (u64::MAX, "0")] {
        let note = Entry::UploadPurge(number).path();
        driver.put_content(&note, content.into(), PutMode::Overwrite).await.unwrap();
        assert_eq!(purge(&over(driver.clone())).await.unwrap(), Some(0), "{content:?}");
        assert_eq!(purge(&over(driver.clone())).await.unwrap(), None, "{content:?}");
        // The time of the epoch.
        let root: DriverPath = "/docker/registry/sampan/purge".parse().unwrap();
        driver.delete_tree(&root).await.unwrap();
    }
}

/// A dry run does not replace a purge.
#[tokio::test]
async fn a_dry_run_takes_no_turn() {
    let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
    let registry = over(driver.clone());
    begin(&registry, b"given up").await;
    let options = PurgeOptions { older_than: SystemTime::now() + HOUR, dry_run: true };
    for _ in 0..2 {
        let turn = registry.purge_uploads_in_turn(&options, HOUR).await.unwrap();
        assert!(matches!(turn, PurgeTurn::Purged(report) if report.purged == 1), "{turn:?}");
    }
    assert_eq!(purge(&registry).await.unwrap(), Some(1));
    let turn = registry.purge_uploads_in_turn(&options, HOUR).await.unwrap();
    assert!(matches!(turn, PurgeTurn::Purged(_)), "{turn:?}");
}
