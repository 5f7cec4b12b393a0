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

use futures::TryStreamExt;
use sampan_driver::{PutMode, StorageDriver, StorageDriverExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::layout::{self, Entry};

/// What a store is recognised by.
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

/// How many links a store without an identifier is known by.
const MAX_LINKS: usize = 32;

/// The second line of the file of an identifier that took the place of a damaged one.
const REPLACEMENT: &str = "in place of a damaged one";

/// What the file of an identifier says.
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
        let mut links = Vec::new();
        let mut files = driver.walk(&layout::repositories_root(), None);
        while links.len() < MAX_LINKS {
            // A place that cannot be seen is for the caller to say.
            let Ok(Some(file)) = files.try_next().await else { break };
            if let Some(Entry::LayerLink(..) | Entry::RevisionLink(..)) = Entry::parse(&file.path) {
                links.push(file.path.to_string());
            }
        }
        Ok(Self { id, is_replacement, links })
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
