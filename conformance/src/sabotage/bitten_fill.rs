//! The clauses about fills that must catch each lie.

use super::bitten::Bitten;
use super::lie::Lie;

/// The clauses `engine::fill`.
pub(super) const FILL: Bitten = &[
    (
        Lie::ViewShowsOtherBytes,
        &[
            "fill::the_first_bytes_come_before_the_last",
            "fill::a_small_blob_is_verified_before_its_first_byte",
            "fill::ranges_come_from_the_growing_file",
            "fill::an_open_reader_outlives_the_transfer",
            "fill::an_unknown_length_is_awaited",
            "fill::one_transfer_serves_all",
            "fill::a_transfer_outlives_its_clients",
            "fill::a_broken_upstream_breaks_its_readers",
            "fill::a_store_that_fails_does_not_harm_readers",
            "fill::a_store_that_hangs_is_left_behind",
            "fill::a_client_may_join_at_any_moment",
            "fill::readers_get_the_blob_or_an_error",
        ],
    ),
    (Lie::ViewPromisesMore, &["fill::the_first_bytes_come_before_the_last"]),
    (Lie::ViewEndsWithItsWriter, &["fill::an_open_reader_outlives_the_transfer"]),
    (
        Lie::TextOnly,
        &[
            "fill::without_a_spool_readers_wait_for_the_store",
            "fill::another_algorithm_is_an_alias",
            "fill::few_transfers_go_on_without_a_client",
            "fill::every_repository_that_joined_gets_the_blob",
            "fill::groups_share_nothing",
            "fill::a_blob_that_is_being_collected_is_stored_again",
        ],
    ),
    (
        Lie::MissingWalkIsNotFound,
        &[
            "fill::a_stop_leaves_nothing",
            "fill::wrong_content_is_never_whole",
            "fill::another_length_is_an_error",
            "fill::a_panic_leaves_an_error",
            "fill::a_read_only_registry_passes_blobs_on",
        ],
    ),
];
