//! `RecordKind`: what a record of caches is about, which decides its unit of time and its files.

use std::time::{Duration, SystemTime};

use sampan_driver::DriverPath;
use uuid::Uuid;

use crate::layout::{self, Entry};

/// The subject of the rows of a [`UseTable`](super::UseTable).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RecordKind {
    /// When manifests were used, in hours.
    Uses,
    /// When tags were compared, in seconds: the rules for them may be short.
    Comparisons,
}

/// The length of [`RecordKind::version`].
pub(super) const VERSION_BYTES: usize = 20;

impl RecordKind {
    /// The first line of the files.
    pub(super) fn version(self) -> &'static [u8; VERSION_BYTES] {
        match self {
            Self::Uses => b"sampan cache uses 1\n",
            Self::Comparisons => b"sampan cache tags 1\n",
        }
    }

    /// The units since 1970 that a time is in.
    pub(super) fn units_of(self, time: SystemTime) -> u32 {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u32::try_from(since.as_secs() / self.unit().as_secs()).unwrap_or(u32::MAX)
    }

    /// The beginning of a unit.
    pub(super) fn time_of(self, units: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH.checked_add(self.unit() * units).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The file of a process.
    pub(super) fn entry(self, replica: Uuid) -> Entry {
        match self {
            Self::Uses => Entry::CacheUses(replica),
            Self::Comparisons => Entry::CacheComparisons(replica),
        }
    }

    /// The directory of the files.
    pub(super) fn root(self) -> DriverPath {
        match self {
            Self::Uses => layout::cache_uses_root(),
            Self::Comparisons => layout::cache_comparisons_root(),
        }
    }

    /// The process whose file that is.
    pub(super) fn replica_of(self, path: &DriverPath) -> Option<Uuid> {
        match (self, Entry::parse(path)?) {
            (Self::Uses, Entry::CacheUses(replica))
            | (Self::Comparisons, Entry::CacheComparisons(replica)) => Some(replica),
            _ => None,
        }
    }

    fn unit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Uses => 60 * 60,
            Self::Comparisons => 1,
        })
    }
}
