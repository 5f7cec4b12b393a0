//! `Scheduled`: what Distribution's cache fetched, by the file in which it keeps when it forgets what.

use std::collections::HashMap;
use std::time::Duration;

use super::super::Result;
use super::super::context::Context;
use super::super::interner::IdHashSet;
use super::super::inventory::Inventory;
use crate::caches::{hour_of, scheduled_manifests};

/// The manifests that Distribution's cache fetched.
#[derive(Debug, Default)]
pub(in crate::gc) struct Scheduled {
    manifests: HashMap<String, IdHashSet>,
    /// A link that was written in a later hour is not Distribution's.
    until_hour: u32,
}

/// A copy of the store dates its files again, in any order.
const COPY: Duration = Duration::from_secs(24 * 60 * 60);

impl Scheduled {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub(in crate::gc) async fn read(cx: &mut Context<'_>) -> Result<Self> {
        if cx.registry.caches().is_empty() {
            return Ok(Self::default());
        }
        let Some((written, entries)) = scheduled_manifests(cx.driver()).await? else {
            return Ok(Self::default());
        };
        let mut manifests: HashMap<String, IdHashSet> = HashMap::new();
        for (name, digest, _) in entries {
            cx.pacer.tick().await?;
            if digest.is_canonical() {
                manifests.entry(name).or_default().insert(cx.ids.intern(&digest));
            }
        }
        Ok(Self { manifests, until_hour: hour_of(written.checked_add(COPY).unwrap_or(written)) })
    }

    /// Marks them in the repositories of an inventory.
    pub(in crate::gc) fn mark(&self, inventory: &mut Inventory) {
        for contents in &mut inventory.repositories {
            let Some(manifests) = self.manifests.get(contents.name.as_str()) else { continue };
            let links = contents.revisions.iter().zip(&contents.revision_hours);
            let fetched =
                links.filter(|(link, hour)| manifests.contains(&link.id) && **hour <= self.until_hour);
            contents.scheduled = fetched.map(|(link, _)| link.id).collect();
        }
    }
}
