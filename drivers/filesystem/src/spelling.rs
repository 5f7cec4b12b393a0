//! Detects file systems that ignore case.
//!
//! Tags `V1` and `v1` differ. Where they are one file (CIFS, a casefolded ext4, a macOS directory), pushing
//! one moves the other. The driver cannot prevent that, so it warns at the start.

use rustix::fs::{AtFlags, OFlags};
use uuid::Uuid;

use crate::disk;
use crate::error::Failure;
use crate::file;
use crate::root::Root;

/// Whether the file system ignores case below `root`; false if unknown.
pub(crate) fn folds_case(root: &Root) -> bool {
    try_folds_case(root).unwrap_or(false)
}

/// Tests with a temporary file.
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
    fn the_test_for_case_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path().to_owned()).unwrap();
        assert!(!folds_case(&root), "tests run on case-sensitive file systems");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
