//! `SyncRule`: which sync makes a new directory durable.
//!
//! According to POSIX, a name is durable when its directory is synced. So a file in a new directory needs one more sync for
//! each new parent directory, and a first push to a repository creates a dozen of those.
//!
//! Some file systems guarantee more: syncing a file or directory makes everything durable that its existence depends on,
//! including its new parent directories, whichever process created them.
//!
//! - ext4 and ext3 with a journal, and XFS, write metadata in the order of the changes: a later change is never on disk
//!   without the earlier ones ("strictly ordered metadata").
//! - btrfs logs with each inode those parents that are newer than the last transaction (`log_new_ancestors`).
//!
//! On these, directories are not synced separately; syncing their content does it. On all others (without a journal,
//! network file systems, FUSE, stacked ones) the POSIX rule holds.
//! `docs/decisions/0013-directories-are-synced-where-needed.md` has measurements of disks after power failures.

use std::fs;

use rustix::fs::fstatfs;

use crate::root::Root;

/// Which sync makes a new directory durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SyncRule {
    /// A sync of its parent.
    EachParent,
    /// A sync of anything in it; holds on the file system with that device number.
    WithItsContent(u64),
}

/// The rule below `root`.
pub(crate) fn of(root: &Root) -> SyncRule {
    let Ok(directory) = root.directory("") else { return SyncRule::EachParent };
    let kind = fstatfs(&directory).map(|stat| stat.f_type as u64);
    let device = root.identity().0;
    let is_ordered = match kind {
        Ok(XFS | BTRFS) => true,
        Ok(EXT) => is_journaled_ext(device),
        _ => false,
    };
    if is_ordered { SyncRule::WithItsContent(device) } else { SyncRule::EachParent }
}

const XFS: u64 = 0x5846_5342;
const BTRFS: u64 = 0x9123_683E;
/// The same for ext2, ext3 and ext4.
const EXT: u64 = 0xEF53;

/// Whether the device has a file system of the kernel's ext4 with a journal. False if uncertain.
fn is_journaled_ext(device: u64) -> bool {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let Ok(link) = fs::read_link(format!("/sys/dev/block/{major}:{minor}")) else { return false };
    let Some(name) = link.file_name().and_then(|name| name.to_str()) else { return false };
    match fs::read_to_string(format!("/sys/fs/ext4/{name}/journal_task")) {
        Ok(task) => task.trim().parse::<u32>().is_ok(),
        Err(_) => false,
    }
}
