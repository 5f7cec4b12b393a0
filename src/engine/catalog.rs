//! The catalog: which repositories exist.

use futures::stream::{self, BoxStream, StreamExt};
use futures::{TryStreamExt, future};
use sampan_driver::{DirEntry, DriverPath, StorageDriver};

use crate::oci::RepositoryName;
use crate::{Error, Registry, Result, layout};

/// One page of a listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// The items of the page.
    pub items: Vec<T>,
    /// Whether further items follow.
    pub has_more: bool,
}

/// How many directories the listing reads ahead of an object store, where each is a request. A page wastes at most
/// this many.
const READ_AHEAD: usize = 16;

/// The same in a store with real directories, where each is a thread that waits for a disk: of more of them a page is
/// no sooner there.
const READ_AHEAD_OF_DIRECTORIES: usize = 4;

/// How many entries of a directory the listing reads at first: more than a repository without nested repositories has.
const PEEK_ENTRIES: usize = 64;

/// The most components that a name can have: each takes a character, and all but the last a `/`.
const MAX_COMPONENTS: usize = RepositoryName::MAX_LEN.div_ceil(2);

impl Registry {
    /// Lists up to `limit` repositories after `last`, which need not exist.
    ///
    /// A repository exists when it has anything below `_manifests`.
    /// The order is by path components, as in Distribution on a filesystem: `a/b` before `a-b`.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    #[tracing::instrument(level = "trace", target = "sampan::traces", name = "engine.catalog", skip_all)]
    pub async fn catalog(&self, last: Option<&str>, limit: usize) -> Result<Page<String>> {
        self.catalog_of(last, limit, |_| true).await
    }

    /// As [`catalog`](Self::catalog), without the repositories that `shows` refuses. `more` says nothing of those.
    ///
    /// # Errors
    ///
    /// As `catalog`.
    pub async fn catalog_of(
        &self,
        last: Option<&str>,
        limit: usize,
        shows: impl Fn(&RepositoryName) -> bool + Send,
    ) -> Result<Page<String>> {
        let mut page = Page { items: Vec::new(), has_more: false };
        let mut names = self.repositories_with(Content::Manifests, last.unwrap_or_default());
        while let Some(name) = names.try_next().await? {
            if !shows(&name) {
                continue;
            }
            if page.items.len() == limit {
                page.has_more = true;
                break;
            }
            page.items.push(name.to_string());
        }
        Ok(page)
    }

    /// Every repository after `last`, which need not exist, in the order of [`catalog`](Self::catalog); the stream reads as far
    /// as it is polled.
    pub fn repositories(&self, last: &str) -> BoxStream<'static, Result<RepositoryName>> {
        self.repositories_with(Content::Manifests, last)
    }

    /// Every repository that has `content`, after `last`, in the order of path components.
    ///
    /// The listing reads directories ahead, so that a slow store answers several requests at a time.
    pub(crate) fn repositories_with(
        &self,
        content: Content,
        last: &str,
    ) -> BoxStream<'static, Result<RepositoryName>> {
        let tree = Tree { registry: self.clone(), content };
        // Everything below `last` comes first, then its later siblings, then those of its parent, and so on up to the root.
        // A client chooses `last`: on a deeper level there is no name.
        let components = last.split('/').filter(|component| !component.is_empty()).take(MAX_COMPONENTS);
        let components: Vec<String> =
            components.map(|component| up_to_longest(component).to_owned()).collect();
        let levels = stream::iter((0..=components.len()).rev());
        let found = levels.flat_map(move |depth| {
            tree.clone().level(components[..depth].join("/"), components.get(depth).map(String::as_str))
        });
        found.boxed()
    }
}

/// As much of a component as orders it among components of names.
fn up_to_longest(component: &str) -> &str {
    &component[..component.ceil_char_boundary(RepositoryName::MAX_LEN + 1)]
}

/// The content by which the listing finds a repository.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    /// Anything below `_manifests`.
    Manifests,
    /// Uploads in progress. On a filesystem their directory may be empty.
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
    /// The repositories on the level `prefix`, after the component `after`, each followed by the repositories below it.
    fn level(self, prefix: String, after: Option<&str>) -> BoxStream<'static, Result<RepositoryName>> {
        let path = match prefix.parse::<RepositoryName>() {
            _ if prefix.is_empty() => layout::repositories_root(),
            Ok(name) => layout::repository(&name),
            // Every prefix of a name is a name.
            Err(_) => return stream::empty().boxed(),
        };
        let entries = self.registry.driver().list(&path, after);
        self.below(prefix, entries)
    }

    fn below(self, prefix: String, entries: Entries) -> BoxStream<'static, Result<RepositoryName>> {
        let names = entries.map_err(Error::from).try_filter_map(move |entry| {
            let name = match entry {
                DirEntry::Directory(component) if prefix.is_empty() => Some(component),
                DirEntry::Directory(component) => Some(format!("{prefix}/{component}")),
                DirEntry::File(_) => None,
            };
            // `_manifests` and its siblings, and foreign directories, are not repository names.
            future::ok(name.and_then(|name| name.parse::<RepositoryName>().ok()))
        });
        let tree = self.clone();
        let is_flat = self.registry.driver().capabilities().flat;
        let ahead = if is_flat { READ_AHEAD } else { READ_AHEAD_OF_DIRECTORIES };
        let opened = names.map_ok(move |name| tree.clone().open(name)).try_buffered(ahead);
        let found = opened.map_ok(move |directory| {
            let name = directory.has_content.then(|| Ok(directory.name.clone()));
            stream::iter(name).chain(self.clone().below(directory.name.to_string(), directory.entries))
        });
        found.try_flatten().boxed()
    }

    /// Reads the first entries of a directory.
    async fn open(self, name: RepositoryName) -> Result<Directory> {
        let driver = self.registry.driver();
        let mut entries = driver.list(&layout::repository(&name), None).fuse();
        let first: Vec<DirEntry> = entries.by_ref().take(PEEK_ENTRIES).try_collect().await?;
        let path = self.content.path(&name);
        let wanted = path.name().unwrap_or_default();
        let is_listed = first.iter().any(|entry| entry.is_directory() && entry.name() == wanted);
        let may_follow = first.len() == PEEK_ENTRIES && first.last().is_some_and(|last| last.name() < wanted);
        let has_content = match self.content {
            // A store with real directories may hold an empty one.
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

/// One directory of the tree.
struct Directory {
    name: RepositoryName,
    has_content: bool,
    entries: Entries,
}
