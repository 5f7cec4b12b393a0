//! Commands that delete, over a store in which the link of a tag is damaged: its image stays.

use std::fs;
use std::path::Path;

use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};

use super::garbage_collect::{READ_ONLY, collect, store};

/// The states of a link after damage.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Empty,
    NoDigest,
    /// One digit is another one.
    OtherDigest,
    Directory,
}

const DAMAGES: [Damage; 4] = [Damage::Empty, Damage::NoDigest, Damage::OtherDigest, Damage::Directory];

impl Damage {
    fn of(self, link: &Path) {
        let content = fs::read_to_string(link).unwrap();
        let damaged = match self {
            Self::Empty => String::new(),
            Self::NoDigest => content.replace("sha256:", "sha256;"),
            Self::OtherDigest => {
                let digit = if content.ends_with('0') { '1' } else { '0' };
                format!("{}{digit}", &content[..content.len() - 1])
            }
            Self::Directory => {
                fs::remove_file(link).unwrap();
                return fs::create_dir(link).unwrap();
            }
        };
        fs::write(link, damaged).unwrap();
    }
}

fn current() -> Entry {
    Entry::TagCurrent("app".parse().unwrap(), "v1".parse().unwrap())
}

#[test]
fn a_collection_keeps_the_image_and_names_the_tag() {
    for damage in DAMAGES {
        let directory = tempfile::tempdir().unwrap();
        let (store, garbage) = store(directory.path(), READ_ONLY);
        let sha512 = Digest::of(Algorithm::Sha512, b"of another manifest");
        store.write(&Entry::TagDigest("app".parse().unwrap(), "v1".parse().unwrap()), sha512.to_string());
        Damage::of(damage, &store.path(&current()));
        let live: Vec<String> =
            store.files().into_iter().filter(|file| !file.contains(garbage.hex())).collect();
        let untagged = store.image("app", "untagged", &["of it alone".to_owned()]);
        for more in [&["--dry-run"][..], &[]] {
            let ended = collect(directory.path(), &[&["--delete-untagged"], more].concat());
            assert_eq!(ended.code, Some(3), "{damage:?} {more:?}: {ended:?}");
            let named = format!("kept with all it may refer to: {}", current().path());
            assert_eq!(ended.stdout.matches(&named).count(), 1, "{damage:?} {more:?}: {ended:?}");
            assert!(ended.stdout.contains(&format!("{untagged}")), "{damage:?} {more:?}: {ended:?}");
        }
        let left = store.files();
        let gone: Vec<_> = live.iter().filter(|file| !left.contains(file)).collect();
        assert!(gone.is_empty() && !store.has(&Entry::Blob(untagged)), "{damage:?}: {gone:?}");
    }
}
