//! `registry copy`, and `export --from` and `import --to`: images between stores and registries.

use std::fs;

use sampan_engine::oci::Digest;
use serde_json::Value;
use tempfile::TempDir;

use super::support::{Ended, binary, end, expect};
use crate::clients::support::{RegistryProcess, debian_registry, filesystem_config, registry, write_config};
use crate::support::StoreFiles;

/// A near registry with images over its store, and a far one without.
struct Sides {
    directory: TempDir,
    near: RegistryProcess,
    far: RegistryProcess,
    image: Digest,
}

impl Sides {
    fn new() -> Self {
        Self::with_far(|directory| {
            let config = filesystem_config(&directory.path().join("far"));
            registry(&directory.path().join("config"), &config)
        })
    }

    fn with_far(far: impl FnOnce(&TempDir) -> RegistryProcess) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("config")).unwrap();
        let store = StoreFiles::new(&directory.path().join("near"));
        let layer = |name: &str, size: usize| name.repeat(size / name.len());
        // One layer is longer than what is sent in one request.
        let image = store.image("team/app", "one", &[layer("shared", 20_000_000), layer("own", 1_500)]);
        store.tag("team/app", "1.0", &image);
        store.tag("team/app", "latest", &image);
        let other = store.image("other", "two", &[layer("shared", 20_000_000)]);
        store.tag("other", "v2", &other);
        let config = filesystem_config(&directory.path().join("near"));
        write_config(directory.path(), "near.yml", &config);
        write_config(directory.path(), "far.yml", &filesystem_config(&directory.path().join("far")));
        let near = registry(directory.path(), &config);
        let far = far(&directory);
        Self { directory, near, far, image }
    }

    fn run(&self, args: &[&str]) -> Ended {
        end(binary(self.directory.path()).args(args), "")
    }

    fn expect(&self, code: i32, args: &[&str]) -> Ended {
        expect(self.directory.path(), code, args)
    }

    /// The images of a side, as its registry lists them.
    fn images(&self, registry: &RegistryProcess) -> String {
        self.expect(0, &["ls", "--url", &registry.host()]).stdout
    }
}

#[test]
fn images_are_copied_between_registries_and_a_second_time_nothing_is_sent() {
    let sides = Sides::new();
    let (near, far) = (sides.near.host(), sides.far.host());
    let between = ["--from", near.as_str(), "--to", far.as_str()];
    let dry = sides.expect(0, &[&["copy", "**", "--dry-run"][..], &between].concat()).stdout;
    assert!(dry.contains("2 images would be copied"), "{dry}");
    assert_eq!(sides.images(&sides.far), "");
    let copied = sides.expect(0, &[&["copy", "**"][..], &between].concat()).stdout;
    // The layer that both images have moves once: the second repository gets a mount.
    assert!(copied.contains("2 images copied, 0 there already: 4 blobs of"), "{copied}");
    assert_eq!(sides.images(&sides.far), sides.images(&sides.near));
    let again = sides.expect(0, &[&["copy", "**", "--format", "json"][..], &between].concat()).stdout;
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["imported"], &again["storedBlobs"]), (&0.into(), &0.into()), "{again}");
}

#[test]
fn a_store_is_an_end_of_a_copy_too_and_names_can_change() {
    let sides = Sides::new();
    let far = sides.far.host();
    let copied = sides.expect(
        0,
        &["copy", "team/app:latest", "--from", "near.yml", "--to", &far, "--map", "team=mirror/team"],
    );
    assert!(copied.stdout.contains("1 image copied"), "{copied:?}");
    let listed = sides.images(&sides.far);
    assert!(listed.starts_with(&format!("mirror/team/app:latest\t{}", sides.image)), "{listed}");
    // Back from the registry into the other store, while a registry serves it.
    sides.expect(0, &["copy", "mirror/team/app", "--from", &far, "--to", "near.yml"]);
    assert!(sides.images(&sides.near).contains("mirror/team/app:latest"));
}

#[test]
fn a_bundle_is_written_from_a_registry_and_read_into_one() {
    let sides = Sides::new();
    let (near, far) = (sides.near.host(), sides.far.host());
    sides.expect(0, &["export", "**", "--from", &near, "-o", "remote.tar"]);
    sides.expect(0, &["export", "**", "-c", "near.yml", "--name-host", &near, "-o", "local.tar"]);
    let read = |name: &str| fs::read(sides.directory.path().join(name)).unwrap();
    assert!(read("remote.tar") == read("local.tar"), "the same content makes the same bundle");
    let imported = sides.expect(0, &["import", "remote.tar", "--to", &far]).stdout;
    assert!(imported.contains("2 images imported"), "{imported}");
    assert_eq!(sides.images(&sides.far), sides.images(&sides.near));
    let again = sides.expect(0, &["import", "remote.tar", "--to", &far]).stdout;
    assert!(again.contains("0 images imported, 2 there already: 0 blobs"), "{again}");
}

#[test]
fn a_delta_of_an_earlier_bundle_goes_into_a_registry() {
    let sides = Sides::new();
    let far = sides.far.host();
    sides.expect(0, &["export", "team/app", "-c", "near.yml", "-o", "first.tar"]);
    sides.expect(0, &["import", "first.tar", "--to", &far]);
    sides.expect(0, &["export", "**", "-c", "near.yml", "--have", "first.tar", "-o", "delta.tar"]);
    let listed = sides.expect(0, &["bundle", "ls", "delta.tar"]).stdout;
    assert!(listed.contains("the far side must have 1 blob"), "{listed}");
    sides.expect(0, &["import", "delta.tar", "--to", &far]);
    assert_eq!(sides.images(&sides.far), sides.images(&sides.near));
}

#[test]
fn an_inventory_by_the_api_is_that_of_the_store() {
    let sides = Sides::new();
    let near = sides.near.host();
    for more in [&[][..], &["--tags-only"], &["team/app:1.*"], &["team/*"]] {
        let of = |from: &[&str]| sides.expect(0, &[&["inventory"][..], from, more].concat()).stdout;
        let stored = of(&["-c", "near.yml"]);
        assert!(stored.contains(&format!("team/app:1.0 {}", sides.image)), "{stored}");
        assert_eq!(of(&["--from", &near]), stored, "{more:?}");
    }
    sides.expect(2, &["inventory", "-c", "near.yml", "--from", &near]);
    sides.expect(2, &["inventory", "-c", "near.yml", "--insecure"]);
    // The far side has the tags; the near side knows what is in them.
    sides.expect(0, &["copy", "team/app", "--from", &near, "--to", "far.yml"]);
    sides.expect(0, &["inventory", "--from", &sides.far.host(), "--tags-only", "-o", "far.txt"]);
    sides.expect(0, &["export", "**", "--from", &near, "--have", "far.txt", "-o", "delta.tar"]);
    let listed = sides.expect(0, &["bundle", "ls", "delta.tar"]).stdout;
    assert!(listed.contains("other:v2") && listed.contains("the far side must have 1 blob"), "{listed}");
    for against in ["far.yml", &sides.far.host()] {
        let verified = sides.expect(0, &["bundle", "verify", "delta.tar", "--against", against]).stdout;
        assert!(verified.contains("all that the bundle presumes is there"), "{verified}");
    }
    write_config(
        sides.directory.path(),
        "empty.yml",
        &filesystem_config(&sides.directory.path().join("empty")),
    );
    fs::create_dir_all(sides.directory.path().join("empty/docker/registry/v2/blobs")).unwrap();
    let lacking = sides.expect(5, &["bundle", "verify", "delta.tar", "--against", "empty.yml"]).stderr;
    assert!(lacking.contains("incomplete: other@sha256:") && lacking.contains("lacks one blob"), "{lacking}");
    sides.expect(2, &["bundle", "verify", "delta.tar", "--against", "far.yml", "--insecure"]);
    sides.expect(2, &["bundle", "verify", "delta.tar", "--user", "u"]);
}

#[test]
fn a_tag_that_is_taken_moves_stays_or_stops_the_copy() {
    let sides = Sides::new();
    let (near, far) = (sides.near.host(), sides.far.host());
    let copy = |more: &[&str]| {
        sides.run(&[&["copy", "team/app:1.0", "--from", &near, "--to", &far][..], more].concat())
    };
    let is_there = |image: &str| sides.images(&sides.far).contains(image);
    // Another image has the name.
    let first = sides.run(&["copy", "other:v2", "--from", &near, "--to", &far]);
    assert_eq!(first.code, Some(0), "{first:?}");
    let wanted = format!("other:1.0\t{}", sides.image);
    let renamed = ["--map", "team/app=other"];
    assert_eq!(copy(&renamed).code, Some(0));
    assert!(is_there(&wanted));
    let store = StoreFiles::new(&sides.directory.path().join("far"));
    let occupier = store.image("other", "occupier", &["x".to_owned()]);
    store.tag("other", "1.0", &occupier);
    let failed = copy(&[&renamed[..], &["--tags", "fail"]].concat());
    assert!(failed.code == Some(1) && failed.stderr.contains("other:1.0 exists already"), "{failed:?}");
    assert_eq!(copy(&[&renamed[..], &["--tags", "keep"]].concat()).code, Some(0));
    assert!(is_there(&format!("other:1.0\t{occupier}")));
    let moved = copy(&renamed);
    assert!(moved.code == Some(0) && moved.stdout.contains("other:1.0 moved"), "{moved:?}");
    assert!(is_there(&wanted));
}

#[test]
fn what_cannot_be_copied_is_named_with_the_remedy() {
    let sides = Sides::new();
    let (near, far) = (sides.near.host(), sides.far.host());
    let missing = sides.expect(1, &["copy", "nothing/here", "--from", &near, "--to", &far]);
    assert!(missing.stderr.contains("nothing/here"), "{missing:?}");
    let bad = sides.expect(2, &["copy", "a", "--from", "ftp://host", "--to", &far]);
    assert!(bad.stderr.contains("its scheme must be http or https"), "{bad:?}");
    let secret = sides.expect(2, &["copy", "a", "--from", "https://u:hunter2@host", "--to", &far]);
    assert!(secret.stderr.contains("it has a user"), "{secret:?}");
    for (command, option) in [(&["export", "a", "-o", "x.tar"][..], "--from"), (&["import", "x.tar"], "--to")]
    {
        let ended = sides.run(&[command, &["-c", "near.yml", "--insecure"]].concat());
        assert_ne!(ended.code, Some(0), "{ended:?}");
        if command[0] == "export" {
            assert!(ended.stderr.contains(&format!("--insecure needs {option}")), "{ended:?}");
        }
    }
}

#[test]
#[ignore = "needs docker-registry"]
fn images_are_copied_to_distribution_and_back() {
    let sides = Sides::with_far(|directory| {
        debian_registry(&directory.path().join("config"), &directory.path().join("far"))
    });
    let (near, far) = (sides.near.host(), sides.far.host());
    sides.expect(0, &["copy", "**", "--from", &near, "--to", &far]);
    assert_eq!(sides.images(&sides.far), sides.images(&sides.near));
    sides.expect(0, &["copy", "**", "--from", &far, "--to", &near, "--map", "=back"]);
    assert!(sides.images(&sides.near).contains(&format!("back/team/app:1.0\t{}", sides.image)));
}
