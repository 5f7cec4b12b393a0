//! Migration: copies a store to another, of any kind, while clients pull from it and push to it.
//!
//! A migration is passes: each walks both stores side by side, in the order of paths, and copies what the target lacks. What
//! is there with its length is passed over, so a pass needs no record of the one before, and an interrupted one is resumed by
//! the next. Files whose content can change without a change of length are compared by content: the links of tags, and
//! access tokens.
//!
//! # The target is a valid store at every moment
//!
//! - In each repository, tags are read first; then layers, manifests, tags and their history are written, in this order.
//!   A manifest is written when its parts are there, looked up one by one if the walk has not seen them: they may have been
//!   pushed since. A tag is written when its manifest is there.
//! - Data are hashed while they are copied, and published if their digest is right. Damaged ones are not copied, nor what
//!   needs them (module `manifests`).
//! - Links and tags that lead nowhere at the source are not copied.
//!
//! # Pushes, deletions and collections at the source
//!
//! A push during a pass comes with the next one; so does a tag that moves. A collection of the source deletes what
//! nothing refers to, so a pass needs no lease there: if content vanishes between its listing and its copy, what named it is
//! garbage or was moved, and the next pass sees that. The pass copies nothing that would refer to it.
//! [`finish`](Migration::finish) is exact, so it needs a source at rest: read-only, and without a collection.
//!
//! A collection of the *target* could delete data between their copy and the link to them, so each pass refuses to run beside
//! one.
//!
//! # Removal
//!
//! Only [`finish`](Migration::finish) removes, after it has copied everything: what the source no longer has, references first. A place of the
//! source that cannot be seen, or a source without repositories, removes nothing.
//!
//! Deliberately absent: when to make the next pass, and output, which belong to the command line.

mod begun;
mod caution;
mod compare;
mod copier;
mod digest_set;
mod error;
mod guard;
mod lost_links;
mod manifests;
mod merged;
mod moved;
mod needed;
mod options;
mod origin_marks;
mod others;
mod pass;
mod recorder;
mod removal;
mod report;
mod repositories;
mod repository;
mod staged;
mod tags;

pub use begun::Begun;
pub use error::{Error, Result, Side};
pub(crate) use guard::{check_apart, check_no_collection, first_file, has_repositories, last_collection};
pub use moved::Moved;
pub use options::{Options, Progress};
pub(crate) use pass::pass;
pub(crate) use recorder::{Recorded, RecordedTag, Recorder};
pub(crate) use removal::{remove_gone_tokens, tokens_vanished};
pub use report::{
    Amounts, Broken, Comparison, Damaged, Difference, DifferenceKind, Pass, StoreCounts, TagThere, Unlinked,
    Unseen,
};
pub(crate) use staged::remove_old as remove_old_staged;

use std::sync::Arc;

use sampan_driver::{DriverError, StorageDriver};

use self::caution::TargetOnly;
use self::error::NameStore;
use crate::clock::Clock;
use crate::layout::{self, Entry};

/// How many files of a repository are copied or read at a time.
const CONCURRENCY: usize = 16;

/// The migration of a store to another.
#[derive(Clone, Debug)]
pub struct Migration {
    source: Arc<dyn StorageDriver>,
    target: Arc<dyn StorageDriver>,
    options: Options,
    manner: PassKind,
    staged: Arc<staged::StagedFiles>,
}

/// The purpose of a pass.
#[derive(Clone, Debug)]
pub(crate) enum PassKind {
    /// A migration.
    Migrate,
    /// A backup; the recorder receives the content of each repository.
    Save(Recorder),
    /// A restore: the links of the target are no proof that their content is there, and nothing is copied that no repository
    /// needs.
    Restore {
        /// Tags that were pushed since it began are replaced, too.
        replace: bool,
    },
}

impl PassKind {
    fn recorder(&self) -> Option<&Recorder> {
        match self {
            Self::Save(recorder) => Some(recorder),
            Self::Migrate | Self::Restore { .. } => None,
        }
    }

    fn trusts_links(&self) -> bool {
        !matches!(self, Self::Restore { .. })
    }

    /// Content goes along that no manifest needs.
    fn copies_all(&self) -> bool {
        matches!(self, Self::Migrate)
    }

    /// What comes into a cache was not fetched, also where the mark of a fetched manifest was left.
    fn counts_as_push(&self) -> bool {
        matches!(self, Self::Restore { .. })
    }

    /// A tag that was pushed to the target since the pass began stays.
    fn spares_pushes(&self) -> bool {
        matches!(self, Self::Restore { replace: false })
    }
}

/// The end of a migration.
#[derive(Clone, Debug, Default)]
pub struct Finish {
    /// The last pass.
    pub pass: Pass,
    /// The files that were removed at the target.
    pub removed: Amounts,
    /// The content of both stores then.
    pub comparison: Comparison,
}

impl Migration {
    /// Prepares a migration: checks that these are two stores, and marks the target as one that is being filled from `from`.
    ///
    /// # Errors
    ///
    /// Both are one store; one lies in the other; the target has other content, or is being filled from another store; the part
    /// is finished; any error of the stores.
    pub async fn begin(
        source: Arc<dyn StorageDriver>,
        target: Arc<dyn StorageDriver>,
        from: &str,
        mut options: Options,
    ) -> Result<Self> {
        if !options.dry_run {
            guard::check_apart(&source, &target).await?;
        }
        options.merge = guard::claim(&source, &target, from, &options).await?;
        Ok(Self { source, target, options, manner: PassKind::Migrate, staged: Arc::default() })
    }

    /// A migration whose stores the caller has checked.
    pub(crate) fn with(
        source: &Arc<dyn StorageDriver>,
        target: &Arc<dyn StorageDriver>,
        options: Options,
        manner: PassKind,
    ) -> Self {
        Self { source: source.clone(), target: target.clone(), options, manner, staged: Arc::default() }
    }

    /// Copies what the target lacks. A dry run only counts it.
    ///
    /// # Errors
    ///
    /// A collection runs in the target; it has no space left; any error of the stores. The copied files stay, and another
    /// pass continues.
    pub async fn pass(&self) -> Result<Pass> {
        guard::check_no_collection(&self.target, Side::Target).await?;
        let last = guard::last_collection(&self.target).await?;
        if !self.options.dry_run {
            guard::remove_staged(&self.target).await?;
        }
        let pass = pass::pass(self).await?;
        guard::check_no_collection(&self.target, Side::Target).await?;
        if guard::last_collection(&self.target).await? != last {
            return Err(Error::Collecting { side: Side::Target, path: Entry::CollectionLast.path() });
        }
        Ok(pass)
    }

    /// Copies the rest, removes at the target what the source no longer has, and compares both. The source must be at rest.
    ///
    /// # Errors
    ///
    /// As [`pass`](Self::pass); the source shows no repositories, or a part of it cannot be seen or has vanished, and then nothing
    /// was removed; a collection runs in it.
    pub async fn finish(&self) -> Result<Finish> {
        guard::check_no_collection(&self.source, Side::Source).await?;
        if !guard::has_repositories(&self.source).await? {
            return Err(Error::EmptySource);
        }
        let pass = self.pass().await?;
        check_seen(pass.unseen.items.clone())?;
        let (removed, kept) = match self.options.merge {
            true => (Amounts::default(), TargetOnly::default()),
            false => {
                let kept = caution::examine(self).await?;
                (removal::remove(self, &kept).await?, kept)
            }
        };
        let comparison = compare::compare(self, &kept).await?;
        guard::check_no_collection(&self.source, Side::Source).await?;
        Ok(Finish { pass, removed, comparison })
    }

    /// Ends the migration of a whole store: marks the source as moved to `to`, and the target as a store of its own. Returns the
    /// error if the source could not be marked, such as on a read-only medium.
    ///
    /// # Errors
    ///
    /// Any error of the target.
    pub async fn close(&self, to: &str) -> Result<Option<DriverError>> {
        let moved = Moved { to: to.to_owned(), at: Clock::default().now() };
        let marked = moved.write(&self.source).await;
        // It may have been a source itself.
        self.target.delete(&Entry::Moved.path()).await.at_target()?;
        self.target.delete_tree(&layout::migration_staged()).await.at_target()?;
        self.target.delete(&Entry::MigrationBegun.path()).await.at_target()?;
        Ok(marked.err())
    }

    /// Ends the migration of a part, by the patterns of its repositories: a later one of the same part is refused.
    ///
    /// # Errors
    ///
    /// Any error of the target.
    pub async fn close_part(&self, part: &[String]) -> Result<()> {
        let Some(mut begun) = Begun::read(&self.target).await.at_target()? else { return Ok(()) };
        let new: Vec<_> = part.iter().filter(|pattern| !begun.finished.contains(pattern)).cloned().collect();
        begun.finished.extend(new);
        begun.write(&self.target).await.at_target()
    }
}

/// Fails if a place of the source was not seen.
pub(crate) fn check_seen(unseen: Vec<Unseen>) -> Result<()> {
    match unseen.into_iter().next() {
        None => Ok(()),
        Some(Unseen { path, reason }) => Err(Error::Unseen { side: Side::Source, path, reason }),
    }
}
