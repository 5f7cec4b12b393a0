//! Blobs that come from an upstream, for many readers at once.

mod at_random;
mod clients;
mod collection;
mod failures;
mod plain;
mod readers;
mod setting;
mod store;

use crate::Clause;
use crate::clause::table;

use at_random::*;
use clients::*;
use failures::*;
use readers::*;
use store::*;

pub(crate) const CLAUSES: &[Clause] = table! { "engine::fill":
    the_first_bytes_come_before_the_last,
    a_small_blob_is_verified_before_its_first_byte,
    ranges_come_from_the_growing_file,
    an_open_reader_outlives_the_transfer,
    an_unknown_length_is_awaited,
    without_a_spool_readers_wait_for_the_store,
    another_algorithm_is_an_alias,
    one_transfer_serves_all,
    a_transfer_outlives_its_clients,
    few_transfers_go_on_without_a_client,
    every_repository_that_joined_gets_the_blob,
    groups_share_nothing,
    a_stop_leaves_nothing,
    wrong_content_is_never_whole,
    another_length_is_an_error,
    a_broken_upstream_breaks_its_readers,
    a_panic_leaves_an_error,
    a_store_that_fails_does_not_harm_readers,
    a_read_only_registry_passes_blobs_on,
    a_store_that_hangs_is_left_behind,
    a_client_may_join_at_any_moment,
    a_blob_that_is_being_collected_is_stored_again,
    readers_get_the_blob_or_an_error,
};
