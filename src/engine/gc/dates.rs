//! The times at which tags were pushed in a store that a migration has copied: they count for the survey, and go with the last
//! tag of their repository.

use futures::{StreamExt, TryStreamExt, stream};
use sampan_driver::{Deadline, DriverPath, StorageDriver};

use super::Result;
use super::context::Context;
use super::inventory::Inventory;
use crate::layout::{self, Entry};
use crate::tag_dates::TagDates;

/// Takes the recorded times into account for the last push of each repository. Returns the files of repositories that have no
/// tag, unless they are young: the tags may have been written after the walk.
pub(super) async fn apply(cx: &mut Context<'_>, inventory: &mut Inventory) -> Result<Vec<DriverPath>> {
    let mut stale = Vec::new();
    let mut files = cx.driver().walk(&layout::dates_root(), None);
    while let Some(file) = files.try_next().await? {
        cx.pacer.tick().await?;
        let Some(Entry::TagDates(name)) = Entry::parse(&file.path) else {
            if layout::is_temporary(&file.path) && !cx.cutoff.is_young(file.modified) {
                stale.push(file.path);
            }
            continue;
        };
        let contents = inventory.find_mut(&name);
        match contents {
            Some(contents) if !contents.tags.is_empty() => {
                let Some(newest) = contents.last_push else { continue };
                if let Some(dates) = TagDates::read(cx.driver(), &name).await? {
                    contents.last_push = Some(dates.latest(newest));
                }
            }
            _ if cx.cutoff.is_young(file.modified) => {}
            _ => stale.push(file.path),
        }
    }
    Ok(stale)
}

/// The same; deletes those files, and returns how many. One that comes back after a power failure goes with the next collection.
pub(super) async fn prune(cx: &mut Context<'_>, inventory: &mut Inventory) -> Result<u64> {
    let stale = apply(cx, inventory).await?;
    let mut deleted = cx.driver().delete_all(stream::iter(stale).boxed(), Deadline::NONE);
    let mut count = 0;
    while let Some((_, result)) = deleted.next().await {
        result?;
        count += 1;
        cx.pacer.tick().await?;
    }
    Ok(count)
}
