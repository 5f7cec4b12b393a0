//! `StoreIdentity`: tells two stores apart that have the same name, such as the same directory of two machines.
//!
//! A store that a registry serves has a random identifier, `sampan/id`, which no copy of its content takes along. One that has
//! none, such as Distribution's or a read-only one, is known by a few links that it had.
//!
//! # A damaged identifier
//!
//! A power failure may leave an empty file. Then the links decide: a store that has any of them is the same. The next start of
//! a registry writes another identifier, and beside it that it took the place of a damaged one, so the links decide about that
//! one, too, until it is recorded. An identifier that differs and was never damaged is that of another store, whatever its links
//! are: a copy on another machine has the same images.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use sampan_driver::{DriverPath, PutMode, StorageDriver, StorageDriverExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::layout::{self, Entry};
use crate::oci::RepositoryName;

/// The facts by which a store is recognised.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct StoreIdentity {
    /// Its identifier, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The identifier took the place of a damaged one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_replacement: bool,
    /// Some of its links.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<String>,
}

/// How many links a store without an identifier is known by, and of how many repositories at most.
const MAX_LINKS: usize = 32;

/// The second line of the file of an identifier that took the place of a damaged one.
const REPLACEMENT: &str = "in place of a damaged one";

/// The content of the file of an identifier.
struct Recorded {
    id: Uuid,
    is_replacement: bool,
}

impl StoreIdentity {
    /// Reads the identity of a store.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub(crate) async fn of(driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<Self> {
        let recorded = read(driver).await?.flatten();
        let is_replacement = recorded.as_ref().is_some_and(|recorded| recorded.is_replacement);
        let id = recorded.map(|recorded| recorded.id.to_string());
        Ok(Self { id, is_replacement, links: some_links(driver).await })
    }

    /// Whether the store shows no repository.
    pub(crate) fn is_blank(&self) -> bool {
        self.links.is_empty()
    }

    /// Whether the store of `driver`, whose identity is `now`, is the one of this recorded identity. Where two identifiers do not
    /// decide it, one of the recorded links must be left.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub(crate) async fn is_of(
        &self,
        driver: &Arc<dyn StorageDriver>,
        now: &Self,
    ) -> sampan_driver::Result<bool> {
        match (&self.id, &now.id) {
            (Some(recorded), Some(id)) if recorded == id => return Ok(true),
            (Some(_), Some(_)) if !now.is_replacement => return Ok(false),
            // A store that shows nothing is not mounted, which is for its caller to say.
            _ if now.is_blank() => return Ok(true),
            _ => {}
        }
        for link in self.links.iter().filter_map(|link| link.parse().ok()) {
            if driver.exists(&link).await? {
                return Ok(true);
            }
        }
        Ok(self.links.is_empty() && self.id.is_none())
    }

    /// Gives a store with content an identifier, unless it has one.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn establish(driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<()> {
        let id = Uuid::new_v4();
        let (mode, content) = match read(driver).await? {
            Some(Some(_)) => return Ok(()),
            Some(None) => (PutMode::Overwrite, format!("{id}\n{REPLACEMENT}\n")),
            None => (PutMode::Create, id.to_string()),
        };
        if driver.walk(&layout::repositories_root(), None).try_next().await?.is_none() {
            return Ok(());
        }
        match driver.put_content(&Entry::StoreId.path(), content.into(), mode).await {
            // Another registry over the store did.
            Err(error) if error.kind() == sampan_driver::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }
}

/// Some links of the first repositories, as many of each: a repository that is deleted must not take all of them along.
async fn some_links(driver: &Arc<dyn StorageDriver>) -> Vec<String> {
    let (mut revisions, mut layers) = (Vec::new(), Vec::new());
    let (mut repositories, mut after) = (0, None);
    while repositories < MAX_LINKS {
        let Some(name) = next_repository(driver, &mut after).await else { break };
        let of_manifests = first_links(driver, &layout::all_revisions(&name)).await;
        let of_layers = first_links(driver, &layout::layers(&name)).await;
        repositories += usize::from(!of_manifests.is_empty() || !of_layers.is_empty());
        revisions.push(of_manifests);
        layers.push(of_layers);
    }
    let of_each: Vec<Vec<String>> = revisions.into_iter().chain(layers).collect();
    let by_place = (0..MAX_LINKS).flat_map(|place| of_each.iter().filter_map(move |links| links.get(place)));
    by_place.take(MAX_LINKS).cloned().collect()
}

/// The first repository with a file after `after`, which becomes the end of that repository.
async fn next_repository(
    driver: &Arc<dyn StorageDriver>,
    after: &mut Option<DriverPath>,
) -> Option<RepositoryName> {
    let mut files = driver.walk(&layout::repositories_root(), after.as_ref());
    // A place that cannot be seen is for the caller to say.
    while let Ok(Some(file)) = files.try_next().await {
        if let Some((name, _)) = layout::place_in_repository(&file.path) {
            let end = format!("{}z", layout::prefix_in_repository(&name)).parse().ok();
            *after = end.max(Some(file.path));
            return Some(name);
        }
    }
    None
}

/// The links among the first files of a directory.
async fn first_links(driver: &Arc<dyn StorageDriver>, directory: &DriverPath) -> Vec<String> {
    let files = driver.walk(directory, None).take(MAX_LINKS);
    let is_link = |path: &DriverPath| {
        matches!(Entry::parse(path), Some(Entry::LayerLink(..) | Entry::RevisionLink(..)))
    };
    let links = files.filter_map(|file| async { Some(file.ok()?.path).filter(is_link) });
    links.map(|path| path.to_string()).collect().await
}

/// The identifier of a store: `None` if it has none, `Some(None)` if its file cannot be understood.
async fn read(driver: &Arc<dyn StorageDriver>) -> sampan_driver::Result<Option<Option<Recorded>>> {
    let content = driver.get_content_if_any(&Entry::StoreId.path()).await?;
    Ok(content.map(|content| {
        let text = str::from_utf8(&content).ok()?.trim();
        let (id, is_replacement) = match text.strip_suffix(REPLACEMENT) {
            Some(id) => (id, true),
            None => (text, false),
        };
        Some(Recorded { id: id.trim().parse().ok()?, is_replacement })
    }))
}
