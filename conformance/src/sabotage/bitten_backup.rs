//! The clauses about backups that must catch each lie.

use super::bitten::Bitten;
use super::lie::Lie;

/// The clauses `engine::backup`.
pub(super) const BACKUP: Bitten = &[(
    Lie::MissingWalkIsNotFound,
    &[
        "backup::each_snapshot_comes_back_as_it_was",
        "backup::snapshots_that_are_taken_beside_pushes_come_back",
        "backup::an_unchanged_store_costs_a_snapshot_and_no_more",
        "backup::times_of_pushes_come_back",
        "backup::a_prune_keeps_what_the_snapshots_have",
        "backup::nothing_goes_while_a_snapshot_cannot_be_read",
        "backup::a_prune_beside_a_backup_harms_no_snapshot",
        "backup::a_backup_that_is_killed_anywhere_leaves_whole_snapshots",
        "backup::a_restore_that_is_killed_anywhere_goes_on",
        "backup::a_restore_mends_what_is_there_and_replaces_no_tag_unasked",
        "backup::one_repository_comes_back_alone",
        "backup::damage_is_named_and_not_restored",
        "backup::what_is_no_backup_is_left_alone",
        "backup::a_source_that_shows_nothing_makes_no_snapshot",
        "backup::access_tokens_come_back_as_they_were_last",
        "backup::a_push_beside_a_restore_is_not_lost",
        "backup::what_an_image_lacks_is_named_as_damage",
        "backup::what_no_store_need_have_is_no_damage",
        "backup::a_restore_writes_damaged_links_anew",
        "backup::a_snapshot_of_some_repositories_displaces_none_of_everything",
        "backup::a_snapshot_of_the_future_displaces_none",
        "backup::what_was_half_copied_does_not_stay",
        "backup::what_a_killed_copy_left_is_removed_when_it_is_old",
        "backup::what_no_manifest_needs_is_not_saved",
        "backup::two_backups_of_one_second_are_two_snapshots",
    ],
)];
