//! `DiskSpace`: how much room there is where the store is, when that is a directory of this machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustix::fs::{StatVfsMountFlags, statvfs};
use sampan_driver::HumanSize;
use tokio::time::{MissedTickBehavior, interval};

use super::HealthStatus;

/// The name under which a lack of room stands on the board.
pub(super) const NAME: &str = "diskspace";

/// Looks at a file system again and again. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct DiskSpace {
    directory: Arc<PathBuf>,
    seen: Arc<ArcSwapOption<Room>>,
}

/// What a file system has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Room {
    /// Its size.
    pub capacity_bytes: u64,
    /// What this process may still fill.
    pub free_bytes: u64,
    /// How many files can still be made; `None` where that has no bound.
    pub free_files: Option<u64>,
    /// Whether it is mounted read-only, as Linux does by itself after an error of the disk.
    pub is_read_only: bool,
}

impl DiskSpace {
    /// Nothing has been looked at yet.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory: Arc::new(directory), seen: Arc::default() }
    }

    /// What was seen last.
    pub fn room(&self) -> Option<Room> {
        self.seen.load().as_deref().copied()
    }

    /// Looks for ever, at once for the first time, and keeps clients from beginning uploads while there is less room than
    /// `need` has, or no writing at all.
    pub async fn run(self, every: Duration, need: Need, board: HealthStatus) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // A file system that does not answer, such as one over a network, is the storage check's business.
            let Some(room) = self.look().await else { continue };
            self.seen.store(Some(Arc::new(room)));
            match need.objection(room) {
                Some(reason) => {
                    if board.refuse_writes(NAME, &reason) {
                        tracing::error!(free_bytes = room.free_bytes, "new uploads are refused: {reason}");
                    }
                }
                None => {
                    if board.allow_writes(NAME) {
                        tracing::info!(free_bytes = room.free_bytes, "new uploads are taken again");
                    }
                }
            }
        }
    }

    async fn look(&self) -> Option<Room> {
        let directory = self.directory.clone();
        // `statvfs` may hang with its file system.
        let seen = tokio::task::spawn_blocking(move || statvfs(directory.as_path())).await.ok()?;
        match seen {
            Ok(seen) => Some(Room {
                capacity_bytes: seen.f_blocks.saturating_mul(seen.f_frsize),
                free_bytes: seen.f_bavail.saturating_mul(seen.f_frsize),
                free_files: (seen.f_files > 0).then_some(seen.f_favail),
                is_read_only: seen.f_flag.contains(StatVfsMountFlags::RDONLY),
            }),
            Err(error) => {
                tracing::debug!(%error, "the free space of {} is not known", self.directory.display());
                None
            }
        }
    }
}

/// What a registry needs of its file system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// Nothing: it was opened for reading alone, perhaps from a medium that is never written to.
    Nothing,
    /// To write, and this much free space.
    Writes {
        /// `health.diskspace.floor`, or 0.
        floor_bytes: u64,
    },
}

impl Need {
    /// Why nothing new should be begun.
    fn objection(self, room: Room) -> Option<String> {
        let Self::Writes { floor_bytes } = self else { return None };
        if room.is_read_only {
            Some("the file system of the store is mounted read-only".to_owned())
        } else if room.free_bytes < floor_bytes {
            let (free, floor) = (HumanSize(room.free_bytes), HumanSize(floor_bytes));
            Some(format!("{free} are free, and health.diskspace.floor is {floor}"))
        } else if floor_bytes > 0 && room.free_files == Some(0) {
            Some("the file system of the store can hold no more files".to_owned())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { capacity_bytes: 100, free_bytes: 10, free_files: Some(5), is_read_only: false };

    #[test]
    fn uploads_are_refused_below_the_floor_only() {
        let objection = |floor_bytes, room| Need::Writes { floor_bytes }.objection(room);
        assert_eq!(objection(10, ROOM), None);
        assert_eq!(objection(2048, ROOM).unwrap(), "10 B are free, and health.diskspace.floor is 2 KiB");
        let read_only = Room { is_read_only: true, ..ROOM };
        assert!(objection(0, read_only).unwrap().contains("read-only"));
        assert_eq!(Need::Nothing.objection(read_only), None);
        assert!(objection(1, Room { free_files: Some(0), ..ROOM }).unwrap().contains("no more files"));
        assert_eq!(objection(1, Room { free_files: None, ..ROOM }), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (space, board) = (DiskSpace::new(directory.path().to_owned()), HealthStatus::default());
        assert_eq!(space.room(), None);
        let running = tokio::spawn(space.clone().run(
            Duration::from_secs(10),
            Need::Writes { floor_bytes: u64::MAX },
            board.clone(),
        ));
        while board.writes_blocked_by().is_none() {
            tokio::task::yield_now().await;
        }
        let room = space.room().unwrap();
        assert!(room.free_bytes > 0 && room.free_bytes <= room.capacity_bytes, "{room:?}");
        running.abort();
    }
}
