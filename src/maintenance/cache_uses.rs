//! Keeps the records of when the manifests of caches were used, and their tags compared, in the running registry.

use std::time::Duration;

use sampan_engine::Registry;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How often the record is written.
const INTERVAL: Duration = Duration::from_secs(10 * 60);

/// How long the end of the process waits for the store.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the records of all processes, and then writes that of this one again and again, until dropped. `ttl` is how long
/// Distribution's cache, if it has filled the store, kept an image.
pub async fn keep_cache_uses(registry: Registry, ttl: Duration) {
    if let Err(error) = registry.cache_uses().load_all(registry.driver(), ttl).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot read the record of the use of caches; the next collection reads it");
    }
    if let Err(error) = registry.compared_tags().load(registry.driver()).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot read when tags were last compared with their upstreams");
    }
    loop {
        sleep(INTERVAL).await;
        save(&registry).await;
    }
}

/// Notes for the collectors of all processes whether the caches of this one are offline, when that changes and again and again,
/// until dropped.
pub async fn keep_offline_notice(registry: Registry, mut is_offline: watch::Receiver<bool>) {
    let mut was_offline = false;
    loop {
        let now_offline = *is_offline.borrow_and_update();
        if now_offline || was_offline {
            note_offline(&registry, now_offline).await;
        }
        was_offline = now_offline;
        // A sender that is gone changes nothing any more.
        tokio::select! {
            Ok(()) = is_offline.changed() => {}
            () = sleep(INTERVAL) => {}
        }
    }
}

/// Notes whether the caches of this process are offline. A failure is logged.
pub async fn note_offline(registry: &Registry, is_offline: bool) {
    let noted = timeout(END_TIMEOUT, registry.note_offline(is_offline)).await;
    let problem = match noted {
        Ok(Ok(())) => return,
        Ok(Err(error)) => sampan_driver::with_causes(&error),
        Err(_) => "the store does not answer".to_owned(),
    };
    tracing::warn!(
        "cannot tell other processes whether this one is offline, so their collections may evict content: {problem}"
    );
}

/// Writes the record for the last time. A store that does not answer must not keep the process alive.
pub async fn save_cache_uses(registry: &Registry) {
    if timeout(END_TIMEOUT, save(registry)).await.is_err() {
        tracing::warn!("the store does not answer, so the use of caches in the last minutes is not recorded");
    }
}

async fn save(registry: &Registry) {
    // A read-only registry writes nothing.
    if registry.caches().is_empty() || registry.check_writable().is_err() {
        return;
    }
    if let Err(error) = registry.cache_uses().save(registry.driver()).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot record the use of caches; the next attempt is in ten minutes");
    }
    if let Err(error) = registry.compared_tags().save(registry.driver()).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(
            error,
            "cannot record when tags were compared with their upstreams; the next attempt is in ten minutes"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    use futures::TryStreamExt;
    use sampan_driver::StorageDriver;
    use sampan_driver_inmemory::InMemoryDriver;
    use sampan_engine::Clock;
    use sampan_engine::caches::{CachePrefixes, UseTable};
    use sampan_engine::layout;
    use sampan_engine::oci::{Digest, RepositoryName};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_uses_of_a_process_are_those_of_the_next() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let registry = || Registry::builder(driver.clone()).caches(CachePrefixes::everything()).build();
        let (name, digest): (RepositoryName, _) = ("a/b".parse().unwrap(), Digest::sha256_of(b"manifest"));
        let first = registry();
        let keep = tokio::spawn(keep_cache_uses(first.clone(), Duration::ZERO));
        first.cache_uses().note_used(&name, &digest);
        sleep(INTERVAL + Duration::from_secs(1)).await;
        keep.abort();
        let second = registry();
        second.cache_uses().load_all(&driver, Duration::ZERO).await.unwrap();
        assert_eq!(
            second.cache_uses().last_used(&name, &digest),
            first.cache_uses().last_used(&name, &digest)
        );
        assert!(second.cache_uses().last_used(&name, &digest).is_some());

        second.set_read_only(true);
        save_cache_uses(&second).await;
        assert_eq!(files(&driver).await, 1);
        second.set_read_only(false);
        save_cache_uses(&second).await;
        assert_eq!(files(&driver).await, 2);
    }

    /// The files of processes that are gone do not pile up.
    #[tokio::test]
    async fn an_old_file_is_removed_once_another_has_its_rows() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let (name, digest): (RepositoryName, _) = ("a/b".parse().unwrap(), Digest::sha256_of(b"manifest"));
        let (first, early) = (UseTable::new(Clock::default()), UseTable::new(Clock::default()));
        first.note_used(&name, &digest);
        first.save(&driver).await.unwrap();
        early.load_all(&driver, Duration::ZERO).await.unwrap();
        early.save(&driver).await.unwrap();
        assert_eq!(files(&driver).await, 2);

        let later = SystemTime::now() + Duration::from_secs(25 * 60 * 60);
        let second = UseTable::new(Clock::new(move || later));
        second.load_all(&driver, Duration::ZERO).await.unwrap();
        second.save(&driver).await.unwrap();
        assert_eq!(files(&driver).await, 1);
        let third = UseTable::new(Clock::default());
        third.load_all(&driver, Duration::ZERO).await.unwrap();
        assert_eq!(third.last_used(&name, &digest), first.last_used(&name, &digest));
        assert_eq!(third.since(), first.since());
    }

    /// A machine without a battery starts with a time of long ago.
    #[tokio::test]
    async fn uses_that_a_clock_behind_has_read_are_read_again() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        let (name, digest): (RepositoryName, _) = ("a/b".parse().unwrap(), Digest::sha256_of(b"manifest"));
        let first = UseTable::new(Clock::default());
        first.note_used(&name, &digest);
        first.save(&driver).await.unwrap();
        let behind_secs = Arc::new(AtomicU64::new(365 * 24 * 60 * 60));
        let behind = behind_secs.clone();
        let second = UseTable::new(Clock::new(move || {
            SystemTime::now() - Duration::from_secs(behind.load(Ordering::Relaxed))
        }));
        second.load_all(&driver, Duration::ZERO).await.unwrap();
        behind_secs.store(0, Ordering::Relaxed);
        second.load_all(&driver, Duration::ZERO).await.unwrap();
        assert_eq!(second.last_used(&name, &digest), first.last_used(&name, &digest));
    }

    async fn files(driver: &Arc<dyn StorageDriver>) -> usize {
        let files: Vec<_> = driver.walk(&layout::cache_uses_root(), None).try_collect().await.unwrap();
        files.len()
    }
}
