//! Commands that delete, over a store in which the link of a tag is damaged: its image stays.

use std::fs;
use std::path::Path;

use sampan_engine::layout::Entry;
use sampan_engine::oci::{Algorithm, Digest};

use super::garbage_collect::{READ_ONLY, collect, store};
use super::support::{Ended, binary, end};
use crate::support::StoreFiles;

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

#[test]
fn a_collection_keeps_an_image_with_a_directory_in_the_place_of_its_link() {
    for more in [&["--dry-run"][..], &[], &["--delete-untagged"]] {
        let directory = tempfile::tempdir().unwrap();
        let (store, garbage) = store(directory.path(), READ_ONLY);
        let untagged = store.image("app", "untagged", &["of it alone".to_owned()]);
        let revision = Entry::RevisionLink("app".parse().unwrap(), untagged);
        Damage::of(Damage::Directory, &store.path(&revision));
        let live: Vec<String> =
            store.files().into_iter().filter(|file| !file.contains(garbage.hex())).collect();
        let ended = collect(directory.path(), more);
        assert_eq!(ended.code, Some(3), "{more:?}: {ended:?}");
        let named = format!("kept with all it may refer to: {}", revision.path());
        assert_eq!(ended.stdout.matches(&named).count(), 1, "{more:?}: {ended:?}");
        let left = store.files();
        let gone: Vec<_> = live.iter().filter(|file| !left.contains(file)).collect();
        assert!(gone.is_empty(), "{more:?}: {gone:?}");
    }
}

/// A store, and a copy of it that a migration is filling.
fn migrated(site: &Path) -> (StoreFiles, StoreFiles) {
    let read_only = "maintenance: {readonly: {enabled: true}}";
    for (name, root, more) in [("a", "old", ""), ("read-only", "old", read_only), ("b", "new", "")] {
        let text = format!("version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {root}}}\n  {more}\n");
        fs::write(site.join(format!("{name}.yml")), text).unwrap();
    }
    let store = StoreFiles::new(&site.join("old"));
    for tag in ["v1", "v2"] {
        store.tag("app", tag, &store.image("app", tag, &[tag.to_owned()]));
    }
    let sha512 = Digest::of(Algorithm::Sha512, b"of another manifest");
    store.write(&Entry::TagDigest("app".parse().unwrap(), "v1".parse().unwrap()), sha512.to_string());
    (store, StoreFiles::new(&site.join("new")))
}

fn run(site: &Path, arguments: &str) -> Ended {
    end(binary(site).args(arguments.split_whitespace()), "")
}

#[test]
fn the_end_of_a_migration_keeps_the_tag_of_the_target_and_is_none() {
    let cases = DAMAGES.map(|damage| (damage, true));
    for (damage, has_history) in cases.into_iter().chain([(Damage::Directory, false)]) {
        let site = tempfile::tempdir().unwrap();
        let at = site.path();
        let (store, new) = migrated(at);
        assert_eq!(run(at, "migrate --from a.yml --to b.yml").code, Some(0));
        let tag = store.path(&current());
        Damage::of(damage, &tag);
        if !has_history {
            fs::remove_dir_all(tag.ancestors().nth(2).unwrap().join("index")).unwrap();
        }
        let there = new.files();
        let ended = run(at, "migrate --from read-only.yml --to b.yml --finish");
        assert_eq!(ended.code, Some(3), "{damage:?}: {ended:?}");
        let difference = format!("differs: {}", current().path());
        assert!(ended.stdout.contains(&difference), "{damage:?}: {ended:?}");
        let left = new.files();
        let gone: Vec<_> = there.iter().filter(|file| !left.contains(file)).collect();
        assert!(gone.is_empty() && !store.has(&Entry::Moved), "{damage:?}: {gone:?}");
        // A second pass to an empty store names it, too.
        fs::remove_dir_all(at.join("new")).unwrap();
        let ended = run(at, "migrate --from a.yml --to b.yml");
        assert!(ended.stdout.contains(current().path().as_str()) || !has_history, "{damage:?}: {ended:?}");
    }
}

#[test]
fn the_end_of_a_migration_keeps_links_in_whose_places_the_source_has_directories() {
    let site = tempfile::tempdir().unwrap();
    let at = site.path();
    let (store, new) = migrated(at);
    let (name, layer) = ("app".parse().unwrap(), Digest::sha256_of(b"v1"));
    let untagged = store.image("app", "untagged", &["v1".to_owned()]);
    let links = [Entry::RevisionLink(name, untagged), Entry::LayerLink("app".parse().unwrap(), layer)];
    assert_eq!(run(at, "migrate --from a.yml --to b.yml").code, Some(0));
    links.iter().for_each(|link| Damage::of(Damage::Directory, &store.path(link)));
    // Their paths say what they name, so the target is whole.
    let ended = run(at, "migrate --from read-only.yml --to b.yml --finish");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for link in links {
        assert!(new.has(&link), "{}: {ended:?}", link.path());
    }
}

#[test]
fn a_backup_keeps_the_tag_that_it_has_and_names_it() {
    for damage in DAMAGES {
        let site = tempfile::tempdir().unwrap();
        let at = site.path();
        let (store, backup) = migrated(at);
        let command = "backup run --to b.yml a.yml";
        assert_eq!(run(at, command).code, Some(0));
        Damage::of(damage, &store.path(&current()));
        let ended = run(at, command);
        assert_eq!(ended.code, Some(3), "{damage:?}: {ended:?}");
        assert!(ended.stdout.contains(current().path().as_str()), "{damage:?}: {ended:?}");
        let pushed_as = Entry::TagDigest("app".parse().unwrap(), "v1".parse().unwrap());
        assert!(backup.has(&current()) && backup.has(&pushed_as), "{damage:?}");
    }
}

/// The path of a link says what it names, so its manifest is not lost.
#[test]
fn a_manifest_with_a_directory_in_the_place_of_its_link_is_copied() {
    for command in ["migrate --from a.yml --to b.yml", "backup run --to b.yml a.yml"] {
        let site = tempfile::tempdir().unwrap();
        let at = site.path();
        let (store, new) = migrated(at);
        let untagged = store.image("app", "untagged", &["of it alone".to_owned()]);
        let link = Entry::RevisionLink("app".parse().unwrap(), untagged.clone());
        Damage::of(Damage::Directory, &store.path(&link));
        for _ in 0..2 {
            let ended = run(at, command);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert!(new.has(&link) && new.has(&Entry::Blob(untagged.clone())), "{command}: {ended:?}");
        }
        if command.starts_with("migrate") {
            let ended = run(at, "migrate --from read-only.yml --to b.yml --finish");
            assert_eq!(ended.code, Some(0), "{ended:?}");
            continue;
        }
        // Each snapshot has it.
        fs::write(at.join("c.yml"), "version: 0.1\nstorage:\n  filesystem: {rootdirectory: third}\n")
            .unwrap();
        let ended = run(at, "backup restore --at latest --from b.yml --to c.yml");
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(StoreFiles::new(&at.join("third")).has(&link), "{ended:?}");
    }
}

/// A place that cannot be seen after the last file of a walk.
#[test]
fn removed_tags_that_cannot_be_seen_are_named() {
    let site = tempfile::tempdir().unwrap();
    let at = site.path();
    let (_store, _new) = migrated(at);
    let removed = at.join("old/docker/registry/sampan/removed");
    fs::create_dir_all(removed.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("not-mounted", removed).unwrap();
    let ended = run(at, "migrate --from a.yml --to b.yml");
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("/docker/registry/sampan/removed"), "{ended:?}");
}
