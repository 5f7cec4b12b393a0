//! Lists one level.

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

/// The remaining entries of a directory, in byte order.
#[derive(Debug)]
pub(crate) enum Listing {
    /// Read for this listing only.
    Own(vec::IntoIter<DirEntry>),
    /// Shared from the cache, and the index of the next entry.
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

/// The entries of the directory `key` whose names follow `after`, sorted; none if it is missing or a file.
/// With `holding`, directories without that file are omitted.
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
    // Before reading the entries, so that a change meanwhile results in another state.
    let state = State::of(&directory)?;
    // No key has this suffix, so a filtered listing is cached separately.
    let kept_key = holding.map_or_else(|| key.to_owned(), |holding| format!("{key}/\0/{holding}"));
    if let Some(kept) = store.listings.get(&kept_key, &state) {
        return Ok(Listing::of_kept(kept, after));
    }
    let is_settled = state.is_settled();
    let prefix = if key.is_empty() { String::new() } else { format!("{key}/") };
    let mut entries = Vec::new();
    // Whether the listing can change while the directory's state stays the same.
    let mut is_fleeting = false;
    // On the stack, because most listings have few names, and allocating the buffer would be half of the
    // work.
    let mut buffer = [MaybeUninit::uninit(); scan::BUFFER_BYTES];
    scan::entries_in(directory.as_fd(), &mut buffer, |name, file_type| {
        if !is_settled && after.is_some_and(|after| name.to_bytes() <= after.as_bytes()) {
            return Ok(());
        }
        // A link's target can change without the directory changing.
        is_fleeting |= file_type == FileType::Symlink;
        if let Some((name, kind)) = scan::classify(&store.root, &prefix, name, file_type)? {
            // A dangling link has no known kind. It is listed as a file, which clients do not see, and `stat`
            // does not find it.
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

/// Whether the file `holding` is in the directory `name`. True on an error other than absence: opening the
/// file reports it.
fn holds(directory: impl AsFd, name: &str, holding: &str) -> bool {
    let found = rustix::fs::statat(directory, format!("{name}/{holding}"), AtFlags::empty());
    !matches!(found, Err(Errno::NOENT | Errno::NOTDIR))
}
