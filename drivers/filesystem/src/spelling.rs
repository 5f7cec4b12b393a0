//! Whether the file system keeps names apart that differ in the case of their letters.
//!
//! Tags `V1` and `v1` are two. Where they are one file (CIFS, a casefolded ext4, a directory of a Mac), the push of one moves the
//! other. Nothing can be done about it here, so it is said at the start.

use rustix::fs::{AtFlags, OFlags};
use uuid::Uuid;

use crate::disk;
use crate::error::Failure;
use crate::file;
use crate::root::Root;

/// Whether upper and lower case are the same below `root`; no, where that cannot be found out.
pub(crate) fn folds_case(root: &Root) -> bool {
    try_folds_case(root).unwrap_or(false)
}

/// Looks with a file that is removed at once.
fn try_folds_case(root: &Root) -> Result<bool, Failure> {
    let directory = root.directory("")?;
    let name = format!("case.{}.tmp", Uuid::new_v4());
    let made = disk::create(&directory, &name, OFlags::WRONLY)?;
    let is_same = file::is_at(&made, &directory, &name.to_uppercase());
    disk::unlink(&directory, &name, AtFlags::empty())?;
    Ok(is_same?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_the_case_of_names_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        assert!(!folds_case(&root), "tests run on file systems that keep names apart");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
