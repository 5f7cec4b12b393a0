//! Import: stores the images of a bundle, each as a push would: blobs, children, the image with its tags, then its referrers.
//! The blobs of the next images are stored meanwhile.
//!
//! What an interrupted import has stored stays: whole images with their tags, and blobs that the collector takes after its
//! grace period. The same import again passes over what is there. A tag never names an image that is not whole.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::import_checks::select;
use crate::import_root::Root;
use crate::import_tags::tag_changes;
use crate::importer::{Importer, PreparedRoot, StoredRoot};
use crate::in_order::in_order;
use crate::missing::check_presumed;
use crate::plan_reader::PlanReader;
use crate::space::{check_space, explain_full};
use crate::{Failure, ImportReport, Renames, Result, Selector, Target};

/// How an import proceeds.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Only these images of the bundle; empty means all.
    pub only: Vec<Selector>,
    /// Other names for repositories.
    pub renames: Renames,
    /// The treatment of a tag that exists with another digest.
    pub tags: TagPolicy,
    /// Whether an image that cannot be imported is passed over instead of ending the import.
    pub keep_going: bool,
    /// How many blobs are stored at a time, from a file; a pipe yields one at a time.
    pub jobs: usize,
    /// Whether only the checks are made.
    pub dry_run: bool,
    /// Whether the report gets a [receipt](ImportReport::receipt).
    pub receipt: bool,
    /// Whether a pipe is read to its end to find the images that need missing content; those of a file are always found.
    pub find_missing: bool,
    /// The bytes that may still be written to the file system of the target; `None` if that is unknown.
    pub free_bytes: Option<u64>,
    /// The longest manifest, in bytes.
    pub max_manifest_bytes: u64,
}

/// The treatment of a tag that exists with another digest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TagPolicy {
    /// It moves, as by a push.
    #[default]
    Move,
    /// It stays.
    Keep,
    /// The import fails before it writes anything.
    Fail,
}

/// How far a transfer is, for another thread to show.
#[derive(Debug, Default)]
pub struct Progress {
    /// The bytes that are done.
    pub bytes: AtomicU64,
    /// The images that are done.
    pub images: AtomicU64,
}

/// Imports a bundle, or the images of a source, into `target`.
///
/// Before it writes anything it checks the framing of files, all presumed content, the free space unless only a part is
/// imported, and with [`TagPolicy::Fail`] the tags.
///
/// # Errors
///
/// `Bundle` when the bundle is damaged, `PresumedMissing`, `NoSpace`, `Full`, `TagTaken`, `NoMatch`; any error of the target.
/// Images that were stored before stay.
pub async fn import(
    carried: &dyn PlanReader,
    target: &dyn Target,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<ImportReport> {
    carried.check().await?;
    let selected = select(carried, options).await?;
    let presumed = check_presumed(carried, target, options).await?;
    if let Some(free_bytes) = options.free_bytes.filter(|_| options.only.is_empty()) {
        check_space(carried.plan(), target, free_bytes).await?;
    }
    let mut report = ImportReport::default();
    let changes = tag_changes(target, &selected, options.tags).await?;
    let kept: HashSet<String> = changes.iter().filter(|it| it.kept).map(|it| it.tag.clone()).collect();
    let checked: HashMap<_, _> = changes.iter().map(|it| (it.tag.clone(), it.from.clone())).collect();
    report.moved_tags = changes;
    if options.dry_run {
        report.imported = selected.len() as u64;
        return Ok(report);
    }
    let importer = Importer::new(carried, target, options, progress, presumed, checked);
    let roots = selected.iter().flat_map(|image| Root::of_image(image, &kept));
    let (mut is_new, mut named) = (false, Vec::new());
    let finish = async |root: Root<'_>, prepared: Result<PreparedRoot>| {
        if root.is_image {
            (is_new, named) = (false, Vec::new());
        }
        let stored = match prepared {
            _ if root.has_failed() => Ok(StoredRoot::default()),
            Ok(prepared) => importer.finish(&root, prepared, &mut report).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(stored) => {
                is_new |= stored.is_new;
                if options.receipt {
                    named.extend(root.named(&stored.kept));
                }
            }
            Err(error) if options.keep_going && error.is_of_image() => {
                root.fail();
                // An image whose referrer failed has its tags.
                report.moved_tags.retain(|change| !root.sets(&change.tag));
                report.failures.push(Failure {
                    image: root.image.shown(),
                    problem: error.to_string(),
                    is_damage: error.is_damage(),
                });
            }
            Err(error) => {
                let done = progress.bytes.load(Ordering::Relaxed);
                return Err(explain_full(error, carried.plan().totals()?.bytes.saturating_sub(done)));
            }
        }
        if root.is_last {
            if !root.has_failed() {
                report.receipt.append(&mut named);
            }
            match (root.has_failed(), is_new) {
                (true, _) => {}
                (false, true) => report.imported += 1,
                (false, false) => report.unchanged += 1,
            }
            progress.images.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let done = in_order(roots, importer.jobs(), async |root| importer.prepare(root).await, finish).await;
    if done.is_err() {
        target.flush().await;
    }
    done?;
    carried.finish().await?;
    importer.count(&mut report);
    report.receipt.sort();
    report.receipt.dedup();
    Ok(report)
}
