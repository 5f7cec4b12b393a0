//! The corpus of the fuzz targets, as ordinary tests: what was found once is looked for each time.
//!
//! `.ci/fuzz` looks for more; `tests/fuzz/README.md` says how.

#[expect(unreachable_pub, reason = "the fuzz crate is their other user")]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz").join(name)
}

fn entries_of(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs a target with each file of its corpus, and with its beginning up to every eighth byte.
#[track_caller]
fn replay(name: &str) {
    let corpus = folder("corpus").join(name);
    let files = entries_of(&corpus);
    assert!(!files.is_empty(), "{} is empty", corpus.display());
    for file in files {
        let data = fs::read(corpus.join(&file)).unwrap();
        for end in (0..data.len()).step_by(8).chain([data.len()]) {
            let outcome = catch_unwind(AssertUnwindSafe(|| targets::run(name, &data[..end])));
            assert!(outcome.is_ok(), "the first {end} bytes of corpus/{name}/{file} break a rule");
        }
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*
    };
}

targets! {
    access_rules bundle config content_range conversation foreign htpasswd image_list layout manifest names plan range route
    store_xml token token_request upload_note
}

#[test]
fn every_target_has_a_program_a_corpus_and_a_test() {
    let expected: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(NAMES.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), expected);
    assert_eq!(entries_of(&folder("corpus")), expected);
    let programs = entries_of(&folder("fuzz_targets"));
    assert_eq!(
        programs.iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect::<BTreeSet<_>>(),
        expected
    );
}
