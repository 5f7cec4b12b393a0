//! `App::run`: serves until a signal.

use std::future::pending;
use std::time::Duration;

use sampan_cache::Caches;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::caches::warn_of_hidden;
use super::signals::Signals;
use super::tasks::Tasks;
use super::{App, AppError, debug, notifications, systemd};
use crate::maintenance::{
    keep_cache_uses, keep_offline_notice, keep_store_prepared, note_offline, purge_uploads, save_cache_uses,
};

impl App {
    /// Serves until SIGTERM or SIGINT, then lets transfers end within the drain timeout, or until a second signal.
    ///
    /// # Errors
    ///
    /// If the process cannot handle signals; the registry has served nothing then.
    pub async fn run(self) -> Result<(), AppError> {
        let Self { server, debug, registry, caches, access, checks, health, .. } = self;
        let (collector, verifier, notifier) = (self.collector, self.verifier, self.notifier);
        let mut reload = self.reload;
        let drain_timeout = self.config.config.http.draintimeout;
        let mut signals = Signals::new(self.signals).map_err(AppError::Signals)?;

        let mut tasks = Tasks::default();
        if let Some(purging) = self.purging {
            tasks.spawn("the purge of uploads", purge_uploads(registry.clone(), purging));
        }
        if let Some(proxy) = self.config.config.proxy.as_ref().filter(|proxy| proxy.is_cache()) {
            tasks.spawn("the record of the use of caches", keep_cache_uses(registry.clone(), proxy.ttl));
        }
        tasks.spawn("the preparation of the store", keep_store_prepared(registry.clone()));
        tasks.spawn("the survey of the store", reload.surveys());
        if let Some(caches) = caches.clone() {
            let notice = keep_offline_notice(registry.clone(), caches.offline_changes());
            tasks.spawn("the notice of caches that are offline", notice);
            let look = warn_of_hidden(caches, registry.clone());
            tasks.spawn("the look for hidden repositories", async {
                look.await;
                pending::<()>().await;
            });
        }
        tasks.spawn("the verification of the store", async move { verifier.run().await });
        let syncer = self.syncer;
        if let Some(syncer) = syncer.clone() {
            tasks.spawn_to_end("the jobs that copy from other registries", async move { syncer.run().await });
        }
        tasks.spawn("the watch over keys for tokens", async move { access.watch().await });
        tasks.spawn("the health checks", checks.run());
        let collecting = collector.clone();
        tasks.spawn_to_end("the garbage collector", async move { collecting.run().await });

        // The debug listener serves until the last transfer has ended.
        let (drained, over) = oneshot::channel();
        let (signalled, first_signal) = oneshot::channel();
        let main = async {
            let (stopping, stopped) = oneshot::channel();
            let shutdown = async {
                tokio::select! {
                    signal = signals.until_the_end(&mut reload) => tracing::info!("stopping on {signal}"),
                    () = tasks.watch() => {}
                }
                let _ = stopping.send(Instant::now());
                let _ = signalled.send(signals);
                health.stop();
                systemd::stopping(drain_timeout);
                collector.end();
                if let Some(syncer) = &syncer {
                    syncer.end();
                }
            };
            let ended = server.run(shutdown).await;
            if let Some(caches) = &caches {
                caches.fills().finish().await;
            }
            // Pushes of a tag whose deletion is cut off would wait for it.
            if timeout(TAG_DELETIONS_TIMEOUT, registry.finish_tag_deletions()).await.is_err() {
                tracing::warn!(
                    "the deletion of a tag did not finish: delete the tag again before you push it"
                );
            }
            // Deletions without a client get the rest of the drain timeout.
            let spent = stopped.await.map_or(Duration::ZERO, |since| since.elapsed());
            if timeout(drain_timeout.saturating_sub(spent), registry.finish_deletions()).await.is_err() {
                tracing::warn!(
                    "the deletion of a manifest did not finish, and some of its tags are left: delete the manifest again"
                );
            }
            tasks.stop().await;
            save_cache_uses(&registry).await;
            if caches.as_ref().is_some_and(Caches::is_offline) {
                note_offline(&registry, false).await;
            }
            let _ = drained.send(ended);
        };
        systemd::ready();
        let all = async { tokio::join!(debug::run(debug, over), main).0 };
        let drained = tokio::select! {
            drained = all => drained,
            never = notifications::run(notifier.as_deref()) => match never {},
            never = systemd::feed_the_watchdog() => match never {},
            signal = second_signal(first_signal) => {
                tracing::warn!("ending at once on a second {signal}: transfers are cut, and events in memory are lost");
                return Ok(());
            }
        };
        notifications::finish(notifier.as_deref()).await;
        if let Some(traces) = self.traces {
            traces.finish().await;
        }
        tracing::info!(aborted = drained.aborted, "stopped");
        Ok(())
    }
}

/// How long the end waits for deletions of single tags, which a store carries out at once unless it hangs.
const TAG_DELETIONS_TIMEOUT: Duration = Duration::from_secs(5);

/// Waits until a second signal ends the registry, after the first one has passed the signals on.
async fn second_signal(first: oneshot::Receiver<Signals>) -> &'static str {
    match first.await {
        Ok(mut signals) => signals.again().await,
        Err(_) => pending().await,
    }
}
