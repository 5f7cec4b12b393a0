//! `Collector`: one collection after the other.

use std::future::pending;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sampan_engine::Registry;
use sampan_engine::gc::{self, LastRun};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::background::in_background;
use super::history::as_text;
use super::{History, Outcome, Run, Schedule, Settings, Totals, Trigger};
use crate::error_chain::chain;

/// Collects the garbage of a registry's store, while it serves.
#[derive(Debug)]
pub struct Collector {
    registry: Registry,
    wishes: watch::Sender<Wishes>,
    /// A plain mutex: it is held to look or write down, never across an await.
    memory: Mutex<Memory>,
}

/// What is wanted of a collector.
#[derive(Clone, Debug)]
struct Wishes {
    settings: Settings,
    /// Somebody wants a collection now.
    now: bool,
    /// Nobody wants any more.
    end: bool,
}

#[derive(Debug, Default)]
struct Memory {
    running: Option<Running>,
    history: History,
}

/// A collection that is going on.
#[derive(Clone, Copy, Debug, Serialize)]
struct Running {
    trigger: Trigger,
    #[serde(serialize_with = "as_text")]
    begun: SystemTime,
}

/// What a collector does and did, as it is told to those who ask.
#[derive(Debug, Serialize)]
pub struct State {
    /// Whether there is a schedule.
    scheduled: bool,
    /// Whether the registry is read-only, so that nothing is collected.
    read_only: bool,
    grace_secs: u64,
    delete_untagged: bool,
    /// Whether somebody has asked for one that has not begun.
    requested: bool,
    running: Option<Running>,
    /// The newest first.
    last: Vec<Run>,
}

/// Why no collection begins although somebody asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// One is going on, or about to begin.
    #[error("a collection is going on already")]
    Running,
    /// Nothing is written by a read-only registry.
    #[error("the registry is read-only")]
    ReadOnly,
    /// The registry is shutting down.
    #[error("the registry is shutting down")]
    Ending,
}

/// Why a collection came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no thread could be started for it")]
    Thread(#[source] io::Error),
    #[error(transparent)]
    Collection(#[from] gc::Error),
}

/// How long a collection is waited for at the end of the process. What comes then is as if it were killed, see [`gc`].
const FAREWELL: Duration = Duration::from_secs(5);

/// How long until another try after one that failed.
const RETRY: Duration = Duration::from_secs(10 * 60);

impl Collector {
    /// A collector that has not begun.
    pub fn new(registry: Registry, settings: Settings) -> Self {
        let wishes = watch::Sender::new(Wishes { settings, now: false, end: false });
        Self { registry, wishes, memory: Mutex::default() }
    }

    /// Collects when it is time to, until [`end`](Self::end). Dropping it is like killing it, see [`gc`].
    pub async fn run(&self) {
        let mut wishes = self.wishes.subscribe();
        let mut rested = Instant::now();
        while let Some(trigger) = self.turn(&mut wishes, rested).await {
            rested = Instant::now() + self.collect(trigger, &mut wishes).await;
        }
    }

    /// Asks for a collection now.
    ///
    /// # Errors
    ///
    /// When there cannot be one now.
    pub fn request(&self) -> Result<(), Refusal> {
        if self.registry.limits().read_only {
            return Err(Refusal::ReadOnly);
        }
        if self.memory().running.is_some() {
            return Err(Refusal::Running);
        }
        let mut refusal = None;
        self.wishes.send_if_modified(|wishes| {
            refusal = match (wishes.end, wishes.now) {
                (true, _) => Some(Refusal::Ending),
                (false, true) => Some(Refusal::Running),
                (false, false) => None,
            };
            wishes.now |= refusal.is_none();
            refusal.is_none()
        });
        refusal.map_or(Ok(()), Err)
    }

    /// Takes over other settings; a collection that they would not have begun is stopped.
    /// To be called, too, when the registry has become read-only or is no more.
    pub fn reconsider(&self, settings: Settings) {
        self.wishes.send_modify(|wishes| wishes.settings = settings);
    }

    /// Ends it all; a collection that is going on is stopped, which takes as long as its step, and no longer than some seconds.
    pub fn end(&self) {
        self.wishes.send_modify(|wishes| wishes.end = true);
    }

    /// What it does and did.
    pub fn state(&self) -> State {
        let Wishes { settings, now: requested, .. } = self.wishes.borrow().clone();
        let memory = self.memory();
        State {
            scheduled: settings.schedule.is_some(),
            read_only: self.registry.limits().read_only,
            grace_secs: settings.grace.as_secs(),
            delete_untagged: settings.delete_untagged,
            requested,
            running: memory.running,
            last: memory.history.runs().cloned().collect(),
        }
    }

    /// Whether it is collecting.
    pub fn is_running(&self) -> bool {
        self.memory().running.is_some()
    }

    /// What came of its collections.
    pub fn totals(&self) -> Totals {
        self.memory().history.totals()
    }

    /// Waits for the next collection; `None` at the end.
    async fn turn(&self, wishes: &mut watch::Receiver<Wishes>, rested: Instant) -> Option<Trigger> {
        let spread = rand::random_range(0.0..1.0);
        loop {
            let wish = wishes.borrow_and_update().clone();
            if wish.end {
                return None;
            }
            if wish.now {
                return Some(Trigger::Request);
            }
            let due = async {
                let schedule = wish.settings.schedule.filter(|_| !self.registry.limits().read_only);
                let Some(schedule) = schedule else { return pending().await };
                sleep_until(rested).await;
                let wait = self.due(&schedule, &wish.settings).await;
                sleep(wait + schedule.jitter().mul_f64(spread)).await;
                // Somebody else may have collected meanwhile, for all who share the store.
                self.due(&schedule, &wish.settings).await.is_zero()
            };
            tokio::select! {
                changed = wishes.changed() => if changed.is_err() { return None },
                is_due = due => if is_due { return Some(Trigger::Schedule) },
            }
        }
    }

    /// How long it is until the schedule wants a collection of the store, whoever did the last one.
    async fn due(&self, schedule: &Schedule, settings: &Settings) -> Duration {
        // A store that cannot be read is told of by the collection, if it is still so then.
        let last = LastRun::of(&self.registry).await.ok().flatten();
        let last = last.filter(|last| last.delete_untagged || !settings.delete_untagged);
        schedule.wait(last.map(|last| last.begun()), SystemTime::now())
    }

    /// Collects, tells what came of it, and how long to rest.
    async fn collect(&self, trigger: Trigger, wishes: &mut watch::Receiver<Wishes>) -> Duration {
        let begun = SystemTime::now();
        let clock = Instant::now();
        self.memory().running = Some(Running { trigger, begun });
        // After that: whoever asks sees the request, or what became of it.
        if trigger == Trigger::Request {
            self.wishes.send_modify(|wishes| wishes.now = false);
        }
        let settings = wishes.borrow().settings.clone();
        let (stop, reason) = (gc::Stop::default(), Mutex::new(""));
        let watch = async {
            let why = self.unwanted(trigger, &settings, wishes).await;
            *reason.lock().unwrap_or_else(PoisonError::into_inner) = why;
            stop.stop();
            if !wishes.borrow().end {
                return pending().await;
            }
            // It ends at its next step; a store that does not answer must not keep the process from ending.
            sleep(FAREWELL).await;
            gc::Error::Stopped
        };
        let (registry, options) = (self.registry.clone(), settings.options(&stop));
        let work = in_background(async move { gc::collect(&registry, &options).await });
        let result = tokio::select! {
            result = work => result.map_err(Failure::Thread).and_then(|ended| Ok(ended?)),
            given_up = watch => Err(given_up.into()),
        };
        let reason = *reason.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = rest(&result, &settings);
        let run = Run {
            trigger,
            begun,
            duration_secs: clock.elapsed().as_secs_f64(),
            outcome: outcome(result, reason),
        };
        let told = run.clone();
        {
            let mut memory = self.memory();
            memory.running = None;
            memory.history.add(run);
        }
        // After the memory: who has read the line finds it there.
        told.log();
        rest
    }

    /// Waits until a collection is not wanted any more, and says why.
    async fn unwanted(
        &self,
        trigger: Trigger,
        settings: &Settings,
        wishes: &mut watch::Receiver<Wishes>,
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
                let wish = wishes.borrow_and_update().clone();
                if wish.end {
                    return "the registry is shutting down";
                }
                if self.registry.limits().read_only {
                    return "the registry has become read-only";
                }
                if wish.settings != *settings {
                    return "the configuration has changed";
                }
                if wishes.changed().await.is_err() {
                    return "nobody wants it any more";
                }
            }
        };
        tokio::select! {
            () = window => "its window has closed; if it never comes to an end, make gc.window longer",
            why = changed => why,
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to wait for before the schedule is asked again.
fn rest(result: &Result<gc::Report, Failure>, settings: &Settings) -> Duration {
    match result {
        Ok(_) | Err(Failure::Collection(gc::Error::Stopped)) => Duration::ZERO,
        // The moment at which the other one is dead, if it does not give a sign of life until then.
        Err(Failure::Collection(gc::Error::Running { seconds, .. })) => Duration::from_secs(*seconds + 1),
        // Nothing changes by itself that was not confirmed.
        Err(Failure::Collection(gc::Error::TooMuch(_))) => {
            settings.schedule.map_or(RETRY, |schedule| schedule.interval.max(RETRY))
        }
        Err(_) => {
            settings.schedule.map_or(RETRY, |schedule| schedule.interval.clamp(Duration::from_secs(1), RETRY))
        }
    }
}

fn outcome(result: Result<gc::Report, Failure>, stopped: &str) -> Outcome {
    match result {
        Ok(report) => Outcome::Finished { report: Box::new(report) },
        Err(Failure::Collection(gc::Error::Stopped)) => Outcome::Stopped { reason: stopped.to_owned() },
        Err(Failure::Collection(error @ (gc::Error::Running { .. } | gc::Error::Lost))) => {
            Outcome::Elsewhere { reason: error.to_string() }
        }
        Err(error @ Failure::Collection(gc::Error::TooMuch(_))) => {
            let how = "with `registry garbage-collect --yes`, or set gc.maxdeletepercent";
            Outcome::Failed { error: format!("{} {how}", chain(&error)) }
        }
        Err(error) => Outcome::Failed { error: chain(&error) },
    }
}

#[cfg(test)]
#[path = "runner_tests.rs"]
mod tests;
