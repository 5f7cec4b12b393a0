//! `registry garbage-collect --delete-untagged` of a store that has mostly what a tag has left.

use sampan_engine::gc::UNASKED_BYTES;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;

use super::garbage_collect::{READ_ONLY, collect, store};

/// The guide for `registry:3`: a tag that was pushed again and again, read-only mode, `--delete-untagged`.
#[test]
fn what_a_tag_has_left_goes_without_a_question_in_read_only_mode() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = store(directory.path(), READ_ONLY);
    let large = |letter: &str| letter.repeat(usize::try_from(UNASKED_BYTES).unwrap());
    let versions = ["1", "2", "3", "4"].map(|letter| store.image("app", "latest", &[large(letter)]));
    let [old @ .., latest] = &versions;
    store.tag("app", "latest", latest);
    let has = |image: &Digest| store.has(&Entry::Blob(image.clone()));

    let dry = collect(directory.path(), &["--dry-run", "--delete-untagged"]);
    assert!(dry.code == Some(0) && !dry.stderr.contains("nothing is deleted"), "{dry:?}");
    let ended = collect(directory.path(), &["--delete-untagged=true"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(has(latest) && !old.iter().any(has));

    // Nothing refers to this, so nothing says that it is meant.
    let garbage = store.blob(large("x").repeat(2));
    assert_eq!(collect(directory.path(), &["--delete-untagged"]).code, Some(1));
    assert!(has(&garbage));
}

/// As a schedule does, without a person who sees it.
#[test]
fn what_a_tag_has_left_asks_where_clients_may_push() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = store(directory.path(), "");
    let large = |letter: &str| letter.repeat(usize::try_from(UNASKED_BYTES).unwrap());
    let old = store.image("app", "latest", &[large("1"), large("2")]);
    let latest = store.image("app", "latest", &[large("3")]);
    store.tag("app", "latest", &latest);
    let ended = collect(directory.path(), &["--delete-untagged", "--grace", "0"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(store.has(&Entry::Blob(old)));
}
