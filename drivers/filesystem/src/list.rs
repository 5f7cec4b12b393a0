//! Listing one level.

use sampan_driver::DirEntry;

use crate::error::Failure;
use crate::root::Root;
use crate::scan;

/// The entries of the directory `key` whose names come after `after`, sorted; none if it is missing or a file.
pub(crate) fn list(root: &Root, key: &str, after: Option<&str>) -> Result<Vec<DirEntry>, Failure> {
    let directory = match root.find_directory(key) {
        Err(Failure::Missing) => return Ok(Vec::new()),
        result => result?,
    };
    let prefix = if key.is_empty() { String::new() } else { format!("{key}/") };
    let mut entries = Vec::new();
    scan::entries(rustix::fd::AsFd::as_fd(&directory), &mut scan::buffer(), |name, file_type| {
        if after.is_some_and(|after| name.to_bytes() <= after.as_bytes()) {
            return Ok(());
        }
        if let Some((name, kind)) = scan::classify(root, &prefix, name, file_type)? {
            let name = name.to_owned();
            entries.push(if kind.is_directory() { DirEntry::Directory(name) } else { DirEntry::File(name) });
        }
        Ok(())
    })?;
    entries.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    Ok(entries)
}
