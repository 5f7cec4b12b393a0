//! Files in memory that also track their state on disk.
//!
//! Only synced data is on the disk: the content of a file since its own sync, a name since the sync of its directory. This is
//! less than any file system of the kernel keeps, and all that POSIX guarantees.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::SystemTime;

use fuser::Errno;
use rand::Rng;
use rand::rngs::StdRng;

use super::file_content::FileContent;

/// The length of an upload's name, in bytes.
const UUID_LEN: usize = 36;

/// The inode of the root in FUSE.
pub(crate) const ROOT: u64 = 1;

/// A tree of files and directories.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    nodes: BTreeMap<u64, Node>,
    next: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u16,
    pub(crate) modified: SystemTime,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    File(FileContent),
    Directory(Names),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) cached: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
}

pub(crate) type CallResult<T> = Result<T, Errno>;

impl Files {
    pub(crate) fn new() -> Self {
        let mut files = Self { nodes: BTreeMap::new(), next: ROOT };
        files.add(Kind::Directory(Names::default()), 0o755);
        files
    }

    fn add(&mut self, kind: Kind, mode: u16) -> u64 {
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, Node { kind, mode, modified: SystemTime::now() });
        inode
    }

    pub(crate) fn node(&self, inode: u64) -> CallResult<&Node> {
        self.nodes.get(&inode).ok_or(Errno::ENOENT)
    }

    pub(crate) fn node_mut(&mut self, inode: u64) -> CallResult<&mut Node> {
        self.nodes.get_mut(&inode).ok_or(Errno::ENOENT)
    }

    fn content(&mut self, inode: u64) -> CallResult<&mut FileContent> {
        match &mut self.node_mut(inode)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Directory(_) => Err(Errno::EISDIR),
        }
    }

    fn names(&self, inode: u64) -> CallResult<&BTreeMap<OsString, u64>> {
        match &self.node(inode)?.kind {
            Kind::Directory(names) => Ok(&names.cached),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn names_mut(&mut self, inode: u64) -> CallResult<&mut BTreeMap<OsString, u64>> {
        let node = self.node_mut(inode)?;
        node.modified = SystemTime::now();
        match &mut node.kind {
            Kind::Directory(names) => Ok(&mut names.cached),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(crate) fn list(&self, inode: u64) -> CallResult<Vec<(OsString, u64)>> {
        Ok(self.names(inode)?.iter().map(|(name, inode)| (name.clone(), *inode)).collect())
    }

    pub(crate) fn lookup(&self, parent: u64, name: &OsStr) -> CallResult<u64> {
        self.names(parent)?.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(crate) fn make(
        &mut self,
        parent: u64,
        name: &OsStr,
        is_directory: bool,
        mode: u16,
    ) -> CallResult<u64> {
        if self.names(parent)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let kind =
            if is_directory { Kind::Directory(Names::default()) } else { Kind::File(FileContent::default()) };
        let inode = self.add(kind, mode);
        self.names_mut(parent)?.insert(name.to_owned(), inode);
        Ok(inode)
    }

    pub(crate) fn remove(&mut self, parent: u64, name: &OsStr, is_directory: bool) -> CallResult<()> {
        let inode = self.lookup(parent, name)?;
        match (&self.node(inode)?.kind, is_directory) {
            (Kind::Directory(names), true) if !names.cached.is_empty() => return Err(Errno::ENOTEMPTY),
            (Kind::Directory(_), false) => return Err(Errno::EISDIR),
            (Kind::File(_), true) => return Err(Errno::ENOTDIR),
            _ => {}
        }
        self.names_mut(parent)?.remove(name);
        Ok(())
    }

    pub(crate) fn rename(
        &mut self,
        (parent, name): (u64, &OsStr),
        (new_parent, new_name): (u64, &OsStr),
        may_replace: bool,
    ) -> CallResult<()> {
        let inode = self.lookup(parent, name)?;
        if self.names(new_parent)?.contains_key(new_name) && !may_replace {
            return Err(Errno::EEXIST);
        }
        self.names_mut(parent)?.remove(name);
        self.names_mut(new_parent)?.insert(new_name.to_owned(), inode);
        Ok(())
    }

    pub(crate) fn write(&mut self, inode: u64, offset: usize, data: &[u8]) -> CallResult<()> {
        self.content(inode)?.write(offset, data);
        self.node_mut(inode)?.modified = SystemTime::now();
        Ok(())
    }

    pub(crate) fn truncate(&mut self, inode: u64, size: usize) -> CallResult<()> {
        self.content(inode)?.truncate(size);
        Ok(())
    }

    /// Writes a file or the names of a directory to the disk.
    pub(crate) fn sync(&mut self, inode: u64) -> CallResult<()> {
        match &mut self.node_mut(inode)?.kind {
            Kind::File(content) => content.sync(),
            Kind::Directory(names) => names.durable = names.cached.clone(),
        }
        Ok(())
    }

    /// Whether a sync would write anything.
    pub(crate) fn is_dirty(&self, inode: u64) -> bool {
        match self.nodes.get(&inode).map(|node| &node.kind) {
            Some(Kind::File(content)) => content.is_dirty(),
            Some(Kind::Directory(names)) => names.durable != names.cached,
            None => false,
        }
    }

    /// The path of a file or a directory, below the root; `None` if it was removed.
    pub(crate) fn path(&self, inode: u64) -> Option<String> {
        if inode == ROOT {
            return Some(String::new());
        }
        self.nodes.iter().find_map(|(parent, node)| {
            let Kind::Directory(names) = &node.kind else { return None };
            let (name, _) = names.cached.iter().find(|(_, child)| **child == inode)?;
            Some(format!("{}/{}", self.path(*parent)?, name.display()))
        })
    }

    /// A sync that fails. As in the kernel, the pages stay in the cache and count as clean: no later sync writes them.
    pub(crate) fn fail_sync(&mut self, inode: u64) -> CallResult<()> {
        if let Kind::File(content) = &mut self.node_mut(inode)?.kind {
            content.fail_sync();
        }
        Ok(())
    }

    /// The state after an unmount and a mount: writes all that can be written, and reads it back from the disk.
    pub(crate) fn remount(&mut self) {
        for node in self.nodes.values_mut() {
            match &mut node.kind {
                Kind::File(content) => content.remount(),
                Kind::Directory(names) => names.durable = names.cached.clone(),
            }
        }
    }

    /// The state after a power failure; with `luck`, also some unsynced changes, in no order.
    pub(crate) fn cut_power(&mut self, mut luck: Option<&mut StdRng>) {
        for node in self.nodes.values_mut() {
            match &mut node.kind {
                Kind::File(content) => content.cut_power(luck.as_deref_mut()),
                Kind::Directory(names) => {
                    if let Some(rng) = luck.as_deref_mut() {
                        names.keep_some(rng);
                    }
                    names.cached = names.durable.clone();
                }
            }
        }
    }

    /// Removes names from the directory at `path`, past the registry, as if they had never been there.
    pub(crate) fn forget(&mut self, path: &str, is_forgotten: impl Fn(&OsStr) -> bool) {
        let found = path.split('/').try_fold(ROOT, |inode, name| self.lookup(inode, OsStr::new(name)).ok());
        let Some(Node { kind: Kind::Directory(names), .. }) =
            found.and_then(|inode| self.nodes.get_mut(&inode))
        else {
            return;
        };
        names.cached.retain(|name, _| !is_forgotten(name));
        names.durable.retain(|name, _| !is_forgotten(name));
    }

    /// A number of the tree: the same for the same names and bytes, whatever the inodes, the times, the random names of uploads
    /// and the begin that each notes.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_tree(ROOT, &mut hasher);
        hasher.finish()
    }

    fn hash_tree(&self, inode: u64, hasher: &mut DefaultHasher) {
        match self.nodes.get(&inode).map(|node| &node.kind) {
            Some(Kind::Directory(names)) => {
                names.cached.len().hash(hasher);
                for (name, inode) in &names.cached {
                    let is_random = name.len() == UUID_LEN && name.as_encoded_bytes()[8] == b'-';
                    (if is_random { OsStr::new("upload") } else { name }).hash(hasher);
                    if name != "startedat" {
                        self.hash_tree(*inode, hasher);
                    }
                }
            }
            Some(Kind::File(content)) => content.cached.hash(hasher),
            None => {}
        }
    }

    /// The content of the file at `path`, to read or change past the registry.
    #[cfg(test)]
    fn content_at(&mut self, path: &str) -> Option<&mut Vec<u8>> {
        let mut inode = ROOT;
        for name in path.split('/') {
            inode = self.lookup(inode, OsStr::new(name)).ok()?;
        }
        Some(&mut self.content(inode).ok()?.cached)
    }
}

impl Names {
    fn keep_some(&mut self, rng: &mut StdRng) {
        let names: BTreeSet<OsString> = self.cached.keys().chain(self.durable.keys()).cloned().collect();
        for name in names {
            if self.cached.get(&name) == self.durable.get(&name) || rng.random_bool(0.5) {
                continue;
            }
            match self.cached.get(&name) {
                Some(inode) => self.durable.insert(name, *inode),
                None => self.durable.remove(&name),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (Files, u64) {
        let mut files = Files::new();
        let inode = files.make(ROOT, OsStr::new("a"), false, 0o644).unwrap();
        files.write(inode, 0, &[7; 10_000]).unwrap();
        (files, inode)
    }

    #[test]
    fn a_power_failure_leaves_what_was_synced() {
        let (mut files, inode) = file();
        files.sync(inode).unwrap();
        let mut without_name = files.clone();
        without_name.cut_power(None);
        assert!(without_name.content_at("a").is_none());

        files.sync(ROOT).unwrap();
        files.write(inode, 9_999, &[8; 2]).unwrap();
        files.cut_power(None);
        assert_eq!(files.content_at("a").unwrap(), &[7; 10_000]);
    }

    #[test]
    fn what_a_failed_sync_dropped_is_read_until_the_cache_is_gone_and_never_written() {
        let (mut files, inode) = file();
        files.fail_sync(inode).unwrap();
        files.sync(inode).unwrap();
        assert_eq!(files.content_at("a").unwrap(), &[7; 10_000]);
        files.remount();
        assert_eq!(files.content_at("a").unwrap(), &[0; 10_000]);
    }

    #[test]
    fn a_fingerprint_is_of_names_and_bytes() {
        let (mut files, inode) = file();
        let before = files.fingerprint();
        files.sync(inode).unwrap();
        assert_eq!(files.fingerprint(), before);
        files.content_at("a").unwrap()[9_999] = 8;
        assert_ne!(files.fingerprint(), before);
        files.content_at("a").unwrap()[9_999] = 7;
        assert_eq!(files.fingerprint(), before);
        files.rename((ROOT, OsStr::new("a")), (ROOT, OsStr::new("b")), false).unwrap();
        assert_ne!(files.fingerprint(), before);
    }

    #[test]
    fn a_remount_loses_nothing_else() {
        let (mut files, _) = file();
        files.remount();
        files.cut_power(None);
        assert_eq!(files.content_at("a").unwrap(), &[7; 10_000]);
    }
}
