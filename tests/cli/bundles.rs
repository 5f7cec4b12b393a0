//! `registry export`, `import`, `inventory` and `bundle`, between two stores.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sampan_engine::oci::Digest;
use serde_json::Value;
use tempfile::TempDir;

use super::support::{Ended, end, expect};
use crate::clients::support::filesystem_config;
use crate::support::StoreFiles;

/// A near store with images, and a far one without.
pub(super) struct Gap {
    directory: TempDir,
    pub(super) near: StoreFiles,
    pub(super) image: Digest,
}

impl Gap {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let near = StoreFiles::new(&directory.path().join("near"));
        let layer = |name: &str, size: usize| name.repeat(size / name.len());
        let image = near.image("team/app", "one", &[layer("shared", 2_000_000), layer("own", 1_500_000)]);
        near.tag("team/app", "1.0", &image);
        near.tag("team/app", "latest", &image);
        let other = near.image("other", "two", &[layer("shared", 2_000_000)]);
        near.tag("other", "v2", &other);
        for side in ["near", "far"] {
            let config = filesystem_config(&directory.path().join(side));
            fs::write(directory.path().join(format!("{side}.yml")), config).unwrap();
        }
        Self { directory, near, image }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn expect(&self, code: i32, args: &[&str]) -> Ended {
        expect(self.directory.path(), code, args)
    }

    /// What `registry ls` shows of a side, with `mirror/` removed from names, sorted.
    pub(super) fn images(&self, side: &str) -> Vec<String> {
        let listed = self.expect(0, &["ls", "-c", &format!("{side}.yml")]).stdout;
        let mut lines: Vec<String> = listed.lines().map(|line| line.replace("mirror/", "")).collect();
        lines.sort();
        lines
    }
}

pub(super) fn key(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bundle/tests").join(name).display().to_string()
}

#[test]
fn images_cross_the_gap_in_a_file() {
    let gap = Gap::new();
    let dry = gap.expect(0, &["export", "**", "-c", "near.yml", "--dry-run"]).stdout;
    assert!(dry.starts_with("other:v2\nteam/app:1.0\nteam/app:latest\n"), "{dry}");
    let exported = gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar"]).stdout;
    assert!(exported.contains("2 images of 2 repositories exported"), "{exported}");
    let bytes = fs::read(gap.path("b.tar")).unwrap();

    let listed = gap.expect(0, &["bundle", "ls", "b.tar"]).stdout;
    assert!(listed.contains(&format!("team/app:1.0 team/app:latest\t{}\n", gap.image)), "{listed}");
    let listed: Value =
        serde_json::from_str(&gap.expect(0, &["bundle", "ls", "b.tar", "--format", "json"]).stdout).unwrap();
    assert_eq!(listed["images"][1]["tags"], serde_json::json!(["1.0", "latest"]));
    let verified = gap.expect(0, &["bundle", "verify", "b.tar"]).stdout;
    assert!(
        verified.contains("verified") && verified.contains(listed["name"].as_str().unwrap()),
        "{verified}"
    );

    let imported = gap.expect(0, &["import", "b.tar", "-c", "far.yml"]).stdout;
    assert!(imported.contains("2 images imported, 0 there already"), "{imported}");
    assert_eq!(gap.images("far"), gap.images("near"));
    let again = gap.expect(0, &["import", "b.tar", "-c", "far.yml", "--format", "json"]).stdout;
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((&again["unchanged"], &again["storedBytes"]), (&Value::from(2), &Value::from(0)));

    gap.expect(0, &["export", "**", "-c", "far.yml", "-o", "again.tar"]);
    assert!(fs::read(gap.path("again.tar")).unwrap() == bytes, "the same images, the same bytes");
    let refused = gap.expect(1, &["export", "**", "-c", "near.yml", "-o", "b.tar"]).stderr;
    assert!(refused.contains("b.tar exists"), "{refused}");
}

#[test]
fn images_cross_the_gap_in_a_pipe() {
    let gap = Gap::new();
    let registry = env!("CARGO_BIN_EXE_registry");
    let pipe = format!(
        "'{registry}' export '**' -c near.yml -o - | '{registry}' import - -c far.yml --map team=mirror/team"
    );
    let ended = end(Command::new("sh").current_dir(gap.directory.path()).args(["-c", &pipe]), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(gap.images("far"), gap.images("near"));
    let renamed = gap.expect(0, &["ls", "-c", "far.yml", "mirror/team"]).stdout;
    assert!(renamed.contains("mirror/team/app:1.0"), "{renamed}");
}

#[test]
fn a_delta_carries_what_the_far_side_lacks() {
    let gap = Gap::new();
    gap.expect(0, &["export", "team/app", "-c", "near.yml", "-o", "first.tar"]);
    gap.expect(0, &["import", "first.tar", "-c", "far.yml"]);
    gap.expect(0, &["inventory", "-c", "far.yml", "-o", "far.txt"]);
    let tags = gap.expect(0, &["inventory", "team/*:1.*", "-c", "far.yml", "--tags-only"]).stdout;
    assert_eq!(tags, format!("team/app:1.0 {}\n", gap.image));
    for (have, delta) in [("far.txt", "one.tar"), ("first.tar", "two.tar")] {
        let exported = gap.expect(0, &["export", "**", "-c", "near.yml", "--have", have, "-o", delta]).stdout;
        assert!(exported.contains("1 image of 1 repository exported"), "{exported}");
        assert!(fs::metadata(gap.path(delta)).unwrap().len() < 100_000);
        gap.expect(0, &["bundle", "verify", delta]);
    }
    let listed = gap.expect(0, &["bundle", "ls", "one.tar"]).stdout;
    assert!(listed.contains("the far side must have 1 blob"), "{listed}");
    let differences = gap.expect(0, &["bundle", "diff", "first.tar", "one.tar"]).stdout;
    assert!(
        differences.contains("added\tother:v2") && differences.contains("removed\tteam/app:1.0"),
        "{differences}"
    );

    fs::write(gap.path("empty.yml"), filesystem_config(&gap.path("empty"))).unwrap();
    let refused = gap.expect(5, &["import", "one.tar", "-c", "empty.yml"]).stderr;
    assert!(refused.contains("lacks one blob"), "{refused}");
    gap.expect(0, &["import", "two.tar", "-c", "far.yml", "--receipt", "receipt.txt"]);
    let inventory = gap.expect(0, &["inventory", "other", "-c", "far.yml"]).stdout;
    assert_eq!(fs::read_to_string(gap.path("receipt.txt")).unwrap(), inventory);
    assert_eq!(gap.images("far"), gap.images("near"));
}

#[test]
fn parts_are_made_checked_and_made_again() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "whole.tar"]);
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB"]);
    let whole = fs::read(gap.path("whole.tar")).unwrap();
    let part = |number: usize| gap.path(&format!("b.tar.00{number}"));
    let join = || (1..=4).flat_map(|number| fs::read(part(number)).unwrap()).collect::<Vec<u8>>();
    assert!(join() == whole);
    let sums = fs::read_to_string(gap.path("b.sums")).unwrap();
    for (line, number) in sums.lines().zip(1..) {
        let digest = Digest::sha256_of(&fs::read(part(number)).unwrap());
        assert_eq!(line, format!("{}  b.tar.00{number}", digest.hex()));
    }
    for names in [&["b.tar"][..], &["b.tar.001"], &["b.tar.002", "b.tar.001", "b.tar.004", "b.tar.003"]] {
        gap.expect(0, &[&["bundle", "verify"], names].concat());
    }

    let second = fs::read(part(2)).unwrap();
    fs::remove_file(part(2)).unwrap();
    let missing = gap.expect(4, &["import", "b.tar", "-c", "far.yml"]).stderr;
    assert!(missing.contains("b.tar.002 is missing"), "{missing}");
    gap.expect(0, &["export", "-c", "near.yml", "-o", "b.tar", "--part", "2"]);
    assert!(fs::read(part(2)).unwrap() == second);
    assert_eq!(fs::read_to_string(gap.path("b.sums")).unwrap(), sums);

    let mut damaged = second.clone();
    damaged[1000] ^= 1;
    fs::write(part(2), &damaged).unwrap();
    let found = gap.expect(4, &["bundle", "verify", "b.tar"]).stderr;
    assert!(found.contains("b.tar.002") && found.contains("hashes to"), "{found}");
    let refused = gap.expect(4, &["import", "b.tar", "-c", "far.yml"]).stderr;
    assert!(refused.contains("b.tar.002"), "{refused}");
    fs::write(part(2), second).unwrap();

    let first = fs::read(part(1)).unwrap();
    fs::remove_file(part(1)).unwrap();
    let refused = gap.expect(1, &["export", "-c", "near.yml", "-o", "b.tar", "--part", "1"]).stderr;
    assert!(refused.contains("b.tar.001 is missing") && refused.contains("repeat the export"), "{refused}");
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB"]);
    assert!(join() == whole, "the remedy makes the same parts");
    fs::write(part(1), first).unwrap();

    // An export that was killed in its third part.
    fs::remove_file(part(4)).unwrap();
    let third = fs::read(part(3)).unwrap();
    fs::remove_file(part(3)).unwrap();
    fs::write(gap.path("b.tar.003.partial"), &third[..500_000]).unwrap();
    let refused = gap.expect(1, &["export", "**", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB"]).stderr;
    assert!(refused.contains("exists"), "{refused}");
    gap.expect(0, &["export", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB", "--resume"]);
    assert!(join() == whole);
    assert_eq!(fs::read_to_string(gap.path("b.sums")).unwrap(), sums);
    gap.expect(0, &["import", "b.tar", "-c", "far.yml"]);
    assert_eq!(gap.images("far"), gap.images("near"));
}

#[test]
fn a_long_file_that_is_no_bundle_is_refused_without_reading_it() {
    let gap = Gap::new();
    fs::File::create(gap.path("disk.img")).unwrap().set_len(1 << 40).unwrap();
    let refused = gap.expect(1, &["bundle", "ls", "disk.img"]).stderr;
    assert!(refused.contains("disk.img is neither a bundle nor a bundle.json"), "{refused}");
    let export = ["export", "**", "-c", "near.yml", "-o", "b.tar", "--have", "disk.img"];
    let refused = gap.expect(1, &export).stderr;
    assert!(refused.contains("disk.img: line 1 of the inventory is neither"), "{refused}");
}

#[test]
fn an_unfinished_file_goes_on() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "whole.tar"]);
    let whole = fs::read(gap.path("whole.tar")).unwrap();
    fs::write(gap.path("b.tar.partial"), &whole[..whole.len() / 2]).unwrap();
    let refused = gap.expect(1, &["export", "**", "-c", "near.yml", "-o", "b.tar"]).stderr;
    assert!(refused.contains("--resume -o b.tar -c near.yml"), "{refused}");
    gap.expect(0, &["export", "--resume", "-c", "near.yml", "-o", "b.tar"]);
    assert!(fs::read(gap.path("b.tar")).unwrap() == whole);
    assert!(!gap.path("b.tar.partial").exists());
    let nothing = gap.expect(1, &["export", "--resume", "-c", "near.yml", "-o", "c.tar"]).stderr;
    assert!(nothing.contains("nothing to resume"), "{nothing}");
}

#[test]
fn a_signature_is_checked_before_anything_is_written() {
    let gap = Gap::new();
    for (private, public, other) in
        [("ed25519.pem", "ed25519.pub.pem", "p256.pub.pem"), ("p256.pem", "p256.pub.pem", "ed25519.pub.pem")]
    {
        let bundle = format!("{private}.tar");
        gap.expect(0, &["export", "**", "-c", "near.yml", "-o", &bundle, "--sign", &key(private)]);
        gap.expect(0, &["bundle", "verify", &bundle, "--key", &key(public)]);
        let wrong = gap.expect(4, &["import", &bundle, "-c", "far.yml", "--verify-key", &key(other)]).stderr;
        assert!(wrong.contains("signature is wrong"), "{wrong}");
        assert!(!gap.path("far").exists());
    }
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "plain.tar"]);
    let unsigned = gap.expect(4, &["bundle", "verify", "plain.tar", "--key", &key("p256.pub.pem")]).stderr;
    assert!(unsigned.contains("not signed"), "{unsigned}");
    gap.expect(0, &["import", "p256.pem.tar", "-c", "far.yml", "--verify-key", &key("p256.pub.pem")]);
    assert_eq!(gap.images("far"), gap.images("near"));
}

#[test]
fn exit_codes_say_what_happened() {
    let gap = Gap::new();
    let nothing = gap.expect(1, &["export", "nothing/**", "-c", "near.yml", "-o", "b.tar"]).stderr;
    assert!(nothing.contains("nothing matches `nothing/**`"), "{nothing}");
    for args in [
        &["export", "-c", "near.yml", "-o", "b.tar"][..],
        &["export", "a:", "-c", "near.yml", "-o", "b.tar"],
        &["export", "**", "-c", "near.yml"],
        &["export", "**", "-c", "near.yml", "-o", "b.tar", "--split", "10"],
        &["export", "**", "-c", "near.yml", "-o", "-", "--split", "dvd"],
        &["export", "--resume", "-c", "near.yml", "-o", "b.tar", "--platform", "linux/amd64"],
        &["export", "--part", "2", "-c", "near.yml", "-o", "b.tar", "--latest", "1"],
        &["export", "**", "-c", "near.yml", "-o", "b.tar", "--rewrite-index"],
        &[
            "export",
            "**",
            "-c",
            "near.yml",
            "-o",
            "b.tar",
            "--rewrite-index",
            "--platform",
            "linux/amd64",
            "--have",
            "x",
        ],
        &["copy", "**", "--from", "near.yml", "--to", "far.yml", "--rewrite-index"],
        &["import", "-c", "far.yml"],
        &["import", "-", "--only", "a", "-c", "far.yml"],
        &["bundle"],
    ] {
        gap.expect(2, args);
    }
    fs::write(gap.path("list.txt"), "# images\nregistry.example/team/app:1.0\n").unwrap();
    gap.expect(0, &["export", "--list", "list.txt", "-c", "near.yml", "-o", "b.tar"]);
    fs::write(gap.path("bad.txt"), "team/app\nteam/app:\n").unwrap();
    let bad = gap.expect(1, &["export", "--list", "bad.txt", "-c", "near.yml", "-o", "c.tar"]).stderr;
    assert!(bad.contains("bad.txt:2"), "{bad}");

    let mut bytes = fs::read(gap.path("b.tar")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(gap.path("damaged.tar"), &bytes).unwrap();
    let damaged = gap.expect(4, &["import", "damaged.tar", "-c", "far.yml"]).stderr;
    assert!(damaged.contains("damaged at byte") && damaged.contains("blobs/sha256/"), "{damaged}");
    let foreign = gap.expect(4, &["import", "near.yml", "-c", "far.yml"]).stderr;
    assert!(foreign.contains("near.yml is not a bundle, and neither an OCI image layout"), "{foreign}");
    gap.expect(1, &["import", "absent.tar", "-c", "far.yml"]);

    // A blob that the store has lost.
    let manifest: Value = serde_json::from_slice(
        &fs::read(gap.near.path(&sampan_engine::layout::Entry::Blob(gap.image.clone()))).unwrap(),
    )
    .unwrap();
    let lost: Digest = manifest["layers"][1]["digest"].as_str().unwrap().parse().unwrap();
    fs::remove_file(gap.near.path(&sampan_engine::layout::Entry::Blob(lost.clone()))).unwrap();
    let lacking = gap.expect(1, &["export", "**", "-c", "near.yml", "-o", "d.tar"]).stderr;
    assert!(lacking.contains("team/app:1.0") && lacking.contains(&lost.to_string()), "{lacking}");
    let rest = gap.expect(3, &["export", "**", "-c", "near.yml", "-o", "d.tar", "--keep-going"]);
    assert!(
        rest.stdout.contains("1 image of 1 repository") && rest.stderr.contains("left out: team/app:1.0"),
        "{rest:?}"
    );
    gap.expect(0, &["import", "d.tar", "-c", "far.yml"]);

    let read_only = format!(
        "{}  maintenance:\n    readonly:\n      enabled: true\n",
        filesystem_config(&gap.path("far"))
    );
    fs::write(gap.path("readonly.yml"), read_only).unwrap();
    gap.expect(1, &["import", "d.tar", "-c", "readonly.yml"]);
}

#[test]
fn a_part_is_made_again_only_beside_an_intact_first_part() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar", "--split", "1MiB"]);
    let part = |number: usize| gap.path(&format!("b.tar.00{number}"));
    let (first, second, third) =
        (fs::read(part(1)).unwrap(), fs::read(part(2)).unwrap(), fs::read(part(3)).unwrap());
    let sums = fs::read_to_string(gap.path("b.sums")).unwrap();
    let again = ["export", "-c", "near.yml", "-o", "b.tar", "--part", "3"];
    let mut damaged = first.clone();
    damaged[first.len() - 1] ^= 1;
    let refuses = |first: &[u8], args: &[&str], named: &[&str]| {
        fs::write(part(1), first).unwrap();
        let refused = gap.expect(1, &[&again[..], args].concat()).stderr;
        assert!(named.iter().all(|name| refused.contains(name)), "{refused}");
        assert!(!part(3).exists(), "{args:?}");
        let now = fs::read_to_string(gap.path("b.sums"));
        assert!(now.is_err() || now.unwrap() == sums, "{args:?}");
    };
    fs::remove_file(part(3)).unwrap();
    refuses(&first[..1_000_000], &[], &["b.tar.001", "b.tar.002"]);
    refuses(&damaged, &[], &["b.tar.001", "b.sums"]);
    refuses(&first, &["--split", "2MiB"], &["b.tar.001", "--split"]);
    // Without checksums, the lengths of other parts and --split tell.
    fs::remove_file(gap.path("b.sums")).unwrap();
    refuses(&first[..1_000_000], &[], &["b.tar.001", "b.tar.002"]);
    fs::remove_file(part(2)).unwrap();
    fs::remove_file(part(4)).unwrap();
    refuses(&first[..1_000_000], &["--split", "1MiB"], &["b.tar.001", "--split"]);
    refuses(&first[..1_000_000], &[], &["b.tar.001", "b.sums", "--split"]);
    fs::write(gap.path("b.sums"), &sums).unwrap();
    refuses(&first[..1_000_000], &[], &["b.tar.001", "b.sums"]);
    // The near side has changed, so the part is another one than that of the checksums.
    fs::write(part(1), &first).unwrap();
    fs::write(part(2), &second).unwrap();
    let other = sums.replace(Digest::sha256_of(&third).hex(), Digest::sha256_of(b"other").hex());
    fs::write(gap.path("b.sums"), &other).unwrap();
    let refused = gap.expect(1, &again).stderr;
    assert!(refused.contains("b.tar.003") && refused.contains("b.sums"), "{refused}");
    assert_eq!(fs::read_to_string(gap.path("b.sums")).unwrap(), other);
    fs::remove_file(gap.path("b.sums")).unwrap();
    let _ = fs::remove_file(part(3));
    gap.expect(0, &[&again[..], &["--split", "1MiB"]].concat());
    assert!(fs::read(part(3)).unwrap() == third);
}
