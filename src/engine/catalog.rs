//! The catalog: which repositories exist.

use futures::TryStreamExt;
use futures::stream::{self, BoxStream, StreamExt};
use sampan_driver::{DirEntry, DriverPath};

use crate::oci::RepositoryName;
use crate::{Registry, Result, layout};

/// A page of a listing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Whether there is more after it.
    pub more: bool,
}

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
        let mut names = self.directories(last.unwrap_or_default());
        while let Some(name) = names.try_next().await? {
            let mut content = self.driver().list(&layout::manifests(&name), None);
            if content.try_next().await?.is_none() {
                continue;
            }
            if page.items.len() == limit {
                page.more = true;
                break;
            }
            page.items.push(name.to_string());
        }
        Ok(page)
    }

    /// Every name that is a repository or has one below it, after `last`, in the order of their components.
    pub(crate) fn directories(&self, last: &str) -> BoxStream<'static, Result<RepositoryName>> {
        let seek = Seek::after(self.clone(), last);
        stream::try_unfold(seek, |mut seek| async move { Ok(seek.next().await?.map(|name| (name, seek))) })
            .boxed()
    }
}

/// A depth-first search that begins in the middle.
struct Seek {
    registry: Registry,
    /// The open directories, the innermost last.
    open: Vec<(String, BoxStream<'static, sampan_driver::Result<DirEntry>>)>,
}

impl Seek {
    /// Each level is entered after the component that `last` has there; below `last` itself, from the beginning.
    fn after(registry: Registry, last: &str) -> Self {
        let mut seek = Self { registry, open: Vec::new() };
        let mut prefix = String::new();
        for component in last.split('/').filter(|component| !component.is_empty()) {
            if !seek.enter(prefix.clone(), Some(component)) {
                return seek;
            }
            if !prefix.is_empty() {
                prefix.push('/');
            }
            prefix.push_str(component);
        }
        seek.enter(prefix, None);
        seek
    }

    fn enter(&mut self, prefix: String, after: Option<&str>) -> bool {
        let root = layout::repositories_root();
        let path: Option<DriverPath> = if prefix.is_empty() { Some(root) } else { root.join(&prefix).ok() };
        let Some(path) = path else { return false };
        self.open.push((prefix, self.registry.driver().list(&path, after)));
        true
    }

    async fn next(&mut self) -> Result<Option<RepositoryName>> {
        while let Some((prefix, entries)) = self.open.last_mut() {
            let Some(entry) = entries.try_next().await? else {
                self.open.pop();
                continue;
            };
            let DirEntry::Directory(component) = entry else { continue };
            let name = if prefix.is_empty() { component } else { format!("{prefix}/{component}") };
            // `_manifests` and its like; foreign directories.
            let Ok(parsed) = name.parse::<RepositoryName>() else { continue };
            self.enter(name, None);
            return Ok(Some(parsed));
        }
        Ok(None)
    }
}
