//! `Collector`: runs one collection after the other.

use std::future::pending;
use std::io;
use std::time::{Duration, SystemTime};

use parking_lot::{Mutex, MutexGuard};
use sampan_engine::Registry;
use sampan_engine::gc::{self, LastRun, Scope};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::background::in_background;
use super::cache_bounds::IsOffline;
use super::history::as_text;
use super::{History, Run, RunOutcome, Schedule, Settings, Totals, Trigger};
use sampan_driver::with_causes;

/// Collects the garbage of a registry's store while the registry serves.
#[derive(Debug)]
pub struct Collector {
    pub(super) registry: Registry,
    /// Whether caches are offline, and keep everything.
    pub(super) is_offline: IsOffline,
    commands: watch::Sender<Commands>,
    /// A plain mutex: held to read or update, never across an await.
    record: Mutex<Record>,
}

/// The commands to a collector.
#[derive(Clone, Debug)]
struct Commands {
    settings: Settings,
    /// A collection, or a dry run, is requested.
    now: Option<Trigger>,
    /// The collector must end.
    end: bool,
}

#[derive(Debug, Default)]
struct Record {
    running: Option<Running>,
    history: History,
}

/// A running collection.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Running {
    trigger: Trigger,
    /// When it began.
    #[serde(serialize_with = "as_text")]
    pub begun: SystemTime,
}

/// The collector's state, for the debug listener.
#[derive(Debug, Serialize)]
pub struct State {
    /// Whether there is a schedule.
    scheduled: bool,
    /// Whether the registry is read-only, which prevents collections.
    pub read_only: bool,
    grace_secs: u64,
    delete_untagged: bool,
    /// Whether a collection is requested but not started.
    pub requested: bool,
    /// The running collection.
    pub running: Option<Running>,
    /// The last collections, the newest first.
    pub last: Vec<Run>,
}

/// Why a requested collection does not start.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StartRefused {
    /// A collection is running or about to start.
    #[error("a collection is already running")]
    Running,
    /// The registry is read-only.
    #[error("the registry is read-only")]
    ReadOnly,
    /// The registry is shutting down.
    #[error("the registry is shutting down")]
    ShuttingDown,
}

/// Why a collection failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot start a thread for it")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    Collection(#[from] gc::Error),
}

/// How long the process waits for a collection at its end. After that it is like a killed collection, see
/// [`gc`].
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The delay before a retry after a failure.
const RETRY: Duration = Duration::from_secs(10 * 60);

impl Collector {
    /// Creates a collector; it does not run yet.
    pub fn new(registry: Registry, settings: Settings) -> Self {
        let commands = watch::Sender::new(Commands { settings, now: None, end: false });
        Self { registry, is_offline: IsOffline(Box::new(|| false)), commands, record: Mutex::default() }
    }

    /// Evicts nothing from caches of other registries while `is_offline`: nothing could be fetched again.
    #[must_use]
    pub fn unless_offline(mut self, is_offline: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.is_offline = IsOffline(Box::new(is_offline));
        self
    }

    /// Notes for collections of other processes whether the caches of this one are offline. A failure is logged.
    pub async fn note_offline(&self, is_offline: bool) {
        super::note_offline(&self.registry, is_offline).await;
    }

    /// The options of a collection of this kind now.
    fn options(&self, settings: &Settings, trigger: Trigger, stop: &CancellationToken) -> gc::Options {
        let options = settings.options(trigger, stop);
        gc::Options { evict: options.evict.filter(|_| !(self.is_offline.0)()), ..options }
    }

    /// Collects on schedule and on request until [`end`](Self::end). Dropping the future is like killing it,
    /// see [`gc`].
    pub async fn run(&self) {
        let mut commands = self.commands.subscribe();
        let mut rested = Instant::now();
        while let Some(trigger) = self.turn(&mut commands, rested).await {
            rested = Instant::now() + self.collect(trigger, &mut commands).await;
        }
    }

    /// Requests a collection now.
    ///
    /// # Errors
    ///
    /// The collector cannot start one now.
    pub fn request_collection(&self) -> Result<(), StartRefused> {
        match self.registry.limits().read_only {
            true => Err(StartRefused::ReadOnly),
            false => self.request(Trigger::Request),
        }
    }

    /// Requests a dry run now, which deletes nothing.
    ///
    /// # Errors
    ///
    /// The collector cannot start one now.
    pub fn request_dry_run(&self) -> Result<(), StartRefused> {
        self.request(Trigger::DryRun)
    }

    fn request(&self, trigger: Trigger) -> Result<(), StartRefused> {
        if self.record().running.is_some() {
            return Err(StartRefused::Running);
        }
        let mut refusal = None;
        self.commands.send_if_modified(|commands| {
            refusal = match (commands.end, commands.now) {
                (true, _) => Some(StartRefused::ShuttingDown),
                (false, Some(_)) => Some(StartRefused::Running),
                (false, None) => None,
            };
            if refusal.is_none() {
                commands.now = Some(trigger);
            }
            refusal.is_none()
        });
        refusal.map_or(Ok(()), Err)
    }

    /// Replaces the settings; stops a collection that they would not have started. Call it also when the
    /// registry becomes read-only or writable.
    pub fn reconsider(&self, settings: Settings) {
        self.commands.send_modify(|commands| commands.settings = settings);
    }

    /// Ends the collector. A running collection stops after its current step, at the latest after some
    /// seconds.
    pub fn end(&self) {
        self.commands.send_modify(|commands| commands.end = true);
    }

    /// The present settings.
    pub fn settings(&self) -> Settings {
        self.commands.borrow().settings.clone()
    }

    /// The current state.
    pub fn state(&self) -> State {
        let Commands { settings, now: requested, .. } = self.commands.borrow().clone();
        let record = self.record();
        State {
            scheduled: settings.schedule.is_some(),
            read_only: self.registry.limits().read_only,
            grace_secs: settings.grace.as_secs(),
            delete_untagged: settings.delete_untagged,
            requested: requested.is_some(),
            running: record.running,
            last: record.history.runs().cloned().collect(),
        }
    }

    /// Whether a collection is running.
    pub fn is_running(&self) -> bool {
        self.record().running.is_some()
    }

    /// The totals of its collections.
    pub fn totals(&self) -> Totals {
        self.record().history.totals()
    }

    /// Waits for the next collection; `None` at the end.
    async fn turn(&self, commands: &mut watch::Receiver<Commands>, rested: Instant) -> Option<Trigger> {
        let spread = rand::random_range(0.0..1.0);
        loop {
            let wanted = commands.borrow_and_update().clone();
            if wanted.end {
                return None;
            }
            if let Some(trigger) = wanted.now {
                return Some(trigger);
            }
            let due = async {
                let schedule = wanted.settings.schedule.filter(|_| !self.registry.limits().read_only);
                let Some(schedule) = schedule else { return pending().await };
                sleep_until(rested).await;
                let wait = self.due(&schedule, &wanted.settings).await;
                sleep(wait + schedule.jitter().mul_f64(spread)).await;
                // Another replica may have collected the shared store meanwhile.
                self.due(&schedule, &wanted.settings).await.is_zero()
            };
            tokio::select! {
                changed = commands.changed() => if changed.is_err() { return None },
                is_due = due => if is_due { return Some(Trigger::Schedule) },
                () = self.caches_exceed_bounds(&wanted.settings, rested) => return Some(Trigger::Caches),
            }
        }
    }

    /// The time until the schedule requires a collection of the store, whichever replica made the last one.
    async fn due(&self, schedule: &Schedule, settings: &Settings) -> Duration {
        // The collection reports an unreadable store, if it still is unreadable then.
        let last = LastRun::of(&self.registry).await.ok().flatten();
        let begun = match settings.scope {
            Scope::All => {
                last.filter(|last| last.delete_untagged || !settings.delete_untagged).map(|last| last.begun())
            }
            Scope::Caches => last.and_then(|last| last.caches_begun()),
        };
        schedule.wait(begun, SystemTime::now())
    }

    /// Collects, records the result, and returns how long to rest.
    async fn collect(&self, trigger: Trigger, commands: &mut watch::Receiver<Commands>) -> Duration {
        let begun = SystemTime::now();
        let clock = Instant::now();
        self.record().running = Some(Running { trigger, begun });
        // After that, so that an observer sees either the request or the running collection.
        if matches!(trigger, Trigger::Request | Trigger::DryRun) {
            self.commands.send_modify(|commands| commands.now = None);
        }
        let settings = commands.borrow().settings.clone();
        let (stop, reason) = (CancellationToken::new(), Mutex::new(""));
        let watch = async {
            let why = self.unwanted(trigger, &settings, commands).await;
            *reason.lock() = why;
            stop.cancel();
            if !commands.borrow().end {
                return pending().await;
            }
            // It ends at its next step; a store that does not respond must not keep the process alive.
            sleep(STOP_TIMEOUT).await;
            gc::Error::Stopped
        };
        let registry = self.registry.clone();
        let options = self.options(&settings, trigger, &stop);
        let work = in_background(async move { gc::collect(&registry, &options).await });
        let result = tokio::select! {
            result = work => result.map_err(Failure::Thread).and_then(|ended| Ok(ended?)),
            given_up = watch => Err(given_up.into()),
        };
        let reason = *reason.lock();
        let rest = rest(&result, &settings);
        let run = Run {
            trigger,
            begun,
            duration_secs: clock.elapsed().as_secs_f64(),
            outcome: outcome(result, reason),
        };
        let told = run.clone();
        {
            let mut record = self.record();
            record.running = None;
            record.history.add(run);
        }
        // After recording it, so that a reader of the log line finds it in the state.
        told.log();
        rest
    }

    /// Waits until the collection must stop, and returns the reason.
    async fn unwanted(
        &self,
        trigger: Trigger,
        settings: &Settings,
        commands: &mut watch::Receiver<Commands>,
    ) -> &'static str {
        let of_schedule = trigger == Trigger::Schedule;
        let ends_in = settings
            .schedule
            .filter(|_| of_schedule)
            .and_then(|schedule| schedule.ends_in(SystemTime::now()));
        let window = async {
            match ends_in {
                Some(ends_in) => sleep(ends_in).await,
                None => pending().await,
            }
        };
        let changed = async {
            loop {
                let wanted = commands.borrow_and_update().clone();
                if wanted.end {
                    return "the registry is shutting down";
                }
                if self.registry.limits().read_only && trigger != Trigger::DryRun {
                    return "the registry has become read-only";
                }
                if wanted.settings != *settings {
                    return "the configuration has changed";
                }
                if commands.changed().await.is_err() {
                    return "it is no longer wanted";
                }
            }
        };
        tokio::select! {
            () = window => "its window has closed; if collections never finish, make gc.window longer",
            why = changed => why,
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock()
    }
}

/// How long to wait before checking the schedule again.
fn rest(result: &Result<gc::Report, Failure>, settings: &Settings) -> Duration {
    match result {
        Ok(_) | Err(Failure::Collection(gc::Error::Stopped)) => Duration::ZERO,
        // The time at which the other collection counts as dead, unless it renews its lock.
        Err(Failure::Collection(gc::Error::Running { seconds, .. })) => Duration::from_secs(*seconds + 1),
        // The result will not change without a confirmation.
        Err(Failure::Collection(gc::Error::TooMuch(_))) => {
            settings.schedule.map_or(RETRY, |schedule| schedule.interval.max(RETRY))
        }
        Err(_) => {
            settings.schedule.map_or(RETRY, |schedule| schedule.interval.clamp(Duration::from_secs(1), RETRY))
        }
    }
}

fn outcome(result: Result<gc::Report, Failure>, stopped: &str) -> RunOutcome {
    match result {
        Ok(report) => RunOutcome::Finished { report: Box::new(report) },
        Err(Failure::Collection(gc::Error::Stopped)) => RunOutcome::Stopped { reason: stopped.to_owned() },
        Err(Failure::Collection(error @ (gc::Error::Running { .. } | gc::Error::Lost))) => {
            RunOutcome::Elsewhere { reason: error.to_string() }
        }
        Err(error @ Failure::Collection(gc::Error::TooMuch(_))) => {
            let how = "with `registry garbage-collect --yes`, or set gc.maxdeletepercent";
            RunOutcome::Failed { error: format!("{} {how}", with_causes(&error)) }
        }
        Err(error) => RunOutcome::Failed { error: with_causes(&error) },
    }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
