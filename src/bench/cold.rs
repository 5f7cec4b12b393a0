//! Drops files from the page cache, so that reads come from the disk.

use std::fs::File;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use crate::error::{Error, Result};

/// Writes all files below a directory to the disk and drops them from the page cache.
///
/// Only file contents are dropped: names and sizes stay cached, as do the caches of the disk or of a network file server. On
/// tmpfs this has no effect.
pub(crate) fn evict(directory: &Path) -> Result<()> {
    let mut todo = vec![directory.to_owned()];
    while let Some(path) = todo.pop() {
        let failed = |source| Error::File { path: path.clone(), source };
        let metadata = match path.symlink_metadata() {
            // The server keeps running, so a temporary file may be gone.
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
