//! `Verifier`: looks for damaged content in the running registry, a part at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use sampan_engine::verify::{
    self, EndReason, Options, Problem, Progress, Report, Start, VerificationTurn, acknowledge, verify_in_turn,
};
use sampan_engine::{Error, EventSink, Registry};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::VerifyState;
use super::background::in_background;
use super::damage_events::DamageEvents;
use super::verify_settings::VerifySettings;
use super::verify_state::VerifyRecord;

/// Verifies the store while the registry runs. One of the replicas over a store verifies each part.
#[derive(Debug)]
pub struct Verifier {
    registry: Registry,
    settings: watch::Sender<Option<VerifySettings>>,
    /// Since when there are settings that hash data. A plain mutex: held to read or replace.
    hashing_since: Mutex<Option<SystemTime>>,
    /// Whether the registry writes nothing.
    read_only: watch::Sender<bool>,
    /// A plain mutex: held to read or add.
    totals: Mutex<VerifyTotals>,
    pub(super) record: VerifyRecord,
    events: DamageEvents,
}

/// The findings of the verifications of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct VerifyTotals {
    /// Blobs and manifests that were hashed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Problems; one that stays is counted by each pass over it.
    pub problems: u64,
    /// Problems that were repaired.
    pub repaired: u64,
    /// Data that were moved aside.
    pub moved: u64,
    /// Runs that failed.
    pub failed: u64,
    /// When the last cycle came to its end, in any registry over the store.
    pub last_cycle: Option<SystemTime>,
}

/// The rest for every second of work, in seconds.
const REST_PER_WORK: f32 = 1.0;

/// The largest random delay, to spread the replicas of a store.
const MAX_JITTER: Duration = Duration::from_secs(60);

/// How many of the images that need damaged content are logged.
const MAX_SHOWN: usize = 5;

impl Verifier {
    /// Creates a verifier; it does not run yet. Without settings it waits for them. `sink` receives the damage that it finds.
    pub fn new(
        registry: Registry,
        settings: Option<VerifySettings>,
        sink: Option<Arc<dyn EventSink>>,
    ) -> Self {
        Self {
            read_only: watch::Sender::new(registry.limits().read_only),
            registry,
            hashing_since: Mutex::new(settings.as_ref().filter(|new| new.data).map(|_| SystemTime::now())),
            settings: watch::Sender::new(settings),
            totals: Mutex::default(),
            record: VerifyRecord::default(),
            events: DamageEvents::new(sink),
        }
    }

    /// Replaces the settings; a running part is stopped if they differ. One that is running when the registry becomes read-only
    /// ends at once, and reports what it has found.
    pub fn reconsider(&self, settings: Option<VerifySettings>) {
        {
            let mut since = self.hashing_since.lock();
            let is_hashing = settings.as_ref().is_some_and(|new| new.data);
            *since = is_hashing.then(|| since.unwrap_or_else(SystemTime::now));
        }
        self.read_only.send_replace(self.registry.limits().read_only);
        self.settings.send_if_modified(|present| {
            let has_changed = *present != settings;
            *present = settings;
            has_changed
        });
    }

    /// The findings so far.
    pub fn totals(&self) -> VerifyTotals {
        *self.totals.lock()
    }

    /// When everything had last been hashed once; before that, since when it is tried. `None` if it is not tried either.
    pub fn last_hashed(&self) -> Option<SystemTime> {
        let last = self.totals.lock().last_cycle;
        last.or_else(|| {
            let since = (*self.hashing_since.lock())?;
            Some(self.record.cycle_begun(SystemTime::now()).unwrap_or(since))
        })
    }

    /// Whether there are settings.
    pub fn is_enabled(&self) -> bool {
        self.settings.borrow().is_some()
    }

    /// Its state and findings, and the progress of the store's cycle.
    pub async fn state(&self) -> VerifyState {
        let settings = self.settings.borrow().clone();
        let read_only = self.registry.limits().read_only;
        self.record.state(settings.as_ref(), read_only, Progress::read(&self.registry)).await
    }

    /// Verifies a part after the other, until dropped.
    pub async fn run(&self) {
        let mut settings = self.settings.subscribe();
        loop {
            let wanted = settings.borrow_and_update().clone();
            let work = async {
                match &wanted {
                    Some(wanted) => self.verify_repeatedly(wanted).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = settings.changed() => if changed.is_err() { return },
                () = work => {}
            }
        }
    }

    async fn verify_repeatedly(&self, settings: &VerifySettings) {
        let spread = || MAX_JITTER.min(settings.interval() / 10).mul_f64(rand::random_range(0.0..1.0));
        // The window may open in hours.
        self.look_up_cycle().await;
        sleep(spread()).await;
        loop {
            let now = SystemTime::now();
            let opens_in = settings.window.map_or(Duration::ZERO, |window| window.opens_in(now));
            if !opens_in.is_zero() {
                sleep(opens_in + spread()).await;
                continue;
            }
            let pause = match self.registry.limits().read_only {
                true => {
                    // Others may verify the store.
                    self.look_up_cycle().await;
                    settings.interval()
                }
                false => self.verify_part(settings, now).await,
            };
            sleep(pause + spread()).await;
        }
    }

    /// Verifies a part if one is due, and returns the time until the next attempt.
    async fn verify_part(&self, settings: &VerifySettings, now: SystemTime) -> Duration {
        let interval = settings.interval();
        let progress = match Progress::read(&self.registry).await {
            Ok(progress) => progress,
            Err(error) => return self.failed(&error, interval),
        };
        self.note_cycle(&progress);
        let Some((structure, up_to)) = settings.due(&progress, now) else { return interval };
        let left = settings.window.and_then(|window| window.open_for(now)).unwrap_or(interval);
        let part = self.record.begin(now);
        // A run that is dropped stops at its next await; the token stops threads, of which there are none.
        let options = Options {
            structure,
            data: up_to.map(|_| Start::Continue),
            up_to: up_to.unwrap_or(u64::MAX),
            repair: settings.repair,
            rate: Some(settings.rate),
            rest: REST_PER_WORK,
            // The next turn may be that of another registry.
            max_duration: Some(left.min(interval)),
            grace: settings.grace,
            observer: Some(part.observer()),
            stop: CancellationToken::new(),
            ..Options::default()
        };
        let registry = self.registry.clone();
        let part_options = options.clone();
        let work = async move { verify_in_turn(&registry, &part_options, interval).await };
        match self.unless_read_only(&options.stop, in_background(work)).await {
            Ok(Ok(VerificationTurn::Done(report))) => {
                self.take(&report);
                part.done(&report);
                if let Some(error) = &report.error {
                    self.totals.lock().failed += 1;
                    tracing::warn!(%error, "cannot verify the store: {error}");
                }
                if let Err(error) = acknowledge(&self.registry, &options, &report).await {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "verification: cannot record the reported problems, so the next run logs them again"
                    );
                }
                self.look_up_cycle().await;
                interval
            }
            Ok(Ok(VerificationTurn::NotDue(due_in))) => due_in,
            // It became read-only before its turn.
            Ok(Err(verify::Error::Registry(Error::ReadOnly))) => interval,
            Ok(Err(error)) => {
                part.failed(&error);
                self.failed(&error, interval)
            }
            Err(error) => {
                part.failed(&error);
                self.failed(&error, interval)
            }
        }
    }

    /// Waits for `work`, and stops it when the registry becomes read-only.
    async fn unless_read_only<T>(&self, stop: &CancellationToken, work: impl Future<Output = T>) -> T {
        let mut read_only = self.read_only.subscribe();
        let end = async {
            // The sender lives as long as this.
            let _ = read_only.wait_for(|is_read_only| *is_read_only).await;
            stop.cancel();
            std::future::pending().await
        };
        tokio::select! {
            done = work => done,
            done = end => done,
        }
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static), interval: Duration) -> Duration {
        self.totals.lock().failed += 1;
        tracing::warn!(error, "cannot verify the store");
        interval
    }

    /// Notes how far the store's cycle is, unless the store does not say it.
    async fn look_up_cycle(&self) {
        if let Ok(progress) = Progress::read(&self.registry).await {
            self.note_cycle(&progress);
        }
    }

    fn note_cycle(&self, progress: &Progress) {
        self.record.note(progress);
        self.totals.lock().last_cycle = progress.last.as_ref().map(|last| last.ended());
    }

    /// Counts and logs what a part has found.
    fn take(&self, report: &Report) {
        {
            let mut totals = self.totals.lock();
            let data = report.data.unwrap_or_default();
            totals.blobs += data.blobs;
            totals.bytes += data.bytes;
            totals.problems += report.count();
            totals.repaired += report.repaired();
            totals.moved += report.moved();
        }
        report.problems.iter().for_each(log);
        self.events.emit(report);
        if report.more_problems > 0 {
            tracing::error!("verification: {} more files have problems", report.more_problems);
        }
        if report.ending == EndReason::TooMuch {
            tracing::error!(
                "verification: so much is damaged or unreadable that the disk or the memory is probably defective; nothing was moved"
            );
        }
        tracing::debug!(data = ?report.data, structure = ?report.structure, "verified a part of the store");
    }
}

fn log(problem: &Problem) {
    let Problem { path, kind, outcome, needed_by, .. } = problem;
    // An index and its children have the same tags.
    let images: BTreeSet<String> = needed_by
        .iter()
        .map(|need| match need.tags.first() {
            Some(tag) => format!("{}:{tag}", need.repository),
            None => format!("{}@{}", need.repository, need.manifest),
        })
        .collect();
    let shown: Vec<&str> = images.iter().take(MAX_SHOWN).map(String::as_str).collect();
    let images = match images.len() {
        0 => "no image that is known".to_owned(),
        all if shown.len() < all => format!("{} and {} more", shown.join(", "), all - shown.len()),
        _ => shown.join(", "),
    };
    match problem.is_mended() {
        true => tracing::warn!(%path, "verification: {path} {kind}; {outcome}. Needed by {images}"),
        false => tracing::error!(%path, "verification: {path} {kind}; {outcome}. Needed by {images}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maintenance::verify_settings::PARTS;
    use crate::maintenance::verify_settings::testing::settings;
    use sampan_driver::{PutMode, StorageDriver};
    use sampan_driver_inmemory::InMemoryDriver;
    use sampan_engine::layout::Entry;
    use sampan_engine::oci::Digest;

    #[tokio::test(start_paused = true)]
    async fn a_store_is_verified_in_its_cycle_and_damage_is_counted() {
        let driver: Arc<dyn StorageDriver> = Arc::new(InMemoryDriver::new());
        for number in 0..40_u8 {
            let content = if number == 7 { vec![0] } else { vec![number] };
            let path = Entry::Blob(Digest::sha256_of(&[number])).path();
            driver.put_content(&path, content.into(), PutMode::Overwrite).await.unwrap();
        }
        let registry = Registry::builder(driver).build();
        let verifier = Verifier::new(registry.clone(), None, None);
        let settings = VerifySettings { grace: Duration::ZERO, ..settings(true) };
        let now = |part: u32| SystemTime::now() + part * settings.interval();
        // The loop sleeps between these; the registry's clock continues beside them.
        let mut parts = 0;
        while verifier.totals().last_cycle.is_none() {
            let registry = at(&registry, now(parts));
            let verifier_then = Verifier::new(registry, None, None);
            verifier_then.verify_part(&settings, now(parts)).await;
            let found = verifier_then.totals();
            let mut totals = verifier.totals.lock();
            totals.blobs += found.blobs;
            totals.moved += found.moved;
            totals.last_cycle = found.last_cycle;
            assert_eq!(found.failed, 0);
            parts += 1;
            assert!(parts < PARTS, "it never ends");
        }
        let totals = verifier.totals();
        assert_eq!((totals.blobs, totals.moved), (40, 1));
        assert!(parts > PARTS / 2, "all at once: {parts} parts");
    }

    fn at(registry: &Registry, now: SystemTime) -> Registry {
        Registry::builder(registry.driver().clone()).clock(sampan_engine::Clock::new(move || now)).build()
    }
}
