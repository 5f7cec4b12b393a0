//! `Audit`: a record of logins, tokens, refusals and deletions.
//!
//! An event is a line of JSON in a file, or in the log. A thread of its own writes the file: a slow disk must not
//! slow down requests. Refusals and logins that repeat within a minute are one line with a count, so that a
//! client in a loop fills no disk.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs::{File, OpenOptions};
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rustix::fs::{Access, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::shown::without_secrets;
use super::token_record::rfc3339;
use crate::atomic_write::folder_of;
use crate::line_queue::{LineReceiver, LineSender, line_queue};

/// How long the same refusal is one line.
const TOGETHER: Duration = Duration::from_secs(60);

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
    counted: Mutex<HashMap<u64, Counted>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct AuditFile {
    lines: LineSender,
    /// Whether the file is opened again before the next line.
    reopen: Arc<AtomicBool>,
}

/// How often an event has repeated since its last line.
#[derive(Debug)]
struct Counted {
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
        open(path)?.write_all((self.into_line(0) + "\n").as_bytes())
    }

    fn into_line(self, repeated: u64) -> String {
        let mut line = Map::new();
        line.insert("time".to_owned(), rfc3339(Some(SystemTime::now())).into());
        line.insert("event".to_owned(), self.name.into());
        line.extend(self.fields);
        if repeated > 0 {
            line.insert("repeatedBefore".to_owned(), repeated.into());
        }
        Value::Object(line).to_string()
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
        let file = open(&path)?;
        let (sender, lines) = line_queue();
        let reopen = Arc::<AtomicBool>::default();
        let opened = AuditFile { lines: sender, reopen: Arc::clone(&reopen) };
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write_all(&path, open, file, &lines, &reopen))?;
        Ok(Self(Some(Arc::new(Inner { file: Some(opened), ..Inner::default() }))))
    }

    /// Checks whether [`to_file`](Self::to_file) would succeed, as far as that is possible without creating a file. Blocks.
    ///
    /// # Errors
    ///
    /// The path names a directory, or this process cannot write there.
    pub fn check_file(path: &Path) -> io::Result<()> {
        let writable = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if found.file_type().is_fifo() => return open(path).map(drop),
            Ok(_) => rustix::fs::access(path, Access::WRITE_OK),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = folder_of(path);
                if !folder.is_dir() {
                    let missing = format!("the directory {} is missing", folder.display());
                    return Err(io::Error::new(io::ErrorKind::NotFound, missing));
                }
                rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
            }
            Err(error) => return Err(error),
        };
        Ok(writable?)
    }

    /// Whether events are recorded at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Opens the file again before the next line, as after a rotation.
    pub fn reopen(&self) {
        if let Some(file) = self.0.as_ref().and_then(|inner| inner.file.as_ref()) {
            file.reopen.store(true, Ordering::Relaxed);
        }
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
            if now.duration_since(known.since) < TOGETHER {
                known.repeated += 1;
                return None;
            }
            let repeated = known.repeated;
            *known = Counted { since: now, repeated: 0 };
            return Some(repeated);
        }
        if counted.len() >= MAX_COUNTED {
            counted.retain(|_, known| now.duration_since(known.since) < TOGETHER);
        }
        // A full table writes lines that it would otherwise count.
        if counted.len() < MAX_COUNTED {
            counted.insert(key, Counted { since: now, repeated: 0 });
        }
        Some(0)
    }

    fn write(&self, event: AuditEvent, repeated: u64) {
        let Some(file) = &self.file else {
            let facts = Value::Object(event.fields).to_string();
            tracing::info!(audit = true, event = event.name, repeated, "{facts}");
            return;
        };
        file.lines.send(event.into_line(repeated));
    }
}

/// Opens the file to append to it. A pipe that is not read is an error; it would block otherwise.
fn open(path: &Path) -> io::Result<File> {
    let mut flags = OFlags::NONBLOCK;
    // The user of a service may not choose where root writes.
    if geteuid().is_root() && !is_link_of_root(path) {
        flags |= OFlags::NOFOLLOW;
    }
    let mut options = OpenOptions::new();
    options.append(true).mode(0o640).custom_flags(flags.bits().cast_signed());
    let opened = match options.clone().create_new(true).open(path) {
        Ok(new) => hand_over(&new, path).map(|()| new),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => options.create(true).open(path),
        failed => failed,
    };
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::NXIO) => {
            io::Error::new(error.kind(), "no program reads this pipe: start its reader first")
        }
        Some(Errno::LOOP) => io::Error::new(error.kind(), "root does not follow the link of another user"),
        _ => error,
    })?;
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(file)
}

fn is_link_of_root(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink() && found.uid() == 0)
}

/// Gives a file that root has just made to the owner of its folder: a command may be the first to write a record that the
/// registry goes on with.
fn hand_over(new: &File, path: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let folder = std::fs::metadata(folder_of(path))?;
    match std::os::unix::fs::fchown(new, Some(folder.uid()), Some(folder.gid())) {
        // A container without the right, and file systems without owners.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => Ok(()),
        result => result,
    }
}

fn write_all<W: Write>(
    path: &Path,
    open: impl Fn(&Path) -> io::Result<W>,
    file: W,
    lines: &LineReceiver,
    reopen: &AtomicBool,
) {
    let (mut file, mut has_failed, mut is_torn) = (file, false, false);
    let (mut is_moved, mut is_warned) = (false, false);
    while let Some(queued) = lines.next() {
        is_moved |= reopen.swap(false, Ordering::Relaxed);
        if is_moved {
            // The old file takes the lines until there is a new one.
            match open(path) {
                Ok(opened) => (file, is_moved, is_warned) = (opened, false, false),
                Err(error) if !is_warned => {
                    tracing::warn!(
                        "cannot open audit.file {} again: {error}; events go to the file that was open before",
                        path.display()
                    );
                    is_warned = true;
                }
                Err(_) => {}
            }
        }
        // One write, so that lines of several processes do not mix. A line that a full disk cut short ends before it.
        let ending = if is_torn { "\n" } else { "" };
        let done = file.write_all((ending.to_owned() + &queued.join("\n") + "\n").as_bytes());
        is_torn = done.is_err();
        if let Err(error) = &done
            && !has_failed
        {
            tracing::error!("cannot write audit.file {}: {error}; events are lost", path.display());
        }
        has_failed = done.is_err();
        let lost = lines.take_dropped();
        if lost > 0 {
            tracing::error!("audit.file {} is too slow: {lost} events were lost", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rustix::fs::{CWD, FileType, Mode};

    use super::*;
    use crate::test_log::TestLog;

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
            thread::yield_now();
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
        tokio::time::advance(TOGETHER).await;
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

    #[test]
    fn a_pipe_without_a_reader_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        for failed in [Audit::to_file(path.clone()).map(drop), Audit::check_file(&path)] {
            assert!(failed.unwrap_err().to_string().contains("no program reads this pipe"));
        }
        let at_once = OFlags::NONBLOCK.bits().cast_signed();
        let mut reader = OpenOptions::new().read(true).custom_flags(at_once).open(&path).unwrap();
        denied("alice").append_to(&path).unwrap();
        let mut line = String::new();
        reader.read_to_string(&mut line).unwrap();
        assert!(line.contains("alice"), "{line}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_of_counts_is_bounded() {
        let inner = Inner::default();
        for number in 0..2 * MAX_COUNTED {
            assert_eq!(inner.count(&denied(&number.to_string())), Some(0));
        }
        assert_eq!(inner.counted.lock().len(), MAX_COUNTED);
        tokio::time::advance(TOGETHER).await;
        inner.count(&denied("another"));
        assert_eq!(inner.counted.lock().len(), 1);
    }

    /// A disk that has room for some bytes, and more after it was full once.
    struct Disk {
        content: Arc<Mutex<Vec<u8>>>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                self.room = usize::MAX;
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = bytes.len().min(self.room);
            self.room -= written;
            self.content.lock().extend_from_slice(&bytes[..written]);
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_a_full_disk_cut_short_spoils_no_other() {
        let content = Arc::<Mutex<Vec<u8>>>::default();
        let disk = Disk { content: Arc::clone(&content), room: 30 };
        let (sender, lines) = line_queue();
        let writer = thread::spawn(move || {
            let open = |_: &Path| Err(io::ErrorKind::NotFound.into());
            write_all(Path::new("audit.log"), open, disk, &lines, &AtomicBool::default());
        });
        sender.send(denied("cut short").into_line(0));
        while content.lock().is_empty() {
            thread::yield_now();
        }
        sender.send(denied("whole").into_line(0));
        drop(sender);
        writer.join().unwrap();
        let text = String::from_utf8(content.lock().clone()).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((text.lines().count(), &last["user"]), (2, &"whole".into()), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_again_loses_no_line() {
        let [old, new] = [(); 2].map(|()| Arc::<Mutex<Vec<u8>>>::default());
        let disk = |content: &Arc<Mutex<Vec<u8>>>| Disk { content: Arc::clone(content), room: usize::MAX };
        let (sender, lines) = line_queue();
        sender.send("one".to_owned());
        let sender = Mutex::new(Some(sender));
        let open = |_: &Path| match sender.lock().take() {
            // Another line comes while the file cannot be opened yet, the last one.
            Some(sender) => {
                sender.send("two".to_owned());
                Err(io::ErrorKind::PermissionDenied.into())
            }
            None => Ok(disk(&new)),
        };
        let log = TestLog::default();
        let capture = log.capture();
        write_all(Path::new("audit.log"), open, disk(&old), &lines, &AtomicBool::new(true));
        drop(capture);
        let text = |content: &Mutex<Vec<u8>>| String::from_utf8(content.lock().clone()).unwrap();
        assert_eq!((text(&old).as_str(), text(&new).as_str()), ("one\n", "two\n"));
        assert!(log.text().contains("cannot open audit.file audit.log again"), "{}", log.text());
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
