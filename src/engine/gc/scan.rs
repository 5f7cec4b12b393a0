//! `scan`: the first pass over the store.

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{DirEntry, DriverPath};

use super::context::Context;
use super::graph::is_of_this_file;
use super::inventory::{Inventory, everything};
use super::quick_scan::scan_names;
use super::{Error, Result};
use crate::layout;
use crate::oci::RepositoryName;

/// Finds every file of the store: a walk, or a [quick scan](super::quick_scan).
pub(super) async fn scan(cx: &mut Context<'_>) -> Result<Inventory> {
    if cx.is_quick() { scan_names(cx).await } else { cx.walk(&everything()).await }
}

/// Finds repositories that consist of nothing but directories on a filesystem, as deletions by Distribution leave them.
pub(super) async fn bare_repositories(
    cx: &mut Context<'_>,
    inventory: &Inventory,
) -> Result<Vec<RepositoryName>> {
    let mut bare = Vec::new();
    let mut level = vec![layout::repositories_root()];
    while !level.is_empty() {
        let driver = cx.driver();
        let mut listings = stream::iter(std::mem::take(&mut level))
            .map(|path| async move {
                let entries: Vec<DirEntry> = match driver.list(&path, None).try_collect().await {
                    // The walk has reported it, and a repository that cannot be seen is not bare.
                    Err(error) if is_of_this_file(&error) => Vec::new(),
                    entries => entries?,
                };
                Ok::<_, Error>((path, entries))
            })
            .buffered(cx.concurrency());
        while let Some((path, entries)) = listings.try_next().await? {
            cx.pacer.tick().await?;
            let parsed = |path: &DriverPath| {
                path.below(&layout::repositories_root()).and_then(|name| name.parse::<RepositoryName>().ok())
            };
            let has_manifests =
                entries.iter().any(|entry| entry.is_directory() && entry.name() == "_manifests");
            if let Some(name) = parsed(&path).filter(|name| has_manifests && inventory.find(name).is_none()) {
                bare.push(name);
            }
            let directories = entries.iter().filter(|entry| entry.is_directory());
            let below = directories.filter_map(|entry| path.join(entry.name()).ok());
            level.extend(below.filter(|path| parsed(path).is_some()));
        }
    }
    Ok(bare)
}
