//! `SyncRule`: what has to be synced so that a new directory is durable.
//!
//! POSIX says that a name is durable when the directory is synced that has it. So a file in a new directory takes one more sync
//! for each new directory on the way, and a first push to a repository makes a dozen of those.
//!
//! Some file systems promise more: whoever syncs a file or directory makes durable all that its being there depends on, and so
//! the directories above it as far as they are new, whoever made them.
//!
//! - ext4 and ext3 with a journal, and XFS, write their metadata down in the order in which it was changed: what was changed
//!   later is never on disk without what was changed before ("strictly ordered metadata").
//! - btrfs logs with each inode those above it that are newer than the last transaction (`log_new_ancestors`).
//!
//! On these, directories are not synced for themselves; the sync of what is put into them does it. On all others (without a
//! journal, over a network, through FUSE, on top of others) POSIX holds. What was measured with disks as a power failure leaves
//! them is in `docs/decisions/0013-directories-are-synced-where-needed.md`.

use std::fs;

use rustix::fs::fstatfs;

use crate::root::Root;

/// What has to be synced so that a new directory is durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SyncRule {
    /// The directory that has its name.
    EachParent,
    /// Anything in it; this holds on the file system of that device number.
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
/// ext2, ext3 and ext4 have the same.
const EXT: u64 = 0xEF53;

/// Whether the kernel's ext4 has the file system of that device, and keeps a journal for it. Who is not sure says no.
fn is_journaled_ext(device: u64) -> bool {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let Ok(link) = fs::read_link(format!("/sys/dev/block/{major}:{minor}")) else { return false };
    let Some(name) = link.file_name().and_then(|name| name.to_str()) else { return false };
    match fs::read_to_string(format!("/sys/fs/ext4/{name}/journal_task")) {
        Ok(task) => task.trim().parse::<u32>().is_ok(),
        Err(_) => false,
    }
}
