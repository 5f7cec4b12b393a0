//! `Lie`: the faults that a sabotaged driver can have, one at a time.

use super::bitten::{Bitten, DRIVER};
use super::bitten_backup::BACKUP;
use super::bitten_engine::ENGINE;
use super::bitten_fill::FILL;

/// A fault that breaks a clause of the contract.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Lie {
    /// No fault: shows that the wrapper itself does no harm.
    None,
    /// The store keeps no files whose names begin with a dot.
    HidesDotNames,
    /// The store does not distinguish upper and lower case.
    FoldsCase,
    /// The store does not distinguish `-`, `.` and `_`.
    FoldsPunctuation,
    /// The store cuts names after 100 characters.
    TruncatesNames,
    /// The store accepts writes to `/`.
    RootIsAFile,
    /// A write removes a file above its path.
    WritesReplaceParents,
    /// `put_content` keeps one mebibyte at most.
    CutsLargeContent,
    /// The store replaces bytes that are not UTF-8.
    TextOnly,
    /// `put_content` of no bytes does nothing.
    IgnoresEmptyContent,
    /// A missing file reads as an empty one.
    MissingIsEmpty,
    /// Overwriting with less leaves the end of the old content.
    OverwriteKeepsTail,
    /// Overwriting shows half of the new content for a while.
    TearsOverwrites,
    /// `PutMode::Transient` keeps the existing content.
    TransientKeepsTheOld,
    /// `PutMode::Create` makes no file.
    CreateDoesNothing,
    /// `PutMode::Create` replaces an existing file.
    CreateOverwrites,
    /// `PutMode::Create` refuses a path at which a file ever existed.
    CreateRemembersTheDead,
    /// `PutMode::Create` checks first and writes later.
    CreateChecksThenWrites,
    /// `put_all` publishes the last file first.
    PutAllBeginsAtTheEnd,
    /// `put_all` leaves out a file that cannot be published, and continues.
    PutAllGoesOnAfterAFailure,
    /// `put_all` leaves the time of a file that it replaces as it was.
    PutAllKeepsTheTime,
    /// `put_all` leaves out the last of several files.
    PutAllLosesTheLast,
    /// `put_all` of nothing makes a file.
    PutAllOfNothingMakesAFile,
    /// The store says that it is durable, and is empty when opened again.
    ForgetsOnReopen,
    /// A reader reports a size that is one too large.
    ReaderMisstatesSize,
    /// Reading from beyond the end yields nothing instead of an error.
    BeyondTheEndIsEmpty,
    /// Reading from an offset begins one byte before it.
    OffsetIsOneTooSmall,
    /// A reader continues to the end of the file.
    ReaderIgnoresLength,
    /// A reader opens its file only at the first read.
    ReadsLate,
    /// The open file behind a reader is another one.
    OffersAnotherFile,
    /// Two readers disturb each other, even after one was dropped.
    ReadersShareAPosition,
    /// A commit publishes all but the last write.
    LosesLastWrite,
    /// Written bytes show at the hinted target at once.
    PublishesBeforeCommit,
    /// The staged file stays beside the published file.
    CommitLeavesTheStagedFile,
    /// A commit to an existing file does nothing.
    CommitKeepsTheExisting,
    /// A commit removes the path of the staged file, even if it is the target.
    CommitRemovesItsPath,
    /// A commit without bytes makes no file.
    CommitSkipsEmpty,
    /// The store does not keep a staged file without bytes.
    CloseSkipsEmpty,
    /// The store loses every thousandth write.
    LosesAWrite,
    /// Small writes land after the large ones.
    WritesOutOfOrder,
    /// `close` counts the last write and loses it.
    ForgetsTailOnClose,
    /// An append counts the existing bytes and loses them.
    AppendStartsOver,
    /// `WriteMode::Create` continues the staged file.
    CreateAppends,
    /// The store writes nothing beyond the hinted length.
    TrustsHintedLength,
    /// A commit goes to the hinted target.
    TrustsHintedTarget,
    /// An append to a missing file begins one.
    AppendCreates,
    /// The size of an append includes bytes that a dropped writer has lost.
    AppendCountsWhatWasLost,
    /// After a writer was dropped, its path rejects writes.
    DroppingLocksForEver,
    /// The store returns no note.
    ForgetsNotes,
    /// The store returns the last note of a path, whatever is staged there.
    NotesOutliveTheirBytes,
    /// `revert` is `close`.
    RevertKeeps,
    /// A view counts bytes as readable that it does not have yet.
    ViewPromisesMore,
    /// A view shows other bytes.
    ViewShowsOtherBytes,
    /// A view counts fewer bytes after it was read.
    ViewShrinks,
    /// A view without a flush shows what it shows; a flush changes nothing.
    ViewIsNotFlushed,
    /// A view is empty once its writer has ended.
    ViewEndsWithItsWriter,
    /// A view shows what was staged last at its path.
    ViewFollowsItsPath,
    /// `cancel` is `close`.
    CancelKeeps,
    /// `cancel` removes the file at the target.
    CancelRemovesTheTarget,
    /// Listing a missing directory is an error.
    MissingListIsNotFound,
    /// Listing a file yields the file.
    ListOfAFileIsTheFile,
    /// A listing reports every entry as a file.
    ListsDirectoriesAsFiles,
    /// `list_holding` leaves out the first directory.
    HoldingLosesTheFirst,
    /// `list_holding` yields a directory that does not hold the file.
    HoldingListsMore,
    /// Listing `/a` also shows what is in `/ab`.
    ListsByStringPrefix,
    /// A listing sorts directories with a trailing slash.
    ListsInOrderOfPaths,
    /// A listing includes the name after which it should begin.
    ListAfterIsInclusive,
    /// A listing after a missing name begins at the top.
    ListAfterMustExist,
    /// A listing ends after a thousand names.
    ListsAThousand,
    /// `rename` is a copy.
    RenameLeavesTheSource,
    /// `rename` onto a file only removes the source.
    RenameKeepsTheTarget,
    /// `rename` removes the target before it looks for the source.
    RenameRemovesTheTargetFirst,
    /// `rename` onto itself deletes the file.
    RenameCopiesThenDeletes,
    /// Renaming `/a` also renames `/ab`.
    RenamesByStringPrefix,
    /// `delete` does nothing.
    DeleteDoesNothing,
    /// Deleting a missing path is an error.
    DeletingNothingIsNotFound,
    /// Deleting `/a` deletes `/ab`.
    DeletesByStringPrefix,
    /// `delete` is `delete_tree`.
    DeleteIsRecursive,
    /// Deleting the tree `/a` deletes `/ab/x`.
    DeletesTreeByStringPrefix,
    /// `delete_tree` does nothing.
    DeleteTreeDoesNothing,
    /// `delete_tree` leaves staged files.
    DeleteTreeMissesStaged,
    /// A listing still shows a directory whose files were deleted.
    DirectoriesStay,
    /// `delete_tree` leaves a file at the path itself.
    DeleteTreeKeepsItsTop,
    /// `delete_all` yields a thousand answers at most.
    DeleteAllForgetsAnswers,
    /// `delete_all` yields one answer too many.
    DeleteAllInventsAnswers,
    /// `sync_deletions` deletes the paths that it gets.
    SyncOfDeletionsDeletes,
    /// A writable store reports that it is read-only.
    AlwaysReadOnly,
    /// `delete_all` continues after its deadline.
    DeleteAllIgnoresTheDeadline,
    /// `delete_all` checks its deadline only at the beginning.
    DeleteAllAsksOnce,
    /// The store caches content for ever after the first read.
    CachesForEver,
    /// `stat` reports a size that is one too large.
    StatMisstatesSize,
    /// `stat` of a missing path reports an empty file.
    StatInventsFiles,
    /// `stat` of a directory reports a file.
    StatsPrefixes,
    /// A renamed file keeps its time.
    RenameKeepsTheTime,
    /// A committed file has the time of its first byte.
    CommitKeepsTheTime,
    /// Times are an hour off.
    LivesInAnotherTimeZone,
    /// A walk finishes `a/` before it reaches `a-b`.
    WalksDirectoryByDirectory,
    /// Walking a missing path is an error.
    MissingWalkIsNotFound,
    /// Walking a file yields the file.
    WalkIncludesItsTop,
    /// Walking `/a` also yields `/ab/x`.
    WalksByStringPrefix,
    /// A walk misses the newest file.
    WalkIsStale,
    /// A walk reports no sizes.
    WalkMisstatesSize,
    /// A walk includes the path after which it should begin.
    WalkAfterIsInclusive,
    /// A walk after a missing path begins at the top.
    WalkAfterMustExist,
    /// A walk fails when a file ahead of it vanishes.
    WalkFailsOnVanished,
    /// Errors name no path.
    ErrorsLoseThePath,
    /// Errors name another driver.
    ErrorsBlameAnotherDriver,
    /// A missing file looks like a failure of the store.
    MissesAreFailures,
    /// Two open writers disturb each other.
    WritersShareABuffer,
    /// Two changes at once exceed the store's limit.
    CollidesUnderLoad,
    /// Operations block the thread that polls them.
    WaitsWherePolled,
    /// The store carries out an acknowledged change before the next operation, and so never, if the process ends before.
    ActsLate,
    /// A listing starts over at its end.
    ListsForEver,
    /// A thread that may block gets an empty directory.
    FoolsThePatient,
    /// The driver redirects though it does not declare the capability.
    RedirectsUnasked,
    /// The URL is the same for all files.
    RedirectsToOnePlace,
}

impl Lie {
    /// The clauses that must fail for a driver with this fault.
    pub fn bites(self) -> impl Iterator<Item = String> {
        let of = move |lies: Bitten, suite: &'static str| {
            let clauses = lies.iter().filter(move |(lie, _)| *lie == self).flat_map(|(_, clauses)| *clauses);
            clauses.map(move |clause| format!("{suite}::{clause}"))
        };
        of(DRIVER, "driver").chain(of(ENGINE, "engine")).chain(of(BACKUP, "engine")).chain(of(FILL, "engine"))
    }

    /// All lies.
    pub fn all() -> impl Iterator<Item = Self> {
        DRIVER.iter().map(|(lie, _)| *lie)
    }
}
