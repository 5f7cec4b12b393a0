//! `DiskSpace`: the free space of the store's file system, for a store in a local directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustix::fs::{StatVfsMountFlags, statvfs};
use sampan_driver::HumanSize;
use tokio::time::{MissedTickBehavior, interval};

use super::HealthStatus;

/// The name of this check in [`HealthStatus`].
pub(super) const NAME: &str = "diskspace";

/// Checks a file system periodically. Cheap to clone; clones share the state.
#[derive(Clone, Debug)]
pub struct DiskSpace {
    directory: Arc<PathBuf>,
    seen: Arc<ArcSwapOption<FileSystemSpace>>,
}

/// The space of a file system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileSystemSpace {
    /// The file system's size.
    pub capacity_bytes: u64,
    /// The bytes that this process may still write.
    pub free_bytes: u64,
    /// The files that can still be created; `None` without a limit.
    pub free_files: Option<u64>,
    /// Whether it is mounted read-only, as Linux remounts it after a disk error.
    pub is_read_only: bool,
}

impl DiskSpace {
    /// Creates a check without a result yet.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory: Arc::new(directory), seen: Arc::default() }
    }

    /// The last result.
    pub fn room(&self) -> Option<FileSystemSpace> {
        self.seen.load().as_deref().copied()
    }

    /// Checks forever, starting at once, and refuses new uploads while there is less space than `need`
    /// requires, or the file system is read-only.
    pub async fn run(self, every: Duration, need: SpaceNeed, health: HealthStatus) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // The storage check covers a file system that does not respond, such as a network file system.
            let Some(room) = self.probe().await else { continue };
            self.seen.store(Some(Arc::new(room)));
            match need.objection(room) {
                Some(reason) => {
                    if health.refuse_writes(NAME, &reason) {
                        tracing::error!(free_bytes = room.free_bytes, "refusing new uploads: {reason}");
                    }
                }
                None => {
                    if health.allow_writes(NAME) {
                        tracing::info!(free_bytes = room.free_bytes, "accepting new uploads again");
                    }
                }
            }
        }
    }

    async fn probe(&self) -> Option<FileSystemSpace> {
        let directory = self.directory.clone();
        // `statvfs` may hang with its file system.
        let seen = tokio::task::spawn_blocking(move || FileSystemSpace::of(&directory)).await.ok()?;
        match seen {
            Ok(seen) => Some(seen),
            Err(error) => {
                tracing::debug!(%error, "the free space of {} is unknown", self.directory.display());
                None
            }
        }
    }
}

impl FileSystemSpace {
    /// The space of the file system of a directory. May block as long as the file system does.
    ///
    /// # Errors
    ///
    /// Any error of `statvfs`.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let seen = statvfs(directory)?;
        Ok(Self {
            capacity_bytes: seen.f_blocks.saturating_mul(seen.f_frsize),
            free_bytes: seen.f_bavail.saturating_mul(seen.f_frsize),
            free_files: (seen.f_files > 0).then_some(seen.f_favail),
            is_read_only: seen.f_flag.contains(StatVfsMountFlags::RDONLY),
        })
    }
}

/// The registry's demand on its file system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpaceNeed {
    /// No writes: the store is open read-only, perhaps on a read-only medium.
    Nothing,
    /// Writes, and this much free space.
    Writes {
        /// `health.diskspace.floor`, or 0.
        floor_bytes: u64,
    },
}

impl SpaceNeed {
    /// Why new uploads must be refused.
    fn objection(self, room: FileSystemSpace) -> Option<String> {
        let Self::Writes { floor_bytes } = self else { return None };
        if room.is_read_only {
            Some("the file system of the store is mounted read-only".to_owned())
        } else if room.free_bytes < floor_bytes {
            let (free, floor) = (HumanSize(room.free_bytes), HumanSize(floor_bytes));
            Some(format!("{free} are free, and health.diskspace.floor is {floor}"))
        } else if floor_bytes > 0 && room.free_files == Some(0) {
            Some("the file system of the store has no free inodes".to_owned())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: FileSystemSpace =
        FileSystemSpace { capacity_bytes: 100, free_bytes: 10, free_files: Some(5), is_read_only: false };

    #[test]
    fn uploads_are_refused_below_the_floor_only() {
        let objection = |floor_bytes, room| SpaceNeed::Writes { floor_bytes }.objection(room);
        assert_eq!(objection(10, SPACE), None);
        assert_eq!(objection(2048, SPACE).unwrap(), "10 B are free, and health.diskspace.floor is 2 KiB");
        let read_only = FileSystemSpace { is_read_only: true, ..SPACE };
        assert!(objection(0, read_only).unwrap().contains("read-only"));
        assert_eq!(SpaceNeed::Nothing.objection(read_only), None);
        assert!(
            objection(1, FileSystemSpace { free_files: Some(0), ..SPACE })
                .unwrap()
                .contains("no free inodes")
        );
        assert_eq!(objection(1, FileSystemSpace { free_files: None, ..SPACE }), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_result_is_available() {
        let directory = tempfile::tempdir().unwrap();
        let (space, health) = (DiskSpace::new(directory.path().to_owned()), HealthStatus::default());
        assert_eq!(space.room(), None);
        let running = tokio::spawn(space.clone().run(
            Duration::from_secs(10),
            SpaceNeed::Writes { floor_bytes: u64::MAX },
            health.clone(),
        ));
        while health.writes_blocked_by().is_none() {
            tokio::task::yield_now().await;
        }
        let room = space.room().unwrap();
        assert!(room.free_bytes > 0 && room.free_bytes <= room.capacity_bytes, "{room:?}");
        running.abort();
    }
}
