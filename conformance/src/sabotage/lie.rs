//! `Lie`: the promises that can be broken, one at a time.

use super::bitten::{Bitten, DRIVER, ENGINE};

/// A broken promise.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Lie {
    /// None is broken: shows that the wrapper itself does no harm.
    None,
    /// Files whose names begin with a dot are not kept.
    HidesDotNames,
    /// Upper and lower case are the same.
    FoldsCase,
    /// `-`, `.` and `_` are the same.
    FoldsPunctuation,
    /// Names are cut after 100 characters.
    TruncatesNames,
    /// `/` can be written to.
    RootIsAFile,
    /// A file above the path that is written to is removed.
    WritesReplaceParents,
    /// `put_content` keeps one mebibyte at most.
    CutsLargeContent,
    /// Bytes that are no UTF-8 are replaced.
    TextOnly,
    /// `put_content` of nothing does nothing.
    IgnoresEmptyContent,
    /// A file that is not there reads as an empty one.
    MissingIsEmpty,
    /// Overwriting with less leaves the end of the old.
    OverwriteKeepsTail,
    /// Overwriting shows half of the new for a while.
    TearsOverwrites,
    /// `PutMode::Transient` keeps what is there.
    TransientKeepsTheOld,
    /// `PutMode::Create` makes no file.
    CreateDoesNothing,
    /// `PutMode::Create` replaces what is there.
    CreateOverwrites,
    /// `PutMode::Create` refuses where there ever was a file.
    CreateRemembersTheDead,
    /// `PutMode::Create` looks first and writes later.
    CreateChecksThenWrites,
    /// The store says that it is durable, and is empty when opened again.
    ForgetsOnReopen,
    /// A reader tells a size that is one too large.
    ReaderMisstatesSize,
    /// Reading from beyond the end gives nothing instead of an error.
    BeyondTheEndIsEmpty,
    /// Reading from an offset begins one byte before it.
    OffsetIsOneTooSmall,
    /// A reader goes on to the end of the file.
    ReaderIgnoresLength,
    /// A reader looks for its file when it is first read.
    ReadsLate,
    /// The open file behind a reader is another one.
    OffersAnotherFile,
    /// Two readers disturb each other, also when one was dropped.
    ReadersShareAPosition,
    /// A commit publishes all but the last write.
    LosesLastWrite,
    /// What was written shows at the hinted target at once.
    PublishesBeforeCommit,
    /// The staged file stays beside the published one.
    CommitLeavesTheStagedFile,
    /// A commit to a file that exists does nothing.
    CommitKeepsTheExisting,
    /// A commit removes the path of the staged file, even if it is the target.
    CommitRemovesItsPath,
    /// A commit of nothing makes no file.
    CommitSkipsEmpty,
    /// A staged file without bytes is not kept.
    CloseSkipsEmpty,
    /// Every thousandth write is lost.
    LosesAWrite,
    /// Small writes come after the large ones.
    WritesOutOfOrder,
    /// `close` counts the last write and loses it.
    ForgetsTailOnClose,
    /// An append counts what was there and loses it.
    AppendStartsOver,
    /// `WriteMode::Create` goes on with what was staged.
    CreateAppends,
    /// Nothing is written beyond the hinted length.
    TrustsHintedLength,
    /// A commit goes to the hinted target.
    TrustsHintedTarget,
    /// An append to nothing begins a file.
    AppendCreates,
    /// The size of an append includes bytes that went with a dropped writer.
    AppendCountsWhatWasLost,
    /// A path whose writer was dropped cannot be written to again.
    DroppingLocksForEver,
    /// No note comes back.
    ForgetsNotes,
    /// The last note of a path comes back, whatever is staged there.
    NotesOutliveTheirBytes,
    /// `revert` is `close`.
    RevertKeeps,
    /// `cancel` is `close`.
    CancelKeeps,
    /// `cancel` removes the file that was to be replaced.
    CancelRemovesTheTarget,
    /// Listing nothing is an error.
    MissingListIsNotFound,
    /// Listing a file yields the file.
    ListOfAFileIsTheFile,
    /// A listing calls everything a file.
    ListsDirectoriesAsFiles,
    /// Listing what holds a file leaves out the first of it.
    HoldingLosesTheFirst,
    /// Listing what holds a file shows one directory more.
    HoldingListsMore,
    /// Listing `/a` also shows what is in `/ab`.
    ListsByStringPrefix,
    /// A listing sorts directories with a slash behind.
    ListsInOrderOfPaths,
    /// A listing begins with the name after which it should.
    ListAfterIsInclusive,
    /// A listing after a name that is not there begins at the top.
    ListAfterMustExist,
    /// A listing ends after a thousand names.
    ListsAThousand,
    /// `rename` is a copy.
    RenameLeavesTheSource,
    /// `rename` onto a file removes the source only.
    RenameKeepsTheTarget,
    /// `rename` removes the target, and then looks for the source.
    RenameRemovesTheTargetFirst,
    /// `rename` onto itself deletes the file.
    RenameCopiesThenDeletes,
    /// Renaming `/a` takes `/ab` along.
    RenamesByStringPrefix,
    /// `delete` does nothing.
    DeleteDoesNothing,
    /// Deleting what is not there is an error.
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
    /// A directory whose files were deleted is still listed.
    DirectoriesStay,
    /// `delete_tree` leaves a file at the path itself.
    DeleteTreeKeepsItsTop,
    /// `delete_all` gives a thousand answers at most.
    DeleteAllForgetsAnswers,
    /// `delete_all` answers once too often.
    DeleteAllInventsAnswers,
    /// `sync_deletions` deletes what it is told of.
    SyncOfDeletionsDeletes,
    /// A store that takes writes says that it takes none.
    AlwaysReadOnly,
    /// `delete_all` goes on after its deadline.
    DeleteAllIgnoresTheDeadline,
    /// `delete_all` asks for its deadline at the beginning only.
    DeleteAllAsksOnce,
    /// Content that was read once is never asked for again.
    CachesForEver,
    /// `stat` tells a size that is one too large.
    StatMisstatesSize,
    /// `stat` of nothing is an empty file.
    StatInventsFiles,
    /// `stat` of a directory is a file.
    StatsPrefixes,
    /// A renamed file keeps its time.
    RenameKeepsTheTime,
    /// A committed file bears the time of its first byte.
    CommitKeepsTheTime,
    /// Times are an hour off.
    LivesInAnotherTimeZone,
    /// A walk finishes `a/` before it comes to `a-b`.
    WalksDirectoryByDirectory,
    /// Walking nothing is an error.
    MissingWalkIsNotFound,
    /// Walking a file yields the file.
    WalkIncludesItsTop,
    /// Walking `/a` also yields `/ab/x`.
    WalksByStringPrefix,
    /// A walk misses the newest file.
    WalkIsStale,
    /// A walk tells no sizes.
    WalkMisstatesSize,
    /// A walk begins with the path after which it should.
    WalkAfterIsInclusive,
    /// A walk after a path that is not there begins at the top.
    WalkAfterMustExist,
    /// A walk fails when a file vanishes ahead of it.
    WalkFailsOnVanished,
    /// Errors do not tell where.
    ErrorsLoseThePath,
    /// Errors bear the name of another driver.
    ErrorsBlameAnotherDriver,
    /// What is not there makes the store look broken.
    MissesAreFailures,
    /// Two open writers disturb each other.
    WritersShareABuffer,
    /// Two changes at a time are one too many.
    CollidesUnderLoad,
    /// Operations wait on the thread that polls them.
    WaitsWherePolled,
    /// What is acknowledged is done before the next operation, and so not at all when the process ends before.
    ActsLate,
    /// A listing begins again at its end.
    ListsForEver,
    /// A thread that may wait is shown an empty directory.
    FoolsThePatient,
    /// There are URLs though the capability is not declared.
    RedirectsUnasked,
    /// The URL is the same for all files.
    RedirectsToOnePlace,
}

impl Lie {
    /// The clauses that must fail for a driver that lies so.
    pub fn bites(self) -> impl Iterator<Item = String> {
        let of = move |lies: Bitten, suite: &'static str| {
            let clauses = lies.iter().filter(move |(lie, _)| *lie == self).flat_map(|(_, clauses)| *clauses);
            clauses.map(move |clause| format!("{suite}::{clause}"))
        };
        of(DRIVER, "driver").chain(of(ENGINE, "engine"))
    }

    /// All lies.
    pub fn all() -> impl Iterator<Item = Self> {
        DRIVER.iter().map(|(lie, _)| *lie)
    }
}
