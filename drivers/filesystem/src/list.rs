//! Listing one level.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::vec;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use sampan_driver::DirEntry;

use crate::error::Failure;
use crate::listings::{Listings, State};
use crate::scan;
use crate::store::Store;

/// What is still to be told of a directory, in byte order.
#[derive(Debug)]
pub(crate) enum Listing {
    /// Read for this once.
    Own(vec::IntoIter<DirEntry>),
    /// Kept for others, and from which entry on it is told.
    Kept(Arc<Vec<DirEntry>>, usize),
}

impl Listing {
    fn of_kept(entries: Arc<Vec<DirEntry>>, after: Option<&str>) -> Self {
        let next = after.map_or(0, |after| entries.partition_point(|entry| entry.name() <= after));
        Self::Kept(entries, next)
    }
}

impl Iterator for Listing {
    type Item = DirEntry;

    fn next(&mut self) -> Option<DirEntry> {
        match self {
            Self::Own(entries) => entries.next(),
            Self::Kept(entries, next) => {
                let entry = entries.get(*next)?.clone();
                *next += 1;
                Some(entry)
            }
        }
    }
}

/// The entries of the directory `key` whose names come after `after`, sorted; none if it is missing or a file. With `holding`,
/// directories without that file are left out.
pub(crate) fn list(
    store: &Store,
    key: &str,
    after: Option<&str>,
    holding: Option<&str>,
) -> Result<Listing, Failure> {
    let directory = match store.root.find_directory(key) {
        Err(Failure::Missing) => return Ok(Listing::Own(Vec::new().into_iter())),
        result => result?,
    };
    // Asked before the entries are read: what changes meanwhile makes another state.
    let state = State::of(&directory)?;
    // No key ends so: a listing that leaves something out is one of its own.
    let kept_key = holding.map_or_else(|| key.to_owned(), |holding| format!("{key}/\0/{holding}"));
    if let Some(kept) = store.listings.get(&kept_key, &state) {
        return Ok(Listing::of_kept(kept, after));
    }
    let is_settled = state.is_settled();
    let prefix = if key.is_empty() { String::new() } else { format!("{key}/") };
    let mut entries = Vec::new();
    // Whether it can be another listing though the directory is in the same state.
    let mut is_fleeting = false;
    // Most listings are of a handful of names, where to allocate so much would be half of the work.
    let mut buffer = [MaybeUninit::uninit(); scan::BUFFER_BYTES];
    scan::entries_in(directory.as_fd(), &mut buffer, |name, file_type| {
        if !is_settled && after.is_some_and(|after| name.to_bytes() <= after.as_bytes()) {
            return Ok(());
        }
        // Where a link leads can change without the directory changing.
        is_fleeting |= file_type == FileType::Symlink;
        if let Some((name, kind)) = scan::classify(&store.root, &prefix, name, file_type)? {
            // What a link to nothing should be is not known. It is listed as a file, which no client is shown, and which is missed by
            // who looks for it.
            if kind.is_directory() && holding.is_some_and(|holding| !holds(&directory, name, holding)) {
                is_fleeting = true;
                return Ok(());
            }
            let name = name.to_owned();
            entries.push(if kind.is_directory() { DirEntry::Directory(name) } else { DirEntry::File(name) });
        }
        Ok(())
    })?;
    entries.sort_unstable_by(|a, b| a.name().cmp(b.name()));
    if !is_settled {
        return Ok(Listing::Own(entries.into_iter()));
    }
    if is_fleeting || !Listings::is_worth_keeping(&entries) {
        if let Some(after) = after {
            entries.drain(..entries.partition_point(|entry| entry.name() <= after));
        }
        return Ok(Listing::Own(entries.into_iter()));
    }
    Ok(Listing::of_kept(store.listings.keep(&kept_key, state, entries), after))
}

/// Whether the file `holding` is in the directory `name`. An error other than absence counts as a yes: opening the file gives the reason.
fn holds(directory: impl AsFd, name: &str, holding: &str) -> bool {
    let found = rustix::fs::statat(directory, format!("{name}/{holding}"), AtFlags::empty());
    !matches!(found, Err(Errno::NOENT | Errno::NOTDIR))
}
