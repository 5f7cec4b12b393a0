//! `AuditFile`: the file of the record, which a thread of its own writes: a slow disk must not slow down requests.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{Access, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::atomic_write::{folder_of, hand_over};
use crate::line_queue::{LineReceiver, LineSender, line_queue};

/// The file of the record.
#[derive(Debug)]
pub struct AuditFile {
    lines: LineSender,
    /// Whether the file is opened again before the next line.
    reopen: Arc<AtomicBool>,
}

impl AuditFile {
    /// Opens the file at `path`, which is created if it is missing, for its owner and group.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or no thread be started.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = open(&path)?;
        let (sender, mut lines) = line_queue();
        let reopen = Arc::<AtomicBool>::default();
        let opened = Self { lines: sender, reopen: Arc::clone(&reopen) };
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write_all(&path, open, file, &mut lines, &reopen))?;
        Ok(opened)
    }

    /// Checks whether opening it would succeed, as far as that is possible without creating a file. Blocks.
    ///
    /// # Errors
    ///
    /// The path names a directory, or this process cannot write there.
    pub fn check(path: &Path) -> io::Result<()> {
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

    /// Opens the file again before the next line.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
    }

    /// The queue of the thread that writes.
    pub(super) fn lines(&self) -> LineSender {
        self.lines.clone()
    }

    /// Hands a line to the thread that writes.
    pub(super) fn send(&self, line: String) {
        self.lines.send(line);
    }
}

/// Opens the file to append to it. A pipe that is not read is an error; it would block otherwise.
pub(super) fn open(path: &Path) -> io::Result<File> {
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

fn write_all<W: Write>(
    path: &Path,
    open: impl Fn(&Path) -> io::Result<W>,
    file: W,
    lines: &mut LineReceiver,
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

    use parking_lot::Mutex;
    use rustix::fs::{CWD, FileType, Mode};
    use serde_json::Value;

    use super::*;
    use crate::auth::AuditEvent;
    use crate::test_disk::TestDisk;
    use crate::test_log::TestLog;

    #[test]
    fn a_pipe_without_a_reader_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        for failed in [AuditFile::open(path.clone()).map(drop), AuditFile::check(&path)] {
            assert!(failed.unwrap_err().to_string().contains("no program reads this pipe"));
        }
        let at_once = OFlags::NONBLOCK.bits().cast_signed();
        let mut reader = OpenOptions::new().read(true).custom_flags(at_once).open(&path).unwrap();
        AuditEvent::new("alice").append_to(&path).unwrap();
        let mut line = String::new();
        reader.read_to_string(&mut line).unwrap();
        assert!(line.contains("alice"), "{line}");
    }

    #[test]
    fn a_line_that_a_full_disk_cut_short_spoils_no_other() {
        let content = Arc::<Mutex<Vec<u8>>>::default();
        let disk = TestDisk { content: Arc::clone(&content), room: 30 };
        let (sender, mut lines) = line_queue();
        let writer = thread::spawn(move || {
            let open = |_: &Path| Err(io::ErrorKind::NotFound.into());
            write_all(Path::new("audit.log"), open, disk, &mut lines, &AtomicBool::default());
        });
        sender.send(r#"{"user":"cut short"}"#.repeat(3));
        while content.lock().is_empty() {
            thread::yield_now();
        }
        sender.send(r#"{"user":"whole"}"#.to_owned());
        drop(sender);
        writer.join().unwrap();
        let text = TestDisk::text(&content);
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((text.lines().count(), &last["user"]), (2, &"whole".into()), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_opened_again_loses_no_line() {
        let [old, new] = [(); 2].map(|()| Arc::<Mutex<Vec<u8>>>::default());
        let disk =
            |content: &Arc<Mutex<Vec<u8>>>| TestDisk { content: Arc::clone(content), room: usize::MAX };
        let (sender, mut lines) = line_queue();
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
        write_all(Path::new("audit.log"), open, disk(&old), &mut lines, &AtomicBool::new(true));
        drop(capture);
        assert_eq!((TestDisk::text(&old).as_str(), TestDisk::text(&new).as_str()), ("one\n", "two\n"));
        assert!(log.text().contains("cannot open audit.file audit.log again"), "{}", log.text());
    }
}
