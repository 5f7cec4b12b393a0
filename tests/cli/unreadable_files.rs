//! Files of a store that cannot be read: the images that need them are named, and the others continue.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;

use super::bundles::Gap;

/// What became of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Damage {
    Directory,
    /// A link to itself, which no read follows to its end.
    Circle,
    Rubbish,
}

impl Damage {
    fn of(self, path: &Path) {
        fs::remove_file(path).unwrap();
        match self {
            Self::Directory => fs::create_dir(path).unwrap(),
            Self::Circle => symlink(path.file_name().unwrap(), path).unwrap(),
            Self::Rubbish => fs::write(path, "rubbish").unwrap(),
        }
    }
}

fn tag_link() -> Entry {
    Entry::TagCurrent("other".parse().unwrap(), "v2".parse().unwrap())
}

/// The files of the image `other:v2` that are its alone.
fn files(gap: &Gap) -> [Entry; 4] {
    let name = || "other".parse().unwrap();
    let link = fs::read_to_string(gap.near.path(&tag_link())).unwrap();
    let config = Digest::sha256_of(br#"{"architecture":"amd64","os":"linux","author":"two"}"#);
    let manifest: Digest = link.parse().unwrap();
    [
        tag_link(),
        Entry::RevisionLink(name(), manifest),
        Entry::LayerLink(name(), config.clone()),
        Entry::Blob(config),
    ]
}

#[test]
fn an_export_and_a_copy_name_the_image_and_go_on() {
    for index in 0..4 {
        for damage in [Damage::Directory, Damage::Circle, Damage::Rubbish] {
            let gap = Gap::new();
            let entry = &files(&gap)[index];
            damage.of(&gap.near.path(entry));
            let shown = format!("{damage:?} in place of {}", entry.path());
            let refused = gap.expect(1, &["export", "**", "-c", "near.yml", "-o", "b.tar"]).stderr;
            assert!(refused.contains("other:v2 cannot be transferred"), "{shown}: {refused}");
            let copy = ["copy", "**", "--from", "near.yml", "--to", "far.yml", "--keep-going"];
            for command in [&["export", "**", "-c", "near.yml", "-o", "b.tar", "--keep-going"][..], &copy] {
                let ended = gap.expect(3, command);
                assert!(ended.stderr.contains("left out: other:v2: "), "{shown}: {ended:?}");
                assert!(ended.stdout.starts_with("1 image"), "{shown}: {ended:?}");
            }
            gap.expect(0, &["bundle", "verify", "b.tar"]);
            assert!(gap.expect(0, &["ls", "-c", "far.yml"]).stdout.contains("team/app:1.0"), "{shown}");
        }
    }
}

#[test]
fn an_inventory_and_a_listing_name_the_tag() {
    for index in 0..2 {
        for damage in [Damage::Directory, Damage::Circle, Damage::Rubbish] {
            let gap = Gap::new();
            let entry = &files(&gap)[index];
            damage.of(&gap.near.path(entry));
            for command in [&["inventory", "-c", "near.yml", "--tags-only"][..], &["ls", "-c", "near.yml"]] {
                let listed = gap.expect(0, command);
                let shown = format!("{damage:?} in place of {}: {listed:?}", entry.path());
                assert!(listed.stderr.contains("other:v2 is not listed"), "{shown}");
                assert!(
                    listed.stdout.contains("team/app:1.0") && !listed.stdout.contains("other"),
                    "{shown}"
                );
            }
            gap.expect(0, &["inventory", "-c", "near.yml"]);
        }
    }
}
