//! `walk_fallback`: a walk for drivers that can only list.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::{DirEntry, DriverPath, FileInfo, Result, StorageDriver};

/// Walks by listing every directory: as many listings as directories.
///
/// A store with a flat listing has a better method. The order is that of the whole paths, so a directory `a`
/// sorts as `a/`, after `a-b` and `a.b`. Directories that end before `after` are skipped.
pub fn walk_fallback(
    driver: Arc<dyn StorageDriver>,
    path: &DriverPath,
    after: Option<&DriverPath>,
) -> BoxStream<'static, Result<FileInfo>> {
    let after = after.cloned();
    let walker = Walker { driver, after, todo: vec![Todo::Open(path.clone())] };
    stream::try_unfold(
        walker,
        |mut walker| async move { Ok(walker.next().await?.map(|info| (info, walker))) },
    )
    .boxed()
}

struct Walker {
    driver: Arc<dyn StorageDriver>,
    after: Option<DriverPath>,
    /// The entries to visit, the next one last.
    todo: Vec<Todo>,
}

enum Todo {
    Open(DriverPath),
    File(DriverPath),
}

impl Walker {
    async fn next(&mut self) -> Result<Option<FileInfo>> {
        while let Some(todo) = self.todo.pop() {
            match todo {
                Todo::Open(directory) => self.open(&directory).await?,
                Todo::File(path) => match self.driver.stat(&path).await {
                    Ok(info) => return Ok(Some(info)),
                    Err(error) if error.is_not_found() => {} // Deleted since it was listed.
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(None)
    }

    async fn open(&mut self, directory: &DriverPath) -> Result<()> {
        let mut entries = Vec::new();
        let mut listing = self.driver.list(directory, None);
        while let Some(entry) = listing.next().await {
            let entry = entry?;
            let Ok(path) = directory.join(entry.name()) else { continue }; // Not a driver path, so not ours.
            match entry {
                DirEntry::File(_) if self.after.as_ref().is_some_and(|after| path <= *after) => {}
                DirEntry::File(_) => entries.push((path.to_string(), Todo::File(path))),
                DirEntry::Directory(_) if self.ends_before_the_start(&path) => {}
                DirEntry::Directory(_) => entries.push((format!("{path}/"), Todo::Open(path))),
            }
        }
        entries.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        self.todo.extend(entries.into_iter().map(|(_, todo)| todo));
        Ok(())
    }

    fn ends_before_the_start(&self, directory: &DriverPath) -> bool {
        let Some(after) = &self.after else { return false };
        !after.starts_with(directory) && format!("{directory}/").as_str() < after.as_str()
    }
}
