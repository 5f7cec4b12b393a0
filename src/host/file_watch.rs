//! `FileStamp`: detects that a file was replaced while the registry runs.
//!
//! All functions block and belong [on the blocking pool](crate::blocking::on_blocking_pool).

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Identifies a state of a file: its device, inode, size and times, seen through symlinks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: i128,
    changed_ns: i128,
    settled: bool,
}

impl FileStamp {
    /// A file written twice within this time may have the same times, depending on the file system.
    const UNSETTLED: Duration = Duration::from_secs(2);

    /// Stamps the file at `path`. Take the stamp *before* reading the file, so that a later change shows.
    ///
    /// # Errors
    ///
    /// The file does not exist or is not accessible.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from_metadata(&fs::metadata(path)?, SystemTime::now()))
    }

    /// Whether a file with this stamp is certainly unchanged since `earlier`.
    ///
    /// A stamp taken within two seconds of the file's change is never certain, which costs a few needless
    /// reads.
    pub fn is_surely(&self, earlier: &Self) -> bool {
        earlier.settled && self.looks_like(earlier)
    }

    /// Whether a file with this stamp may be unchanged since `earlier`.
    pub fn looks_like(&self, earlier: &Self) -> bool {
        Self { settled: earlier.settled, ..*self } == *earlier
    }

    fn from_metadata(metadata: &Metadata, now: SystemTime) -> Self {
        let ns = |secs: i64, nanos: i64| i128::from(secs) * 1_000_000_000 + i128::from(nanos);
        let changed_ns = ns(metadata.ctime(), metadata.ctime_nsec());
        let now_ns = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(i128::MAX));
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns,
            settled: now_ns - changed_ns > Self::UNSETTLED.as_nanos() as i128,
        }
    }
}

/// When a request checks whether a file has changed: once a second, of all requests together.
#[derive(Debug)]
pub struct CheckInterval(Mutex<Instant>);

impl CheckInterval {
    /// The time between two checks.
    pub const EVERY: Duration = Duration::from_secs(1);

    /// Whether the caller checks now. Of several callers one does.
    pub fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut next = self.0.lock();
        let is_due = *next <= now;
        if is_due {
            *next = now + Self::EVERY;
        }
        is_due
    }
}

impl Default for CheckInterval {
    /// The file was read just now.
    fn default() -> Self {
        Self(Mutex::new(Instant::now() + Self::EVERY))
    }
}

/// The remedy for an unreadable file named in the configuration.
pub fn how_to_make_readable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::IsADirectory => {
            "it is a directory and must be a file; docker creates one where a mounted file is missing on the host".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            format!("let the user {user} of this process read it and enter its directories")
        }
        _ => "check the path".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn only_a_settled_stamp_is_certain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "a").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let written = metadata.modified().unwrap();
        let later = written + Duration::from_secs(10);
        let fresh = FileStamp::from_metadata(&metadata, written);
        let settled = FileStamp::from_metadata(&metadata, later);
        assert!(!fresh.is_surely(&fresh));
        assert!(settled.is_surely(&settled));
        assert!(
            fresh.is_surely(&settled),
            "a stamp of an unchanged file within the two seconds is still certain"
        );
    }

    #[test]
    fn a_replaced_file_of_the_same_size_and_time_is_detected() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        let later = SystemTime::now() + Duration::from_secs(10);
        for path in [&one, &two] {
            fs::write(path, "same").unwrap();
            File::options().write(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        let before = FileStamp::from_metadata(&fs::metadata(&one).unwrap(), later);
        fs::rename(&two, &one).unwrap();
        let after = FileStamp::from_metadata(&fs::metadata(&one).unwrap(), later);
        assert!(!after.is_surely(&before));
    }
}
