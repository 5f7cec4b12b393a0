//! Verification: every damage is found and named, what is whole is left alone, and what is moved aside comes back by a push.

mod access;
mod caches;
mod cost;
mod find;
mod outage;
mod progress;
mod repair;
mod seed;

use access::a_repair_opens_no_blob_that_a_manifest_only_names;
use caches::what_a_cache_lacks_is_no_damage;
use cost::wrong_lengths_have_a_blob_hashed_once;
use find::{
    an_unreadable_file_is_reported_and_stays, each_damage_is_found_and_its_images_are_named,
    much_damage_moves_nothing, what_is_whole_is_counted_and_left_alone,
};
use outage::{
    a_file_that_the_store_never_gives_is_reported,
    a_repair_that_fails_keeps_its_lock_only_while_an_answer_is_due, an_outage_keeps_what_was_found_before_it,
};
use progress::{
    a_run_that_was_stopped_goes_on_where_it_was, damage_that_a_killed_run_found_is_reported_by_the_next,
    of_several_registries_one_verifies_a_part, what_is_found_is_reported_where_no_progress_can_be_written,
    what_the_structure_shows_is_read_again_until_it_is_reported,
};
use repair::{
    a_collection_keeps_what_a_moved_manifest_needs, a_crash_of_a_repair_loses_nothing,
    a_push_anywhere_heals_what_was_moved_aside, a_push_that_meets_a_short_blob_heals_it,
    content_of_another_place_is_compared_before_it_heals, links_are_written_and_memory_heals_manifests,
    what_a_push_brings_meanwhile_is_not_lost,
};

use crate::{Clause, clause::table};

pub(crate) const CLAUSES: &[Clause] = table! { "engine::verify":
    what_is_whole_is_counted_and_left_alone,
    each_damage_is_found_and_its_images_are_named,
    a_push_anywhere_heals_what_was_moved_aside,
    links_are_written_and_memory_heals_manifests,
    content_of_another_place_is_compared_before_it_heals,
    a_run_that_was_stopped_goes_on_where_it_was,
    damage_that_a_killed_run_found_is_reported_by_the_next,
    much_damage_moves_nothing,
    an_unreadable_file_is_reported_and_stays,
    what_a_push_brings_meanwhile_is_not_lost,
    a_collection_keeps_what_a_moved_manifest_needs,
    a_crash_of_a_repair_loses_nothing,
    a_push_that_meets_a_short_blob_heals_it,
    of_several_registries_one_verifies_a_part,
    what_is_found_is_reported_where_no_progress_can_be_written,
    what_a_cache_lacks_is_no_damage,
    a_repair_opens_no_blob_that_a_manifest_only_names,
    wrong_lengths_have_a_blob_hashed_once,
    a_file_that_the_store_never_gives_is_reported,
    an_outage_keeps_what_was_found_before_it,
    a_repair_that_fails_keeps_its_lock_only_while_an_answer_is_due,
    what_the_structure_shows_is_read_again_until_it_is_reported,
};
