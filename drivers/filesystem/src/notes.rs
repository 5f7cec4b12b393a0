//! `Notes`: notes of the staged files that writers of this process closed.
//!
//! Notes are in memory only. Closed bytes need not survive a power failure, after which a file may have its
//! length and be full of zeros; a note on disk could outlive them. So another process finds no notes.
//!
//! A note is bound to a file by its inode, size and times. Closing sets the modification time to the
//! nanosecond, so that neither a later write, which gets the kernel's tick, nor another file with the same
//! inode number has the same time.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use rustix::fd::AsFd;
use rustix::fs::{Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use crate::file;
use crate::root::Identity;

/// The notes of a store. A blocking mutex: held for a look-up.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<FileNotes>);

#[derive(Debug, Default)]
struct FileNotes {
    by_file: HashMap<Identity, (u64, Note)>,
    /// By sequence number: the first is the oldest.
    order: BTreeMap<u64, Identity>,
    last: u64,
    weight_bytes: usize,
}

/// A note, and the state of its file at that time.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Note {
    text: Bytes,
    file: State,
}

/// The attributes that change with a file's content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct State {
    identity: Identity,
    size_bytes: u64,
    modified: (i64, u64),
    changed: (i64, u64),
}

impl Note {
    /// Sets the time of the open `file` and binds `text` to it. `None` if the file system does not store the
    /// time to the nanosecond, or the text is empty or too long.
    pub(crate) fn of(file: impl AsFd, text: Bytes) -> Result<Option<Self>, Errno> {
        if text.is_empty() || text.len() > sampan_driver::MAX_NOTE_BYTES {
            return Ok(None);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let exact = Timespec { tv_sec: now.as_secs().cast_signed(), tv_nsec: now.subsec_nanos().into() };
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let dated = rustix::fs::futimens(&file, &Timestamps { last_access: omit, last_modification: exact });
        let state = State::of(&rustix::fs::fstat(&file)?);
        let is_exact = dated.is_ok()
            && state.modified == (exact.tv_sec, u64::from(now.subsec_nanos()))
            && !now.subsec_nanos().is_multiple_of(1_000_000);
        Ok(is_exact.then_some(Self { text, file: state }))
    }

    pub(crate) fn text(&self) -> &Bytes {
        &self.text
    }

    fn weight_bytes(&self) -> usize {
        self.text.len() + ENTRY_BYTES
    }
}

impl State {
    fn of(stat: &Stat) -> Self {
        Self {
            identity: (stat.st_dev, stat.st_ino),
            size_bytes: file::size_bytes(stat),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl Notes {
    /// Keeps a note until its file is opened again, or until there are too many.
    pub(crate) fn keep(&self, note: Note) {
        let mut table = self.lock();
        table.remove(note.file.identity);
        table.last += 1;
        let (number, identity) = (table.last, note.file.identity);
        table.weight_bytes += note.weight_bytes();
        table.order.insert(number, identity);
        table.by_file.insert(identity, (number, note));
        while table.weight_bytes > MAX_BYTES
            && let Some((_, oldest)) = table.order.first_key_value()
        {
            let oldest = *oldest;
            table.remove(oldest);
        }
    }

    /// Removes and returns the note of an open file. Drops it if the file has changed.
    pub(crate) fn take(&self, file: impl AsFd) -> Result<Option<Note>, Errno> {
        let state = State::of(&rustix::fs::fstat(file)?);
        let note = self.lock().remove(state.identity);
        Ok(note.filter(|note| note.file == state))
    }

    fn lock(&self) -> MutexGuard<'_, FileNotes> {
        self.0.lock()
    }
}

impl FileNotes {
    fn remove(&mut self, identity: Identity) -> Option<Note> {
        let (number, note) = self.by_file.remove(&identity)?;
        self.order.remove(&number);
        self.weight_bytes -= note.weight_bytes();
        Some(note)
    }
}

/// Enough for some ten thousand resting uploads with a running hash each.
const MAX_BYTES: usize = 8 << 20;

/// The size of a note in the tables, without its text.
const ENTRY_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;

    fn open(path: &std::path::Path) -> File {
        File::options().read(true).append(true).create(true).open(path).unwrap()
    }

    fn note(file: &File, text: &'static str) -> Note {
        Note::of(file, Bytes::from_static(text.as_bytes()))
            .unwrap()
            .expect("the file system stores nanoseconds")
    }

    #[test]
    fn a_note_belongs_to_one_state_of_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let notes = Notes::default();
        let mut file = open(&path);
        file.write_all(b"content").unwrap();
        notes.keep(note(&file, "note"));
        assert_eq!(notes.take(&file).unwrap().unwrap().text(), "note");
        assert_eq!(notes.take(&file).unwrap(), None, "it was removed");

        notes.keep(note(&file, "note"));
        file.write_all(b"more").unwrap();
        file.set_len(7).unwrap();
        assert_eq!(notes.take(&file).unwrap(), None, "same size, different content");

        // The inode number is free for the next file, and many file systems reuse it at once.
        for _ in 0..100 {
            notes.keep(note(&file, "note"));
            fs::remove_file(&path).unwrap();
            drop(file);
            file = open(&path);
            file.write_all(b"another").unwrap();
            assert_eq!(notes.take(&file).unwrap(), None, "another file");
        }
    }

    #[test]
    fn notes_are_bounded_in_bytes_and_the_oldest_are_evicted_first() {
        let dir = tempfile::tempdir().unwrap();
        let notes = Notes::default();
        let text = Bytes::from(vec![b'x'; sampan_driver::MAX_NOTE_BYTES]);
        let (first, last) = (open(&dir.path().join("first")), open(&dir.path().join("last")));
        notes.keep(Note::of(&first, text.clone()).unwrap().unwrap());
        let real = Note::of(&last, text.clone()).unwrap().unwrap();
        for number in 0..10_000 {
            let mut other = real.clone();
            other.file.identity.1 = u64::MAX - number;
            notes.keep(other);
        }
        notes.keep(real);
        assert!(notes.lock().weight_bytes <= MAX_BYTES);
        assert_eq!(notes.take(&first).unwrap(), None);
        assert_eq!(notes.take(&last).unwrap().unwrap().text(), &text);
        let too_long = Bytes::from(vec![b'x'; sampan_driver::MAX_NOTE_BYTES + 1]);
        assert_eq!(Note::of(&last, too_long).unwrap(), None);
    }
}
