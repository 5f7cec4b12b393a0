//! The longest file that the file system of an export takes.

use std::path::Path;

use sampan_driver::HumanSize;

use super::transfer::Failed;
use crate::atomic_write::folder_of;

/// The longest file of FAT32, in bytes.
pub(super) const FAT_BYTES: u64 = (4 << 30) - 1;

/// The type of FAT file systems (statfs(2)).
const FAT_MAGIC: u64 = 0x4d44;

/// Refuses an export whose longest file has `len` bytes if the file system of `output` is known to take none of that length.
pub(super) fn check_file_length(output: &Path, len: u64) -> Result<(), Failed> {
    let directory = folder_of(output);
    let found = rustix::fs::statfs(&directory).map(|stat| stat.f_type as u64);
    match found.ok().and_then(longest_file) {
        Some(longest) if longest < len => Err(Failed(format!(
            "{} is on a FAT file system, whose files have less than {}, and a file of {} is needed: export with `--split fat32`, \
             also if a file was begun without",
            directory.display(),
            HumanSize(longest + 1),
            HumanSize(len)
        ))),
        _ => Ok(()),
    }
}

/// The longest file of a type of file systems, in bytes, where a bundle may be longer.
fn longest_file(magic: u64) -> Option<u64> {
    (magic == FAT_MAGIC).then_some(FAT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fat_has_short_files() {
        const TMPFS_MAGIC: u64 = 0x0102_1994;
        assert_eq!(longest_file(FAT_MAGIC), Some(4_294_967_295));
        assert_eq!(longest_file(TMPFS_MAGIC), None);
    }
}
