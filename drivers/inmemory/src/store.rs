//! `Store`: the two maps of files and their lock.
//!
//! The maps order by the bytes of the whole path, which is the order of a walk; [`list_sorted_keys`] makes
//! listings of it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Bound;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use sampan_driver::{DirEntry, DriverPath, FileInfo, list_sorted_keys};

use crate::content::{Budget, Content, Reservation};
use crate::error::Error;

/// State shared by a driver and its open writers.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) budget: Arc<Budget>,
    /// A blocking lock: held for look-ups only, never across an await.
    files: RwLock<Files>,
}

/// The files of a store.
#[derive(Debug)]
pub(crate) struct Files {
    budget: Arc<Budget>,
    published: BTreeMap<String, File>,
    staged: BTreeMap<String, Staged>,
    last_staged: u64,
}

/// A published file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) content: Arc<Content>,
    pub(crate) modified: SystemTime,
    _entry: Arc<Reservation>,
}

/// A file that is not published yet.
#[derive(Debug)]
struct Staged {
    /// Distinguishes it from another file staged at the same path.
    id: StagedId,
    content: Content,
    /// The last writer's note on this content.
    note: Option<Bytes>,
    _entry: Reservation,
}

/// Identifies one of the files staged at a path, one after the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct StagedId(u64);

impl Store {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        let budget = Arc::new(Budget::new(limit_bytes));
        let files = Files {
            budget: budget.clone(),
            published: BTreeMap::new(),
            staged: BTreeMap::new(),
            last_staged: 0,
        };
        Self { budget, files: RwLock::new(files) }
    }

    /// The files, for reading.
    ///
    /// Every change is one insertion or removal, so a panic under the lock leaves the maps consistent.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Files> {
        self.files.read()
    }

    /// The files, for writing.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Files> {
        self.files.write()
    }

    /// The error for an exceeded budget.
    pub(crate) fn full(&self) -> Error {
        full(&self.budget)
    }
}

fn full(budget: &Budget) -> Error {
    Error::Full { limit_bytes: budget.limit_bytes() }
}

impl Files {
    pub(crate) fn get(&self, path: &DriverPath) -> Result<File, Error> {
        self.published.get(path.as_str()).cloned().ok_or(Error::NotFound)
    }

    /// Publishes `content` at `path` with the current time (C13).
    pub(crate) fn publish(&mut self, path: &DriverPath, content: Arc<Content>) -> Result<(), Error> {
        self.check_place(path)?;
        let entry = self.entry(path)?;
        self.insert(path, content, entry);
        Ok(())
    }

    fn insert(&mut self, path: &DriverPath, content: Arc<Content>, entry: Reservation) {
        let file = File { content, modified: SystemTime::now(), _entry: Arc::new(entry) };
        self.published.insert(path.to_string(), file);
    }

    fn entry(&self, path: &DriverPath) -> Result<Reservation, Error> {
        self.budget.take_entry(path).ok_or_else(|| full(&self.budget))
    }

    pub(crate) fn rename(&mut self, from: &DriverPath, to: &DriverPath) -> Result<(), Error> {
        let file = self.get(from)?;
        self.check_place(to)?;
        let entry = self.entry(to)?;
        self.published.remove(from.as_str());
        self.insert(to, file.content, entry);
        Ok(())
    }

    pub(crate) fn delete(&mut self, path: &DriverPath) {
        self.published.remove(path.as_str());
        self.staged.remove(path.as_str());
    }

    pub(crate) fn delete_tree(&mut self, path: &DriverPath) {
        self.delete(path);
        let (first, end) = subtree(path);
        self.published.extract_if(first.clone()..end.clone(), |_, _| true).for_each(drop);
        self.staged.extract_if(first..end, |_, _| true).for_each(drop);
    }

    /// Creates an empty staged file, replacing any other.
    pub(crate) fn stage(&mut self, path: &DriverPath) -> Result<StagedId, Error> {
        let entry = self.entry(path)?;
        self.last_staged += 1;
        let id = StagedId(self.last_staged);
        let content = Content::empty(&self.budget);
        self.staged.insert(path.to_string(), Staged { id, content, note: None, _entry: entry });
        Ok(id)
    }

    /// The staged file at `path`, its size and its note.
    pub(crate) fn staged(&self, path: &DriverPath) -> Result<(StagedId, u64, Option<Bytes>), Error> {
        let staged = self.staged.get(path.as_str()).ok_or(Error::NotFound)?;
        Ok((staged.id, staged.content.size_bytes(), staged.note.clone()))
    }

    /// Appends `content` to the staged file `id`, which must still have `size_bytes`, and sets the note of
    /// the whole.
    pub(crate) fn close(
        &mut self,
        path: &DriverPath,
        id: StagedId,
        size_bytes: u64,
        content: Content,
        note: Bytes,
    ) -> Result<u64, Error> {
        let staged = self.unchanged(path, id, size_bytes)?;
        staged.content.append(content);
        staged.note = (!note.is_empty()).then_some(note);
        Ok(staged.content.size_bytes())
    }

    /// Appends `content` to the staged file `id`, which must still have `size_bytes`, and publishes it at
    /// `to`.
    pub(crate) fn commit(
        &mut self,
        path: &DriverPath,
        id: StagedId,
        size_bytes: u64,
        content: Content,
        to: &DriverPath,
    ) -> Result<(), Error> {
        self.check_place(to)?;
        let entry = self.entry(to)?;
        self.unchanged(path, id, size_bytes)?.content.append(content);
        let Some(staged) = self.unstage(path, id) else { return Err(Error::NotFound) };
        self.insert(to, Arc::new(staged), entry);
        Ok(())
    }

    fn unchanged(&mut self, path: &DriverPath, id: StagedId, size_bytes: u64) -> Result<&mut Staged, Error> {
        let staged =
            self.staged.get_mut(path.as_str()).filter(|staged| staged.id == id).ok_or(Error::NotFound)?;
        match staged.content.size_bytes() == size_bytes {
            true => Ok(staged),
            false => Err(Error::Overtaken),
        }
    }

    /// Removes and returns the staged file `id`.
    pub(crate) fn unstage(&mut self, path: &DriverPath, id: StagedId) -> Option<Content> {
        if self.staged.get(path.as_str())?.id != id {
            return None;
        }
        self.staged.remove(path.as_str()).map(|staged| staged.content)
    }

    /// At most `max` files below `path` in the order of whole paths, starting after `after`.
    pub(crate) fn page(&self, path: &DriverPath, after: Option<&DriverPath>, max: usize) -> Vec<FileInfo> {
        let (first, end) = subtree(path);
        let start = match after {
            Some(after) if after.as_str() >= end.as_str() => return Vec::new(),
            Some(after) if after.as_str() >= first.as_str() => Bound::Excluded(after.as_str()),
            _ => Bound::Included(first.as_str()),
        };
        let range = self.published.range::<str, _>((start, Bound::Excluded(end.as_str())));
        range.take(max).filter_map(|(key, file)| Some(file.info(key.parse().ok()?))).collect()
    }

    /// At most `max` names directly below `path` in byte order, starting after `after`.
    pub(crate) fn names(&self, path: &DriverPath, after: Option<&str>, max: usize) -> Vec<DirEntry> {
        let first_from = |key: &str| Ok::<_, Infallible>(self.first_from(key).cloned());
        list_sorted_keys(path, after, first_from).map_while(Result::ok).take(max).collect()
    }

    /// The first published path at or after `key`.
    fn first_from(&self, key: &str) -> Option<&String> {
        let from = (Bound::Included(key), Bound::Unbounded);
        self.published.range::<str, _>(from).next().map(|(path, _)| path)
    }

    fn is_directory(&self, prefix: &str) -> bool {
        self.first_from(prefix).is_some_and(|path| path.starts_with(prefix))
    }

    /// Refuses a path that would be both a file and a prefix.
    fn check_place(&self, path: &DriverPath) -> Result<(), Error> {
        let mut ancestor = path.parent();
        while let Some(directory) = ancestor {
            if self.published.contains_key(directory.as_str()) {
                return Err(Error::BelowFile(directory));
            }
            ancestor = directory.parent();
        }
        if path.is_root() || self.is_directory(&format!("{path}/")) {
            return Err(Error::AboveFiles);
        }
        Ok(())
    }
}

impl File {
    pub(crate) fn info(&self, path: DriverPath) -> FileInfo {
        FileInfo { path, size_bytes: self.content.size_bytes(), modified: self.modified }
    }
}

/// The first key that could be below `path`, and the first that could not.
fn subtree(path: &DriverPath) -> (String, String) {
    let directory = if path.is_root() { "" } else { path.as_str() };
    (format!("{directory}/"), format!("{directory}{AFTER_SLASH}"))
}

/// The byte after `/`: every key below `p` is between `p/` and `p0`.
const AFTER_SLASH: char = '0';
