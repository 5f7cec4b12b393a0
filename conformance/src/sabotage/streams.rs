//! The lies of listings and walks. Most of them collect the true entries, falsify them, and yield them.

use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use sampan_driver::{
    DirEntry, DriverError, DriverPath, ErrorKind, FileInfo, Operation, Result, StorageDriverExt,
};

use super::{Lie, Sabotaged};

impl Sabotaged {
    pub(super) fn lying_list(
        &self,
        path: DriverPath,
        after: Option<String>,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let driver = self.clone();
        if driver.lie == Lie::ListsForEver {
            let again = move |()| {
                let listed = driver.inner.list(&path, after.as_deref());
                async move {
                    tokio::task::yield_now().await;
                    Some((listed, ()))
                }
            };
            return stream::unfold((), again).flatten().boxed();
        }
        hand_out(async move { driver.collect_list(&path, after.as_deref()).await })
    }

    pub(super) fn lying_walk(
        &self,
        path: DriverPath,
        after: Option<DriverPath>,
    ) -> BoxStream<'static, Result<FileInfo>> {
        let driver = self.clone();
        let walked = hand_out({
            let driver = driver.clone();
            async move { driver.collect_walk(&path, after.as_ref()).await }
        });
        if driver.lie != Lie::WalkFailsOnVanished {
            return walked;
        }
        let looked_at_again = move |info: FileInfo| {
            let driver = driver.clone();
            async move { driver.inner.stat(&info.path).await }
        };
        walked.and_then(looked_at_again).boxed()
    }

    async fn collect_list(&self, path: &DriverPath, after: Option<&str>) -> Result<Vec<DirEntry>> {
        let all: Vec<DirEntry> = self.inner.list(path, None).try_collect().await?;
        let is_after = |entry: &DirEntry| after.is_none_or(|after| entry.name() > after);
        let mut entries: Vec<DirEntry> = all.iter().filter(|entry| is_after(entry)).cloned().collect();
        match self.lie {
            Lie::MissingListIsNotFound if all.is_empty() => {
                return Err(DriverError::new(ErrorKind::NotFound, self.inner.name(), Operation::List, path));
            }
            Lie::ListOfAFileIsTheFile if self.inner.exists(path).await? => {
                entries.extend(path.name().map(|name| DirEntry::File(name.to_owned())));
            }
            Lie::ListsDirectoriesAsFiles => {
                for entry in &mut entries {
                    *entry = DirEntry::File(entry.name().to_owned());
                }
            }
            Lie::ListsByStringPrefix => {
                for neighbour in self.neighbours(path).await? {
                    entries.extend(self.inner.list(&neighbour, after).try_collect::<Vec<_>>().await?);
                }
                entries.sort_unstable_by(|a, b| a.name().cmp(b.name()));
            }
            Lie::ListsInOrderOfPaths => entries.sort_unstable_by_key(|entry| match entry {
                DirEntry::File(name) => name.clone(),
                DirEntry::Directory(name) => format!("{name}/"),
            }),
            Lie::ListAfterIsInclusive => {
                entries =
                    all.into_iter().filter(|entry| after.is_none_or(|after| entry.name() >= after)).collect();
            }
            Lie::ListAfterMustExist if !all.iter().any(|entry| Some(entry.name()) == after) => entries = all,
            Lie::ListsAThousand => entries.truncate(1000),
            Lie::DirectoriesStay => {
                let directory = |file: &DriverPath| Some(file.below(path)?.split_once('/')?.0.to_owned());
                entries
                    .extend(self.memory.notes().ever.iter().filter_map(directory).map(DirEntry::Directory));
                entries.retain(is_after);
                entries.sort_unstable_by(|a, b| a.name().cmp(b.name()));
                entries.dedup();
            }
            _ => {}
        }
        Ok(entries)
    }

    async fn collect_walk(&self, path: &DriverPath, after: Option<&DriverPath>) -> Result<Vec<FileInfo>> {
        let all: Vec<FileInfo> = self.inner.walk(path, None).try_collect().await?;
        let is_after = |info: &FileInfo| after.is_none_or(|after| info.path > *after);
        let mut infos: Vec<FileInfo> = all.iter().filter(|info| is_after(info)).cloned().collect();
        match self.lie {
            Lie::MissingWalkIsNotFound if all.is_empty() => {
                return Err(DriverError::new(ErrorKind::NotFound, self.inner.name(), Operation::Walk, path));
            }
            Lie::WalkIncludesItsTop => infos.extend(self.inner.stat_if_any(path).await?),
            Lie::WalksByStringPrefix => {
                for neighbour in self.neighbours(path).await? {
                    infos.extend(self.inner.stat_if_any(&neighbour).await?);
                    infos.extend(self.inner.walk(&neighbour, after).try_collect::<Vec<_>>().await?);
                }
                infos.sort_unstable_by(|a, b| a.path.cmp(&b.path));
            }
            Lie::WalksDirectoryByDirectory => {
                infos.sort_unstable_by(|a, b| a.path.components().cmp(b.path.components()));
            }
            Lie::WalkIsStale => {
                let newest = self.memory.notes().newest.clone();
                infos.retain(|info| Some(&info.path) != newest.as_ref());
            }
            Lie::WalkMisstatesSize => infos.iter_mut().for_each(|info| info.size_bytes = 0),
            Lie::WalkAfterIsInclusive => {
                infos =
                    all.into_iter().filter(|info| after.is_none_or(|after| info.path >= *after)).collect();
            }
            Lie::WalkAfterMustExist if !all.iter().any(|info| Some(&info.path) == after) => infos = all,
            _ => {}
        }
        Ok(infos.into_iter().map(|info| self.spoil_info(info)).collect())
    }

    /// The paths beside `path` whose names merely begin with its name.
    pub(super) async fn neighbours(&self, path: &DriverPath) -> Result<Vec<DriverPath>> {
        let (Some(parent), Some(name)) = (path.parent(), path.name()) else { return Ok(Vec::new()) };
        let beside: Vec<DirEntry> = self.inner.list(&parent, None).try_collect().await?;
        let beside =
            beside.iter().map(DirEntry::name).filter(|other| other.starts_with(name) && *other != name);
        Ok(beside.filter_map(|other| parent.join(other).ok()).collect())
    }
}

fn hand_out<T: Send + 'static>(
    collected: impl Future<Output = Result<Vec<T>>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    collected.map_ok(|items| stream::iter(items.into_iter().map(Ok))).into_stream().try_flatten().boxed()
}
