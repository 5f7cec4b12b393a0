//! The catalog: which repositories exist.

use futures::stream::{self, BoxStream, StreamExt};
use futures::{TryStreamExt, future};
use sampan_driver::{DirEntry, DriverPath, StorageDriver};

use crate::oci::RepositoryName;
use crate::{Error, Registry, Result, layout};

/// A page of a listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Whether there is more after it.
    pub more: bool,
}

/// How many directories are read ahead. Each is a request to an object store, so a page wastes at most this many.
const READ_AHEAD: usize = 16;

/// How many entries of a directory are read ahead: more than a repository has that has none below it.
const PEEK_ENTRIES: usize = 64;

impl Registry {
    /// The repositories after `last` (which need not exist), at most `limit` of them.
    ///
    /// A repository exists when there is anything about manifests in it.
    /// The order is by components, as Distribution has it on a filesystem: `a/b` before `a-b`.
    ///
    /// # Errors
    ///
    /// Whatever the store fails with.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.catalog", skip_all)]
    pub async fn catalog(&self, last: Option<&str>, limit: usize) -> Result<Page<String>> {
        let mut page = Page { items: Vec::new(), more: false };
        let mut names = self.repositories_with(Content::Manifests, last.unwrap_or_default());
        while let Some(name) = names.try_next().await? {
            if page.items.len() == limit {
                page.more = true;
                break;
            }
            page.items.push(name.to_string());
        }
        Ok(page)
    }

    /// Every repository that has `content`, after `last`, in the order of their components.
    ///
    /// Directories are read ahead, so that a slow store answers some of them at a time.
    pub(crate) fn repositories_with(
        &self,
        content: Content,
        last: &str,
    ) -> BoxStream<'static, Result<RepositoryName>> {
        let tree = Tree { registry: self.clone(), content };
        // What lies below `last` comes first, then what comes after it on its own level, and so on to the top.
        let components: Vec<&str> = last.split('/').filter(|component| !component.is_empty()).collect();
        let levels = (0..=components.len()).rev().map(|depth| {
            let (prefix, after) = (components[..depth].join("/"), components.get(depth));
            let after = after.map(|after| (*after).to_owned());
            let tree = tree.clone();
            stream::once(future::lazy(move |_| tree.level(prefix, after))).flatten().boxed()
        });
        stream::iter(levels.collect::<Vec<_>>()).flatten().boxed()
    }
}

/// What a repository is looked for by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    /// Anything about manifests.
    Manifests,
    /// Uploads in progress. On a filesystem there may be none any more.
    Uploads,
}

impl Content {
    fn path(self, name: &RepositoryName) -> DriverPath {
        match self {
            Self::Manifests => layout::manifests(name),
            Self::Uploads => layout::uploads(name),
        }
    }
}

type Entries = BoxStream<'static, sampan_driver::Result<DirEntry>>;

/// The tree of all repositories.
#[derive(Clone)]
struct Tree {
    registry: Registry,
    content: Content,
}

impl Tree {
    /// Repositories on the level `prefix`, after the component `after`, each followed by those below it.
    fn level(self, prefix: String, after: Option<String>) -> BoxStream<'static, Result<RepositoryName>> {
        let root = layout::repositories_root();
        let path = if prefix.is_empty() { Ok(root) } else { root.join(&prefix) };
        match path {
            Ok(path) => {
                let entries = self.registry.driver().list(&path, after.as_deref());
                self.below(prefix, entries)
            }
            // No repository can have such a name.
            Err(_) => stream::empty().boxed(),
        }
    }

    fn below(self, prefix: String, entries: Entries) -> BoxStream<'static, Result<RepositoryName>> {
        let names = entries.map_err(Error::from).try_filter_map(move |entry| {
            let name = match entry {
                DirEntry::Directory(component) if prefix.is_empty() => Some(component),
                DirEntry::Directory(component) => Some(format!("{prefix}/{component}")),
                DirEntry::File(_) => None,
            };
            // `_manifests` and its like, and foreign directories, are no names.
            future::ok(name.and_then(|name| name.parse::<RepositoryName>().ok()))
        });
        let tree = self.clone();
        let opened = names.map_ok(move |name| tree.clone().open(name)).try_buffered(READ_AHEAD);
        let found = opened.map_ok(move |directory| {
            let name = directory.has_content.then(|| Ok(directory.name.clone()));
            stream::iter(name).chain(self.clone().below(directory.name.to_string(), directory.entries))
        });
        found.try_flatten().boxed()
    }

    /// Reads the beginning of a directory.
    async fn open(self, name: RepositoryName) -> Result<Directory> {
        let driver = self.registry.driver();
        let mut entries = driver.list(&layout::repository(&name), None).fuse();
        let first: Vec<DirEntry> = entries.by_ref().take(PEEK_ENTRIES).try_collect().await?;
        let path = self.content.path(&name);
        let wanted = path.name().unwrap_or_default();
        let is_listed = first.iter().any(|entry| entry.is_directory() && entry.name() == wanted);
        let may_follow = first.len() == PEEK_ENTRIES && first.last().is_some_and(|last| last.name() < wanted);
        let has_content = match self.content {
            // Where there are directories, one may be empty.
            Content::Manifests if may_follow || is_listed && !driver.capabilities().flat => {
                driver.list(&path, None).try_next().await?.is_some()
            }
            Content::Uploads if may_follow => true,
            Content::Manifests | Content::Uploads => is_listed,
        };
        let entries = stream::iter(first).map(Ok).chain(entries).boxed();
        Ok(Directory { name, has_content, entries })
    }
}

/// A directory of the tree.
struct Directory {
    name: RepositoryName,
    has_content: bool,
    entries: Entries,
}
