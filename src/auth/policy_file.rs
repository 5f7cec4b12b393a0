//! `PolicyFile`: the rules of `access.file`, which follow the file while the registry runs.
//!
//! A file that becomes unusable changes nothing: the last valid rules stay, and the log has the reason, once for each state of
//! the file.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sampan_config::{AccessRules, Diagnostic, LoadedPolicy, PolicyFileError, load_policy_file};

use super::audit::Audit;
use super::policy::{Policy, PolicyTooLarge};
use super::rules_event::{Cause, RulesIdentity};
use crate::blocking::on_blocking_pool;
use crate::file_watch::{CheckInterval, FileStamp};
use sampan_driver::with_causes;

/// The rules of a file. Cheap to clone.
#[derive(Clone)]
pub struct PolicyFile(Arc<Watched>);

struct Watched {
    path: PathBuf,
    current: ArcSwap<Loaded>,
    audit: Audit,
    checks: CheckInterval,
    /// The state of the file that was last found unusable. Not held while the file is read: a file system may hang. An older
    /// state that replaces a newer one has another stamp than the file, so the next look reads again.
    unusable: Mutex<Option<Unusable>>,
    /// Whether it was unusable when it was last looked at.
    is_stale: AtomicBool,
    /// Whether a look continues.
    is_looking: AtomicBool,
}

/// A state of the file, and its rules.
struct Loaded {
    stamp: FileStamp,
    policy: Policy,
    identity: RulesIdentity,
}

/// A state of the file that is logged already.
struct Unusable {
    stamp: Option<FileStamp>,
    message: String,
}

/// The error of an unusable policy file.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file is not readable, or has mistakes.
    #[error(transparent)]
    File(#[from] PolicyFileError),
    /// The rules are too large.
    #[error("the policy file {} cannot be used", .path.display())]
    TooLarge {
        /// The file's path.
        path: PathBuf,
        /// The cause.
        source: PolicyTooLarge,
    },
}

impl PolicyFile {
    /// Reads the file at `path`, and logs its oddities. The rules, and their changes, are recorded.
    ///
    /// # Errors
    ///
    /// The file is unreadable, has mistakes, or its patterns are too large together.
    pub async fn open(path: PathBuf, audit: Audit) -> Result<Self, PolicyError> {
        on_blocking_pool(move || {
            let (loaded, warnings) = Loaded::read(&path)?;
            log(&warnings);
            let rules = loaded.policy.source().rules.len();
            tracing::info!(file = %path.display(), rules, "read {rules} rules from the policy file");
            audit.note(loaded.identity.read(&path.display().to_string()));
            Ok(Self(Arc::new(Watched {
                path,
                current: ArcSwap::from_pointee(loaded),
                audit,
                checks: CheckInterval::default(),
                unusable: Mutex::default(),
                is_stale: AtomicBool::default(),
                is_looking: AtomicBool::default(),
            })))
        })
        .await
    }

    /// Checks whether [`open`](Self::open) would succeed.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn check(path: PathBuf) -> Result<(), PolicyError> {
        on_blocking_pool(move || Loaded::read(&path).map(drop)).await
    }

    /// The current rules. Checks the file once a second; only the request that does so waits for that, and no other look begins
    /// meanwhile: a file system may hang.
    pub async fn current(&self) -> Policy {
        if self.0.checks.is_due()
            && let Some(look) = RunningCheck::begin(&self.0)
        {
            on_blocking_pool(move || look.finish()).await;
        }
        self.last_valid()
    }

    /// The rules as they were last read, without a look at the file.
    pub fn last_valid(&self) -> Policy {
        self.0.current.load().policy.clone()
    }

    /// Whether the rules are older than the file, which is not usable.
    pub fn is_stale(&self) -> bool {
        self.0.is_stale.load(Ordering::Relaxed)
    }

    /// Reads the file again, changed or not, as on SIGHUP. The caller logs the error.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); the last valid rules stay.
    pub async fn reload(&self) -> Result<(), PolicyError> {
        let watched = Arc::clone(&self.0);
        on_blocking_pool(move || {
            let stamp = FileStamp::of(&watched.path).ok();
            watched.read(Cause::Signal).inspect_err(|error| {
                let message = with_causes(error);
                watched.note_refused(Cause::Signal, &message);
                watched.record_state(Some(Unusable { stamp, message }));
            })?;
            watched.record_state(None);
            Ok(())
        })
        .await
    }
}

impl fmt::Debug for PolicyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyFile").field("path", &self.0.path).field("policy", &self.last_valid()).finish()
    }
}

/// The only running check of the file. Until it ends, the last valid rules stay in force.
struct RunningCheck(Arc<Watched>);

impl RunningCheck {
    fn begin(watched: &Arc<Watched>) -> Option<Self> {
        let is_free = !watched.is_looking.swap(true, Ordering::Acquire);
        is_free.then(|| Self(Arc::clone(watched)))
    }

    fn finish(self) {
        self.0.reload_if_changed();
    }
}

impl Drop for RunningCheck {
    fn drop(&mut self) {
        self.0.is_looking.store(false, Ordering::Release);
    }
}

impl Watched {
    /// Reads the file if it has changed, and logs what is wrong with it.
    fn reload_if_changed(&self) {
        let stamp = FileStamp::of(&self.path).ok();
        if stamp.is_some_and(|stamp| stamp.is_surely(&self.current.load().stamp)) {
            return self.record_state(None);
        }
        let Err(error) = self.read(Cause::File) else { return self.record_state(None) };
        let found = Unusable { stamp, message: with_causes(&error) };
        let is_known = self.unusable.lock().as_ref().is_some_and(|known| found.is_known_as(known));
        if !is_known {
            let rules = self.current.load().policy.source().rules.len();
            tracing::error!(
                error = %found.message, file = %self.path.display(), rules,
                "the policy file is not usable, keeping the last valid {rules} rules"
            );
            self.note_refused(Cause::File, &found.message);
        }
        self.record_state(Some(found));
    }

    /// Remembers whether the file is usable, in both places.
    fn record_state(&self, found: Option<Unusable>) {
        let mut unusable = self.unusable.lock();
        self.is_stale.store(found.is_some(), Ordering::Relaxed);
        *unusable = found;
    }

    fn note_refused(&self, cause: Cause, error: &str) {
        let source = self.path.display().to_string();
        self.audit.note(self.current.load().identity.kept(&source, cause, error));
    }

    fn read(&self, cause: Cause) -> Result<(), PolicyError> {
        let (new, warnings) = Loaded::read(&self.path)?;
        let old = self.current.load_full();
        if log_changes(&self.path, old.policy.source(), new.policy.source()) {
            log(&warnings);
        }
        let source = self.path.display().to_string();
        if let Some(event) = new.identity.changed(&old.identity, &source, cause) {
            self.audit.note(event);
        }
        self.current.store(Arc::new(new));
        Ok(())
    }
}

impl Unusable {
    /// Whether it is the same mistake of the same file.
    fn is_known_as(&self, known: &Self) -> bool {
        let is_same_file = match (known.stamp, self.stamp) {
            (Some(known), Some(found)) => found.looks_like(&known),
            (known, found) => known.is_none() && found.is_none(),
        };
        is_same_file && known.message == self.message
    }
}

impl Loaded {
    /// Reads the file, and finds its oddities.
    fn read(path: &Path) -> Result<(Self, Vec<Diagnostic>), PolicyError> {
        let unreadable = |source| PolicyFileError::Unreadable { path: path.to_owned(), source };
        let stamp = FileStamp::of(path).map_err(unreadable)?;
        let LoadedPolicy { rules, warnings, text } = load_policy_file(path)?;
        let identity = RulesIdentity::new(&rules, &text);
        let policy =
            Policy::new(rules).map_err(|source| PolicyError::TooLarge { path: path.to_owned(), source })?;
        Ok((Self { stamp, policy, identity }, warnings))
    }
}

fn log(warnings: &[Diagnostic]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// Logs how many rules came and went; nothing, and returns `false`, if the file has the same content.
fn log_changes(path: &Path, old: &AccessRules, new: &AccessRules) -> bool {
    let (added, removed) = difference(old, new);
    let groups = members(old) != members(new);
    if added == 0 && removed == 0 && !groups {
        return false;
    }
    let changed = if groups { ", and groups have changed" } else { "" };
    tracing::info!(
        file = %path.display(), added, removed, rules = new.rules.len(),
        "the policy file has changed, rules: {added} came, {removed} went{changed}"
    );
    true
}

fn members(rules: &AccessRules) -> Vec<(&str, &[String])> {
    rules.groups.iter().map(|(name, group)| (name, group.members.as_slice())).collect()
}

/// The number of rules that only the new list has, and that only the old one has.
fn difference(old: &AccessRules, new: &AccessRules) -> (usize, usize) {
    let mut counts: HashMap<String, i64> = HashMap::new();
    for rule in &new.rules {
        *counts.entry(rule.to_string()).or_default() += 1;
    }
    for rule in &old.rules {
        *counts.entry(rule.to_string()).or_default() -= 1;
    }
    let sum = |sign: i64| counts.values().map(|count| usize::try_from(count * sign).unwrap_or(0)).sum();
    (sum(1), sum(-1))
}

#[cfg(test)]
#[path = "policy_file_tests.rs"]
mod tests;
