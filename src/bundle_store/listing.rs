//! Listings and walks: the files of the store in the order of their paths, as if all of them were in one sorted list.

use std::convert::Infallible;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use sampan_driver::{DirEntry, DriverPath, FileInfo, Operation, Result, list_sorted_keys};
use sampan_engine::layout::{self, Entry};

use crate::files::File;
use crate::manifests::{Listed, Manifests};
use crate::repository::Repository;
use crate::store::{BundleStore, Inner};

/// The files that a listing sees.
enum View {
    /// Data, and of each repository what plans alone say: enough for names of repositories and tags.
    Plans,
    /// The files in one repository.
    Repository(usize, Arc<Manifests>, Listed),
}

impl BundleStore {
    /// The entries of one level.
    pub(crate) fn entries(
        &self,
        path: &DriverPath,
        after: Option<&str>,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let (inner, path, after) = (self.inner.clone(), path.clone(), after.map(str::to_owned));
        let entries = async move {
            let view = match inner.view(&path).await {
                Ok(Some(view)) => view,
                Ok(None) => return stream::empty().boxed(),
                Err(error) => return stream::iter([Err(error)]).boxed(),
            };
            let first_from = move |key: &str| Ok::<_, Infallible>(inner.first_in_view(&view, key));
            let entries = list_sorted_keys(&path, after.as_deref(), first_from);
            stream::iter(entries.map(|entry| entry.map_err(|never| match never {}))).boxed()
        };
        stream::once(entries).flatten().boxed()
    }

    /// All files below a path.
    pub(crate) fn files(
        &self,
        path: &DriverPath,
        after: Option<&DriverPath>,
    ) -> BoxStream<'static, Result<FileInfo>> {
        let below = if path.is_root() { String::from("/") } else { format!("{path}/") };
        let from = match after.map(|after| format!("{after}\0")) {
            Some(from) if from > below => from,
            _ => below.clone(),
        };
        let state = (self.inner.clone(), from);
        stream::try_unfold(state, move |(inner, from)| {
            let below = below.clone();
            async move {
                let Some(file) = inner.next_file(&from, &below).await? else { return Ok(None) };
                if !file.path.as_str().starts_with(&below) {
                    return Ok(None);
                }
                let from = format!("{}\0", file.path);
                Ok(Some((file, (inner, from))))
            }
        })
        .boxed()
    }
}

impl Inner {
    /// The view that a listing of a path needs; `None` where there is nothing.
    async fn view(self: &Arc<Self>, path: &DriverPath) -> Result<Option<View>> {
        let Some((name, _)) = layout::place_in_repository(path) else { return Ok(Some(View::Plans)) };
        let Some(repository) = self.find(&name) else { return Ok(None) };
        if *path == layout::tags(&name) {
            return Ok(Some(View::Plans));
        }
        let layers = layout::layers(&name);
        let is_of_layers = *path == layers || path.below(&layers).is_some();
        let listed = if is_of_layers { Listed::All } else { Listed::WithoutLayers };
        let manifests = self.sorted_manifests(repository, listed, Operation::List, path).await?;
        Ok(Some(View::Repository(repository, manifests, listed)))
    }

    /// The manifests of a repository, after its files were sorted on a thread that may take its time.
    async fn sorted_manifests(
        self: &Arc<Self>,
        repository: usize,
        listed: Listed,
        operation: Operation,
        path: &DriverPath,
    ) -> Result<Arc<Manifests>> {
        let manifests = self.manifests(repository, operation, path).await?;
        if !manifests.is_sorted(listed) {
            let (inner, sorted) = (self.clone(), manifests.clone());
            let sort = move || {
                if listed == Listed::All {
                    sorted.layer_names.get_or_init(|| inner.layer_names(&sorted.layers));
                }
                sorted.files(&inner.repositories[repository], &inner.contents, listed);
            };
            self.threads.run(operation, path, sort).await?;
        }
        Ok(manifests)
    }

    fn first_in_view(&self, view: &View, key: &str) -> Option<String> {
        match view {
            View::Repository(index, manifests, listed) => {
                let repository = &self.repositories[*index];
                let files = manifests.files(repository, &self.contents, *listed);
                self.first_file(repository, files, manifests, key).map(|(path, _)| path.to_string())
            }
            View::Plans => {
                let named = self.repositories[self.first_repository(key)..].iter().find_map(|repository| {
                    let names = &repository.names;
                    names.get(names.partition_point(|(path, _)| path.as_str() < key))
                });
                let named = named.map(|(path, _)| path.to_string());
                let data = self.first_data(key).map(|(path, _)| path.to_string());
                match (data, named) {
                    (Some(data), Some(named)) => Some(data.min(named)),
                    (data, named) => data.or(named),
                }
            }
        }
    }

    /// The first file whose path is `from` or comes after it; perhaps none if it does not begin with `below`.
    async fn next_file(self: &Arc<Self>, from: &str, below: &str) -> Result<Option<FileInfo>> {
        let data = self.first_data(from);
        for index in self.first_repository(from)..self.repositories.len() {
            let repository = &self.repositories[index];
            // Manifests are read only if nothing else comes before them.
            let prefix = repository.prefix.as_str();
            let is_behind = !prefix.starts_with(below) && !below.starts_with(prefix);
            if is_behind || data.as_ref().is_some_and(|(path, _)| path.as_str() < prefix) {
                break;
            }
            let place = DriverPath::root();
            let manifests = self.sorted_manifests(index, Listed::All, Operation::Walk, &place).await?;
            let files = manifests.files(repository, &self.contents, Listed::All);
            if let Some((path, entry)) = self.first_file(repository, files, &manifests, from) {
                return self.info(Operation::Walk, &path, &entry).await.map(Some);
            }
        }
        match data {
            Some((path, entry)) => self.info(Operation::Walk, &path, &entry).await.map(Some),
            None => Ok(None),
        }
    }

    /// The index of the first repository that has paths from `key` on.
    fn first_repository(&self, key: &str) -> usize {
        // No prefix of a repository is the beginning of another one's.
        self.repositories.partition_point(|repository| {
            repository.prefix.as_str() < key && !key.starts_with(&repository.prefix)
        })
    }

    fn first_file(
        &self,
        repository: &Repository,
        files: &[File],
        manifests: &Manifests,
        key: &str,
    ) -> Option<(DriverPath, Entry)> {
        let path = |file: &File| file.path(repository, &self.contents, Some(manifests));
        let first = files.get(files.partition_point(|file| path(file).as_str() < key))?;
        let entry = first.entry(repository, &self.contents, Some(manifests))?;
        Some((entry.path(), entry))
    }

    fn first_data(&self, key: &str) -> Option<(DriverPath, Entry)> {
        let sorted = self.contents.sorted();
        let entry = |place| Entry::Blob(self.contents.digest(place).clone());
        // Most keys are those of repositories, which come after all data.
        if entry(*sorted.last()?).path().as_str() < key {
            return None;
        }
        let first = sorted.partition_point(|place| entry(*place).path().as_str() < key);
        let entry = entry(*sorted.get(first)?);
        Some((entry.path(), entry))
    }
}
