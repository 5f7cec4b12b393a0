//! Tests of the number of syncs per request. A push waits for each sync in sequence, so an additional one
//! must be noticed; `docs/decisions/0013-directories-are-synced-where-needed.md` has the table.

use std::sync::Arc;

use sampan_conformance::first_push;

use crate::failing_disk::{Fixture, posix};
use crate::sync_rule::SyncRule;

/// The number of syncs of each request of a first push, and of later ones.
async fn counts(place: &Fixture) -> Vec<(&'static str, usize)> {
    let mut counts = Vec::new();
    place.watch.syncs();
    first_push(Arc::new(place.driver.clone()), |request| counts.push((request, place.watch.syncs())))
        .await
        .unwrap();
    counts
}

#[tokio::test]
async fn where_directories_are_durable_with_their_content_each_file_and_name_is_synced_once() {
    let counts = counts(&Fixture::new(SyncRule::WithItsContent)).await;
    let expected = [
        ("POST, first of the store", 0),
        ("PATCH", 0),
        ("PUT blob, first of the store", 6),
        ("POST and PUT blob, second of the repository", 5),
        ("PUT manifest, first of the repository", 8),
        ("PUT manifest, the same again", 6),
        ("PUT manifest, another tag", 6),
        ("mount, first of a repository", 2),
        // Two of them are for the record of the removed tag.
        ("DELETE tag", 4),
        ("DELETE manifest with one tag", 6),
        ("PUT manifest with three further tags", 18),
    ];
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn elsewhere_each_new_directory_is_synced_too() {
    let counts = counts(&Fixture::new(posix)).await;
    let expected = [
        ("POST, first of the store", 7),
        ("PATCH", 0),
        ("PUT blob, first of the store", 13),
        ("POST and PUT blob, second of the repository", 8),
        ("PUT manifest, first of the repository", 20),
        ("PUT manifest, the same again", 6),
        ("PUT manifest, another tag", 11),
        ("mount, first of a repository", 6),
        // Eight of them are for the first record of the store, three for the next one.
        ("DELETE tag", 13),
        ("DELETE manifest with one tag", 9),
        ("PUT manifest with three further tags", 39),
    ];
    assert_eq!(counts, expected);
}
