//! Puts files out of the page cache, so that reading them is reading the disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use crate::error::{Error, Result};

/// Writes everything below a directory to the disk and asks the kernel to forget it.
///
/// Only the files themselves are forgotten: names and sizes stay known, and so does what a disk or a network file
/// server remembers for itself. On tmpfs there is no other place, so nothing changes.
pub(crate) fn evict(directory: &Path) -> Result<()> {
    let mut todo = vec![directory.to_owned()];
    while let Some(path) = todo.pop() {
        let failed = |source| Error::File { path: path.clone(), source };
        let metadata = match path.symlink_metadata() {
            // The server goes on working: a temporary file may be gone.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && path != directory => continue,
            metadata => metadata.map_err(failed)?,
        };
        if metadata.is_dir() {
            let entries = std::fs::read_dir(&path).map_err(failed)?;
            let entries = entries.map(|entry| entry.map(|entry| entry.path()));
            todo.extend(entries.collect::<std::io::Result<Vec<PathBuf>>>().map_err(failed)?);
        } else if metadata.is_file() {
            let file = File::open(&path).map_err(failed)?;
            file.sync_all().map_err(failed)?;
            fadvise(&file, 0, None, Advice::DontNeed).map_err(|error| failed(error.into()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = evict(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }

    #[test]
    fn files_in_subdirectories_stay_as_they_are() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("a")).unwrap();
        std::fs::write(directory.path().join("a/b"), "content").unwrap();
        evict(directory.path()).unwrap();
        assert_eq!(std::fs::read_to_string(directory.path().join("a/b")).unwrap(), "content");
    }
}
