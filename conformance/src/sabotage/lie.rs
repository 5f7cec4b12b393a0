//! `Lie`: the promises that can be broken, one at a time, and who must notice.

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

/// Lies and the names of the clauses that must find them out.
type Bitten = &'static [(Lie, &'static [&'static str])];

/// Who must find out in the suite of the contract.
const DRIVER: Bitten = &[
    (Lie::HidesDotNames, &["paths::valid_paths_are_kept"]),
    (Lie::FoldsCase, &["paths::case_matters"]),
    (Lie::FoldsPunctuation, &["paths::neighbours_do_not_mix"]),
    (Lie::TruncatesNames, &["paths::long_names_are_kept_apart"]),
    (Lie::RootIsAFile, &["paths::root_is_no_file"]),
    (
        Lie::WritesReplaceParents,
        &["paths::a_file_among_the_parents_is_not_harmed", "rename::below_a_file_loses_nothing"],
    ),
    (Lie::CutsLargeContent, &["content::every_size_comes_back"]),
    (Lie::TextOnly, &["content::bytes_need_not_be_text", "writer::committed_content_comes_back"]),
    (Lie::IgnoresEmptyContent, &["content::empty_content_is_a_file"]),
    (Lie::MissingIsEmpty, &["content::missing_is_not_found", "reader::missing_is_not_found"]),
    (Lie::OverwriteKeepsTail, &["content::overwrite_leaves_nothing_of_the_old"]),
    (Lie::TearsOverwrites, &["content::overwrite_is_never_torn"]),
    (Lie::TransientKeepsTheOld, &["content::transient_content_is_content"]),
    (Lie::CreateDoesNothing, &["content::create_makes_a_new_file"]),
    (Lie::CreateOverwrites, &["content::create_leaves_the_existing_alone", "errors::carry_context"]),
    (Lie::CreateRemembersTheDead, &["content::create_is_possible_again_after_delete"]),
    (Lie::CreateChecksThenWrites, &["content::create_has_one_winner"]),
    (Lie::ForgetsOnReopen, &["content::content_survives_reopen"]),
    (Lie::ReaderMisstatesSize, &["reader::streams_the_whole_file"]),
    (Lie::BeyondTheEndIsEmpty, &["reader::offset_edges"]),
    (Lie::OffsetIsOneTooSmall, &["reader::offsets_are_exact"]),
    (Lie::ReaderIgnoresLength, &["reader::length_is_kept"]),
    (Lie::ReadsLate, &["reader::survives_deletion", "reader::survives_replacement"]),
    (Lie::OffersAnotherFile, &["reader::file_behind_is_the_same"]),
    (Lie::ReadersShareAPosition, &["reader::many_read_at_once", "reader::a_dropped_reader_disturbs_nobody"]),
    (Lie::LosesLastWrite, &["writer::committed_content_comes_back", "writer::large_content_streams_through"]),
    (
        Lie::PublishesBeforeCommit,
        &["writer::nothing_appears_before_commit", "writer::dropping_publishes_nothing"],
    ),
    (Lie::CommitLeavesTheStagedFile, &["writer::commit_leaves_nothing_staged"]),
    (Lie::CommitKeepsTheExisting, &["writer::commit_replaces_its_target"]),
    (Lie::CommitRemovesItsPath, &["writer::commit_to_its_own_path_publishes_there"]),
    (Lie::CommitSkipsEmpty, &["writer::zero_bytes_are_a_file"]),
    (Lie::CloseSkipsEmpty, &["writer::zero_bytes_can_be_appended_to"]),
    (Lie::LosesAWrite, &["writer::many_small_writes_add_up"]),
    (Lie::WritesOutOfOrder, &["writer::writes_of_mixed_sizes_keep_their_order"]),
    (Lie::ForgetsTailOnClose, &["writer::append_survives_reopen"]),
    (
        Lie::AppendStartsOver,
        &["writer::commit_after_append_publishes_all", "writer::dropping_keeps_what_was_closed"],
    ),
    (Lie::CreateAppends, &["writer::create_drops_what_was_staged"]),
    (Lie::TrustsHintedLength, &["writer::a_wrong_hint_does_no_harm"]),
    (Lie::TrustsHintedTarget, &["writer::a_wrong_hint_does_no_harm"]),
    (Lie::AppendCreates, &["writer::append_to_nothing_is_not_found", "errors::carry_context"]),
    (Lie::AppendCountsWhatWasLost, &["writer::append_reports_true_size"]),
    (Lie::DroppingLocksForEver, &["writer::dropping_does_not_block_the_next"]),
    (Lie::ForgetsNotes, &["writer::a_note_comes_back_with_its_bytes"]),
    (Lie::NotesOutliveTheirBytes, &["writer::other_bytes_have_no_note"]),
    (Lie::RevertKeeps, &["writer::revert_leaves_what_was_closed"]),
    (Lie::CancelKeeps, &["writer::cancel_leaves_nothing"]),
    (Lie::CancelRemovesTheTarget, &["writer::cancel_spares_what_is_published"]),
    (Lie::MissingListIsNotFound, &["list::missing_is_empty"]),
    (Lie::ListOfAFileIsTheFile, &["list::of_a_file_is_empty"]),
    (Lie::ListsDirectoriesAsFiles, &["list::shows_one_level"]),
    (Lie::HoldingLosesTheFirst, &["list::holding_lists_those_with_the_file"]),
    (Lie::HoldingListsMore, &["list::holding_leaves_out_empty_directories"]),
    (Lie::ListsByStringPrefix, &["list::stops_at_component"]),
    (Lie::ListsInOrderOfPaths, &["list::names_are_in_byte_order"]),
    (Lie::ListAfterIsInclusive, &["list::after_is_exclusive", "list::pages_join"]),
    (Lie::ListAfterMustExist, &["list::after_need_not_exist"]),
    (Lie::ListsAThousand, &["list::a_long_listing_is_whole"]),
    (Lie::RenameLeavesTheSource, &["rename::moves_the_file", "rename::replaces_target"]),
    (Lie::RenameKeepsTheTarget, &["rename::replaces_target"]),
    (
        Lie::RenameRemovesTheTargetFirst,
        &["rename::a_missing_source_leaves_the_target_alone", "rename::is_one_step"],
    ),
    (Lie::RenameCopiesThenDeletes, &["rename::onto_itself_loses_nothing"]),
    (Lie::RenamesByStringPrefix, &["rename::neighbours_stay"]),
    (Lie::DeleteDoesNothing, &["delete::removes_the_file"]),
    (Lie::DeletingNothingIsNotFound, &["delete::is_idempotent"]),
    (Lie::DeletesByStringPrefix, &["delete::keeps_neighbours"]),
    (Lie::DeleteIsRecursive, &["delete::of_a_prefix_keeps_what_is_below"]),
    (Lie::DeletesTreeByStringPrefix, &["delete::tree_stops_at_component"]),
    (
        Lie::DeleteTreeDoesNothing,
        &["delete::tree_of_the_root_is_everything", "delete::tree_takes_a_file_at_its_top"],
    ),
    (
        Lie::DeleteTreeMissesStaged,
        &[
            "delete::tree_removes_staged_files",
            "delete::tree_of_the_root_is_everything",
            "delete::tree_stops_at_component",
        ],
    ),
    (Lie::DirectoriesStay, &["delete::nothing_stays_of_a_directory"]),
    (Lie::DeleteTreeKeepsItsTop, &["delete::tree_takes_a_file_at_its_top"]),
    (Lie::DeleteAllForgetsAnswers, &["delete::all_answers_for_each"]),
    (Lie::DeleteAllInventsAnswers, &["delete::all_of_nothing_is_nothing"]),
    (Lie::SyncOfDeletionsDeletes, &["delete::syncing_deletions_deletes_nothing"]),
    (Lie::AlwaysReadOnly, &["stat::a_store_that_takes_writes_says_so"]),
    (
        Lie::DeleteAllIgnoresTheDeadline,
        &["delete::all_begins_nothing_too_late", "delete::all_asks_for_the_deadline_again"],
    ),
    (Lie::DeleteAllAsksOnce, &["delete::all_asks_for_the_deadline_again"]),
    (Lie::CachesForEver, &["delete::is_seen_at_once"]),
    (Lie::StatMisstatesSize, &["stat::tells_path_and_size"]),
    (Lie::StatInventsFiles, &["stat::missing_is_not_found"]),
    (Lie::StatsPrefixes, &["stat::prefix_is_not_found"]),
    (Lie::RenameKeepsTheTime, &["stat::publishing_is_a_birth"]),
    (Lie::CommitKeepsTheTime, &["stat::publishing_is_a_birth"]),
    (Lie::LivesInAnotherTimeZone, &["stat::modified_is_about_now"]),
    (Lie::WalksDirectoryByDirectory, &["walk::order_is_that_of_whole_paths"]),
    (Lie::MissingWalkIsNotFound, &["walk::missing_is_empty"]),
    (Lie::WalkIncludesItsTop, &["walk::of_a_file_is_empty"]),
    (Lie::WalksByStringPrefix, &["walk::stops_at_component"]),
    (Lie::WalkIsStale, &["walk::sees_own_writes"]),
    (Lie::WalkMisstatesSize, &["walk::tells_what_stat_tells"]),
    (Lie::WalkAfterIsInclusive, &["walk::after_is_exclusive", "walk::pages_join"]),
    (Lie::WalkAfterMustExist, &["walk::after_need_not_exist"]),
    (Lie::WalkFailsOnVanished, &["walk::goes_on_while_files_vanish"]),
    (Lie::ErrorsLoseThePath, &["errors::carry_context"]),
    (Lie::ErrorsBlameAnotherDriver, &["errors::carry_context"]),
    (Lie::MissesAreFailures, &["errors::a_miss_is_no_failure_of_the_store"]),
    (Lie::WritersShareABuffer, &["concurrency::streams_do_not_mix"]),
    (
        Lie::CollidesUnderLoad,
        &[
            "concurrency::overwriting_one_file_leaves_one_whole",
            "concurrency::commits_to_one_target_all_succeed",
            "concurrency::new_directories_are_shared",
            "concurrency::deleting_never_breaks_a_neighbours_write",
            "concurrency::deletions_race_peacefully",
        ],
    ),
    (Lie::WaitsWherePolled, &["executor::no_operation_waits_where_it_is_polled"]),
    (
        Lie::ActsLate,
        &[
            "durability::what_is_put_outlives_the_process",
            "durability::what_is_committed_outlives_the_process",
            "durability::what_is_closed_outlives_the_process",
            "durability::a_renamed_file_outlives_the_process",
            "durability::what_is_deleted_stays_so_after_the_process",
        ],
    ),
    (Lie::ListsForEver, &["list::names_are_in_byte_order", "list::shows_one_level"]),
    (Lie::FoolsThePatient, &["concurrency::a_patient_thread_is_told_the_same"]),
    (Lie::RedirectsUnasked, &["redirect::is_none_without_the_capability"]),
    (Lie::RedirectsToOnePlace, &["redirect::leads_to_the_file"]),
];

/// Who must find out in the suite of the registry.
const ENGINE: Bitten = &[
    (Lie::ReaderIgnoresLength, &["push_pull::a_blob_comes_back_as_it_was_pushed"]),
    (Lie::CommitSkipsEmpty, &["push_pull::a_blob_may_come_in_one_request"]),
    (Lie::IgnoresEmptyContent, &["damaged::an_empty_file_is_no_content"]),
    (
        Lie::PublishesBeforeCommit,
        &["push_pull::a_wrong_digest_publishes_nothing", "push_pull::a_broken_body_publishes_nothing"],
    ),
    (
        Lie::WalkIsStale,
        &["push_pull::what_is_pushed_twice_is_stored_once", "push_pull::the_layout_is_that_of_distribution"],
    ),
    (
        Lie::MissingIsEmpty,
        &[
            "push_pull::a_blob_is_seen_in_its_repository_alone",
            "push_pull::everything_missing_is_listed",
            "push_pull::keys_in_other_letters_are_refused",
            "push_pull::an_index_needs_its_children",
            "push_pull::nothing_is_known_of_what_was_never_pushed",
            "mount::what_is_not_there_is_not_mounted",
            "resume::a_wrong_digest_is_found_out_without_the_hash_state",
            "tags::belong_to_their_repository",
        ],
    ),
    (
        Lie::ForgetsOnReopen,
        &[
            "push_pull::an_image_comes_back_verbatim",
            "mount::a_blob_is_mounted_from_the_repository_named",
            "referrers::an_attached_artifact_is_listed",
            "referrers::the_subject_may_come_later_or_never",
            "referrers::come_in_pages_of_bytes",
            "referrers::one_that_lists_cannot_carry_is_refused",
            "referrers_index::what_is_damaged_is_left_out",
            "referrers::a_subject_is_found_under_each_of_its_digests",
            "crash::pushing_a_blob",
            "crash::pushing_a_blob_by_an_alias",
            "crash::mounting_a_blob",
            "crash::pushing_an_image",
            "crash::moving_a_tag",
            "crash::pushing_an_index",
            "crash::pushing_an_artifact",
            "crash::deleting_a_tag",
        ],
    ),
    (Lie::TruncatesNames, &["push_pull::another_algorithm_is_an_alias"]),
    (
        Lie::TextOnly,
        &["push_pull::a_manifest_must_be_what_its_digest_says", "mount::an_alias_is_mounted_too"],
    ),
    (
        Lie::LosesLastWrite,
        &[
            "mount::a_blob_is_mounted_from_anywhere",
            "resume::of_concurrent_chunks_one_is_taken",
            "two_registries::of_two_ends_each_publishes_what_it_hashed",
            "crash::resuming_an_upload",
            "crash::ending_an_upload_twice",
            "mount::an_image_of_mounted_blobs_can_be_pulled",
            "tags::one_push_may_set_many",
            "delete::nothing_is_written_in_read_only_mode",
        ],
    ),
    (
        Lie::ForgetsTailOnClose,
        &[
            "resume::an_upload_goes_on_in_a_new_process",
            "resume::a_broken_body_keeps_what_came",
            "two_registries::a_hash_does_not_outlive_its_bytes",
            "delete::deletion_must_be_allowed",
        ],
    ),
    (Lie::RenameLeavesTheSource, &["resume::an_upload_goes_on_without_its_hash_state"]),
    (Lie::AppendStartsOver, &["resume::a_chunk_out_of_order_changes_nothing", "crash::sending_chunks"]),
    (
        Lie::AppendCreates,
        &[
            "resume::cancel_leaves_nothing",
            "resume::an_upload_is_over_when_it_is_finished",
            "crash::cancelling_an_upload",
        ],
    ),
    (Lie::ListsInOrderOfPaths, &["tags::are_listed_in_order_and_in_pages"]),
    (
        Lie::CachesForEver,
        &[
            "damaged::links_can_be_deleted_and_replaced",
            "tags::a_tag_moves",
            "delete::a_deleted_tag_is_gone",
            "delete::what_was_deleted_can_be_pushed_again",
            "delete::an_index_outlives_its_children",
            "damaged::a_tag_without_its_manifest_is_unknown",
            "referrers_index::what_distribution_adds_comes_by_its_tag",
            "referrers_races::two_registries_list_the_same",
            "linearizable::with_delays_by_lot",
            "linearizable::at_full_speed",
        ],
    ),
    (
        Lie::ListAfterIsInclusive,
        &[
            "tags::repositories_are_listed_in_pages",
            "referrers::come_in_order_and_in_pages",
            "referrers::a_type_is_chosen_before_a_page_is_cut",
        ],
    ),
    (
        Lie::MissingListIsNotFound,
        &[
            "referrers::a_deleted_artifact_is_not_listed",
            "referrers::belong_to_their_repository",
            "referrers_index::a_fallback_tag_is_cut_and_may_be_damaged",
            "referrers_index::of_a_question_nothing_is_left",
            "referrers_index::nothing_is_written_in_read_only_mode",
            "referrers_races::a_build_that_is_dropped_is_carried_on",
            "crash::deleting_an_artifact",
            "crash::listing_for_the_first_time",
        ],
    ),
    (Lie::MissesAreFailures, &["referrers_races::a_push_beside_a_deletion_is_listed"]),
    (
        Lie::MissingWalkIsNotFound,
        &[
            "referrers_cost::a_manifest_without_a_subject_costs_nothing",
            "referrers_cost::a_listing_costs_what_it_answers",
        ],
    ),
    (
        Lie::DeleteDoesNothing,
        &["referrers_index::an_entry_is_a_hint", "referrers_cost::a_long_list_is_not_asked_for_link_by_link"],
    ),
    (
        Lie::ListsDirectoriesAsFiles,
        &[
            "referrers_index::is_built_where_there_is_none",
            "delete::a_deleted_manifest_is_gone_with_its_tags",
        ],
    ),
    (
        Lie::DeleteTreeDoesNothing,
        &[
            "delete::a_deleted_blob_is_gone_from_its_repository",
            "referrers_index::is_not_built_of_half_a_store",
            "delete::an_alias_goes_with_what_it_stands_for",
            "crash::deleting_a_blob",
            "crash::deleting_a_manifest",
            "crash::deleting_a_manifest_by_an_alias",
            "resume::uploads_that_were_given_up_are_purged",
            "resume::a_lost_upload_stays_lost",
            "resume::a_hash_state_that_lies_beside_an_upload_is_not_believed",
        ],
    ),
];
