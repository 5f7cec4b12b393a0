//! `Audit`: a record of logins, tokens, refusals and deletions.
//!
//! An event is a line of JSON in a file, or in the log. Refusals and logins that repeat within a minute are one line with a
//! count, so that a client in a loop fills no disk.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::audit_file::{self, AuditFile};
use super::logged_text::without_secrets;
use super::token_record::rfc3339;
use crate::json_line::json_line;
use crate::line_queue::LineSender;

/// How long the same refusal is one line.
const REPEAT_WINDOW: Duration = Duration::from_secs(60);

/// The most refusals that are counted apart.
const MAX_COUNTED: usize = 4096;

/// The longest text of an event, in characters: clients choose some of them.
const MAX_CHARS: usize = 300;

/// Where events go. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Audit(Option<Arc<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    file: Option<AuditFile>,
    /// By the keyed hash of an event: clients choose some of its texts.
    counted: Mutex<HashMap<u64, Repetition>>,
    hasher: RandomState,
}

/// The repetitions of an event since its last line.
#[derive(Debug)]
struct Repetition {
    since: Instant,
    repeated: u64,
}

/// One event: its name, and what else is known.
#[derive(Debug)]
pub struct AuditEvent {
    name: &'static str,
    fields: Map<String, Value>,
}

impl AuditEvent {
    /// An event without further facts.
    pub fn new(name: &'static str) -> Self {
        Self { name, fields: Map::new() }
    }

    /// Adds a fact, if it is known; the secrets of access tokens in it are left out.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: Option<impl AsRef<str>>) -> Self {
        if let Some(value) = value {
            let shown: String = without_secrets(value.as_ref()).chars().take(MAX_CHARS).collect();
            self.fields.insert(key.to_owned(), shown.into());
        }
        self
    }

    /// Adds the event to the file at `path`, as a command does beside a running registry. Blocks.
    ///
    /// # Errors
    ///
    /// The file is not writable.
    pub fn append_to(self, path: &Path) -> io::Result<()> {
        // One write, so that lines of several processes do not mix.
        audit_file::open(path)?.write_all((self.into_line(0) + "\n").as_bytes())
    }

    fn into_line(self, repeated: u64) -> String {
        let mut line = Map::new();
        line.insert("time".to_owned(), rfc3339(Some(SystemTime::now())).into());
        line.insert("event".to_owned(), self.name.into());
        line.extend(self.fields);
        if repeated > 0 {
            line.insert("repeatedBefore".to_owned(), repeated.into());
        }
        json_line(&Value::Object(line))
    }
}

impl Audit {
    /// Events go to the log.
    pub fn to_log() -> Self {
        Self(Some(Arc::default()))
    }

    /// Events go to the file at `path`, which is created if it is missing, for its owner and group.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or no thread be started.
    pub fn to_file(path: PathBuf) -> io::Result<Self> {
        let file = Some(AuditFile::open(path)?);
        Ok(Self(Some(Arc::new(Inner { file, ..Inner::default() }))))
    }

    /// Opens the file again before the next line, as after a rotation.
    pub fn reopen(&self) {
        if let Some(file) = self.0.as_ref().and_then(|inner| inner.file.as_ref()) {
            file.reopen();
        }
    }

    /// The queue of the events for the file, if there is one.
    pub(crate) fn lines(&self) -> Option<LineSender> {
        Some(self.0.as_ref()?.file.as_ref()?.lines())
    }

    /// Records an event.
    pub fn note(&self, event: AuditEvent) {
        if let Some(inner) = &self.0 {
            inner.write(event, 0);
        }
    }

    /// Records an event unless the same facts were recorded within a minute; then it is counted.
    pub fn note_once_a_minute(&self, event: AuditEvent) {
        let Some(inner) = &self.0 else { return };
        if let Some(repeated) = inner.count(&event) {
            inner.write(event, repeated);
        }
    }
}

impl Inner {
    /// How often the event repeated since its last line; `None` if it is not to be written now.
    fn count(&self, event: &AuditEvent) -> Option<u64> {
        let facts = Value::Object(event.fields.clone()).to_string();
        let key = self.hasher.hash_one((event.name, facts));
        let now = Instant::now();
        let mut counted = self.counted.lock();
        if let Some(known) = counted.get_mut(&key) {
            if now.duration_since(known.since) < REPEAT_WINDOW {
                known.repeated += 1;
                return None;
            }
            let repeated = known.repeated;
            *known = Repetition { since: now, repeated: 0 };
            return Some(repeated);
        }
        if counted.len() >= MAX_COUNTED {
            counted.retain(|_, known| now.duration_since(known.since) < REPEAT_WINDOW);
        }
        // A full table writes lines that it would otherwise count.
        if counted.len() < MAX_COUNTED {
            counted.insert(key, Repetition { since: now, repeated: 0 });
        }
        Some(0)
    }

    fn write(&self, event: AuditEvent, repeated: u64) {
        let Some(file) = &self.file else {
            let facts = Value::Object(event.fields).to_string();
            tracing::info!(audit = true, event = event.name, repeated, "{facts}");
            return;
        };
        file.send(event.into_line(repeated));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(user: &str) -> AuditEvent {
        AuditEvent::new("denied").with("user", Some(user)).with("repository", None::<&str>)
    }

    fn lines(path: &Path, count: usize) -> Vec<Value> {
        // The thread writes them at once.
        loop {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if lines.len() >= count {
                return lines;
            }
            std::thread::yield_now();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_repeats_is_one_line_a_minute_with_its_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::to_file(path.clone()).unwrap();
        for _ in 0..100 {
            audit.note_once_a_minute(denied("alice"));
        }
        audit.note_once_a_minute(denied("bob"));
        tokio::time::advance(REPEAT_WINDOW).await;
        audit.note_once_a_minute(denied("alice"));
        let lines = lines(&path, 3);
        let counts: Vec<_> = lines
            .iter()
            .map(|line| (line["user"].as_str().unwrap(), line["repeatedBefore"].as_u64()))
            .collect();
        assert_eq!(counts, [("alice", None), ("bob", None), ("alice", Some(99))]);
        assert!(lines[0]["time"].as_str().unwrap().ends_with('Z') && lines[0]["event"] == "denied");
        assert!(lines[0].get("repository").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_of_counts_is_bounded() {
        let inner = Inner::default();
        for number in 0..2 * MAX_COUNTED {
            assert_eq!(inner.count(&denied(&number.to_string())), Some(0));
        }
        assert_eq!(inner.counted.lock().len(), MAX_COUNTED);
        tokio::time::advance(REPEAT_WINDOW).await;
        inner.count(&denied("another"));
        assert_eq!(inner.counted.lock().len(), 1);
    }

    #[test]
    fn a_rotated_file_is_followed_and_commands_add_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::to_file(path.clone()).unwrap();
        audit.note(denied("one"));
        lines(&path, 1);
        std::fs::rename(&path, folder.path().join("audit.log.1")).unwrap();
        audit.reopen();
        audit.note(denied("two\nlines"));
        denied(&"long".repeat(1000)).append_to(&path).unwrap();
        let lines = lines(&path, 2);
        let users: Vec<&str> = lines.iter().map(|line| line["user"].as_str().unwrap()).collect();
        assert!(
            users.contains(&"two\nlines") && users.iter().all(|user| user.len() <= MAX_CHARS),
            "{users:?}"
        );
        assert!(Audit::to_file(folder.path().to_owned()).is_err());
    }
}
