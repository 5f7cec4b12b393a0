//! The file of a [`UseTable`]: `sampan/cache/used/<uuid>`, one for each process, or `sampan/cache/compared/<uuid>` by its kind.
//!
//! A line with the version; when the recording began and the number of rows, four bytes each; the rows, 16 bytes of key and
//! four of the last use, in hours or seconds since 1970; the sha256 digest of all that. Numbers begin with their lowest byte.
//!
//! Writing a file costs a power failure nothing to damage, and losing one costs a worse choice of what to evict. So a damaged
//! file is left out, with a warning.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{FileInfo, PutMode, StorageDriver, StorageDriverExt};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::UseTable;
use super::record_kind::{RecordKind, VERSION_BYTES};
use super::scheduler_state;
use super::use_table::{Key, MAX_ROWS};
use crate::Result;
use sampan_host::blocking::on_blocking_pool;

const HEADER_BYTES: usize = VERSION_BYTES + 8;
const ROW_BYTES: usize = 20;
const SUM_BYTES: usize = 32;
const MAX_BYTES: usize = HEADER_BYTES + MAX_ROWS * ROW_BYTES + SUM_BYTES;

/// How old a file must be before another process removes it. Its rows are in that process's file by then.
const OUTDATED: Duration = Duration::from_secs(24 * 60 * 60);

/// The content of a file.
#[derive(Debug, Eq, PartialEq)]
struct UseFile {
    since: u32,
    rows: Vec<(Key, u32)>,
}

impl UseTable {
    /// Writes the file of this process, if the table has changed since the last time. Then removes files of other processes
    /// that are in it and were not written for a day.
    ///
    /// # Errors
    ///
    /// Any error of the store; then the next call tries again.
    pub async fn save(&self, driver: &Arc<dyn StorageDriver>) -> Result<()> {
        if !self.is_changed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let (since, rows) = self.copy();
        let kind = self.kind;
        let content = on_blocking_pool(move || UseFile { since, rows }.to_bytes(kind)).await;
        let path = kind.entry(self.replica).path();
        if let Err(error) = driver.put_content(&path, content, PutMode::Transient).await {
            self.is_changed.store(true, Ordering::Relaxed);
            return Err(error.into());
        }
        self.remove_outdated(driver).await
    }

    /// Merges the files of all other processes: of two times, the later counts. Where there is none at all, it takes the times
    /// of the first use from the file of Distribution's cache, whose `ttl` that was.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn load_all(&self, driver: &Arc<dyn StorageDriver>, ttl: Duration) -> Result<()> {
        if !self.merge_all(driver).await? {
            scheduler_state::load(self, driver, ttl).await?;
        }
        Ok(())
    }

    /// Merges the files of all other processes, and returns whether there is any file.
    pub(super) async fn merge_all(&self, driver: &Arc<dyn StorageDriver>) -> Result<bool> {
        let mut files = driver.walk(&self.kind.root(), None);
        let mut has_any = false;
        while let Some(file) = files.try_next().await? {
            let Some(replica) = self.kind.replica_of(&file.path) else { continue };
            has_any = true;
            if replica != self.replica && self.merged.lock().get(&replica) != Some(&file.modified) {
                self.merge(driver, replica, file).await?;
            }
        }
        Ok(has_any)
    }

    async fn merge(&self, driver: &Arc<dyn StorageDriver>, replica: Uuid, file: FileInfo) -> Result<()> {
        let read = match file.size_bytes > MAX_BYTES as u64 {
            true => Err("it is too long"),
            false => {
                let Some(content) = driver.get_content_if_any(&file.path).await? else { return Ok(()) };
                let kind = self.kind;
                on_blocking_pool(move || UseFile::parse(kind, &content)).await
            }
        };
        match read {
            Ok(uses) => {
                self.begin_at(uses.since);
                uses.rows.into_iter().for_each(|(key, hour)| self.raise(key, hour));
            }
            Err(reason) => {
                let path = &file.path;
                tracing::warn!(%path, reason, "the record {path} of the use of caches is damaged, and left out: {reason}");
            }
        }
        // Until it has asked for the time, a machine without a battery is behind, and would take these uses for old ones.
        if file.modified <= self.clock.now() {
            self.merged.lock().insert(replica, file.modified);
        }
        Ok(())
    }

    async fn remove_outdated(&self, driver: &Arc<dyn StorageDriver>) -> Result<()> {
        let before = self.clock.ago(OUTDATED);
        let outdated: Vec<(Uuid, SystemTime)> = {
            let merged = self.merged.lock();
            let outdated = merged.iter().filter(|(_, written)| **written < before);
            outdated.map(|(replica, written)| (*replica, *written)).collect()
        };
        for (replica, written) in outdated {
            let path = self.kind.entry(replica).path();
            // A process that still runs may have written it since.
            if driver.stat_if_any(&path).await?.is_some_and(|file| file.modified == written) {
                driver.delete(&path).await?;
            }
            self.merged.lock().remove(&replica);
        }
        Ok(())
    }
}

impl UseFile {
    fn to_bytes(&self, kind: RecordKind) -> Bytes {
        let mut content = Vec::with_capacity(HEADER_BYTES + self.rows.len() * ROW_BYTES + SUM_BYTES);
        content.extend(kind.version());
        content.extend(self.since.to_le_bytes());
        content.extend((self.rows.len() as u32).to_le_bytes());
        for (key, hour) in &self.rows {
            content.extend(key);
            content.extend(hour.to_le_bytes());
        }
        let sum = Sha256::digest(&content);
        content.extend(sum);
        content.into()
    }

    fn parse(kind: RecordKind, content: &[u8]) -> std::result::Result<Self, &'static str> {
        let (content, sum) = content.split_last_chunk::<SUM_BYTES>().ok_or("it is too short")?;
        if Sha256::digest(content)[..] != sum[..] {
            return Err("its digest is wrong");
        }
        let rest = content.strip_prefix(kind.version().as_slice()).ok_or("it is of another version")?;
        let (since, rest) = rest.split_first_chunk::<4>().ok_or("it is too short")?;
        let (count, rest) = rest.split_first_chunk::<4>().ok_or("it is too short")?;
        let (rows, left) = rest.as_chunks::<ROW_BYTES>();
        if rows.len() as u64 != u64::from(u32::from_le_bytes(*count)) || !left.is_empty() {
            return Err("it has another length than it says");
        }
        let rows = rows.iter().map(|row| {
            let (mut key, mut hour) = (Key::default(), [0; 4]);
            key.copy_from_slice(&row[..16]);
            hour.copy_from_slice(&row[16..]);
            (key, u32::from_le_bytes(hour))
        });
        Ok(Self { since: u32::from_le_bytes(*since), rows: rows.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_written_and_damage_is_noticed() {
        let uses = UseFile { since: 490_000, rows: vec![([7; 16], 490_001), ([9; 16], 500_000)] };
        let kind = RecordKind::Uses;
        let content = uses.to_bytes(kind);
        assert_eq!(content.len(), HEADER_BYTES + 2 * ROW_BYTES + SUM_BYTES);
        assert_eq!(UseFile::parse(kind, &content), Ok(uses));
        assert!(UseFile::parse(RecordKind::Comparisons, &content).is_err());
        for end in 0..content.len() {
            assert!(UseFile::parse(kind, &content[..end]).is_err(), "{end} bytes");
        }
        for place in 0..content.len() {
            let mut damaged = content.to_vec();
            damaged[place] ^= 1;
            assert!(UseFile::parse(kind, &damaged).is_err(), "byte {place}");
        }
        assert!(UseFile::parse(kind, &vec![0; content.len()]).is_err());
    }
}
