//! `registry import` of files that other tools wrote.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;

use flate2::write::GzEncoder;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use serde_json::json;
use tempfile::TempDir;

use super::support::{Ended, binary, end, expect};
use crate::clients::support::filesystem_config;
use crate::support::StoreFiles;

/// A store with an image, the same image as a layout that another tool packed, `other.tar`, and an empty store.
struct Gap {
    directory: TempDir,
    image: Digest,
}

impl Gap {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let near = StoreFiles::new(&directory.path().join("near"));
        let image = near.image("team/app", "one", &["a layer".to_owned(), "another".repeat(1000)]);
        near.tag("team/app", "1.0", &image);
        for side in ["near", "far", "copied"] {
            let config = filesystem_config(&directory.path().join(side));
            fs::write(directory.path().join(format!("{side}.yml")), config).unwrap();
        }
        let gap = Self { directory, image };
        gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar", "--name-host", "near.example:5000"]);
        let files = gap.unpacked();
        gap.pack("other.tar", files.iter().map(|(name, content)| (name.as_str(), &content[..])));
        gap
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn expect(&self, code: i32, args: &[&str]) -> Ended {
        expect(self.directory.path(), code, args)
    }

    /// The files of the bundle but for our own.
    fn unpacked(&self) -> Vec<(String, Vec<u8>)> {
        let mut archive = tar::Archive::new(fs::File::open(self.path("b.tar")).unwrap());
        let mut files = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if !name.ends_with('/') && name != "bundle.json" {
                files.push((name, content));
            }
        }
        files
    }

    fn pack<'a>(&self, name: &str, files: impl Iterator<Item = (&'a str, &'a [u8])>) {
        let mut archive = tar::Builder::new(fs::File::create(self.path(name)).unwrap());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content).unwrap();
        }
        archive.finish().unwrap();
    }

    fn images(&self) -> String {
        self.expect(0, &["ls", "-c", "far.yml"]).stdout
    }
}

#[test]
fn a_layout_of_another_tool_is_imported_from_a_file_a_directory_and_a_pipe() {
    let gap = Gap::new();
    let imported = gap.expect(0, &["import", "other.tar", "-c", "far.yml"]);
    assert!(imported.stdout.contains("1 image imported") && imported.stderr.is_empty(), "{imported:?}");
    assert!(gap.images().contains(&format!("team/app:1.0\t{}", gap.image)), "{}", gap.images());

    for (name, content) in gap.unpacked() {
        let path = gap.path("unpacked").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let again = gap.expect(0, &["import", "unpacked", "-c", "far.yml"]).stdout;
    assert!(again.contains("0 images imported, 1 there already"), "{again}");

    let mut gzip =
        GzEncoder::new(fs::File::create(gap.path("other.tar.gz")).unwrap(), flate2::Compression::fast());
    gzip.write_all(&fs::read(gap.path("other.tar")).unwrap()).unwrap();
    gzip.finish().unwrap();
    let kept = gap.expect(0, &["import", "other.tar.gz", "-c", "far.yml", "--keep-host"]);
    assert!(kept.stderr.contains("decoding into a temporary file in "), "{kept:?}");
    assert!(gap.images().contains("near.example/team/app:1.0"), "{}", gap.images());

    let registry = env!("CARGO_BIN_EXE_registry");
    let pipe = format!("'{registry}' import - -c far.yml --map team=piped --quiet < other.tar.gz");
    let ended = end(Command::new("sh").current_dir(gap.directory.path()).args(["-c", &pipe]), "");
    assert_eq!((ended.code, &ended.stdout[..], &ended.stderr[..]), (Some(0), "", ""));
    assert!(gap.images().contains("piped/app:1.0"), "{}", gap.images());

    let mut elsewhere = binary(gap.directory.path());
    elsewhere.env("TMPDIR", gap.path("absent")).args(["import", "other.tar.gz", "-c", "far.yml"]);
    let ended = end(&mut elsewhere, "");
    assert!(ended.code == Some(1) && ended.stderr.contains("absent failed"), "{ended:?}");
}

#[test]
fn damage_of_the_compression_of_a_bundle_exits_as_damage() {
    let gap = Gap::new();
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&fs::read(gap.path("b.tar")).unwrap()).unwrap();
    let mut damaged = gzip.finish().unwrap();
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    fs::write(gap.path("b.tar.gz"), damaged).unwrap();
    let refused = gap.expect(4, &["import", "b.tar.gz", "-c", "far.yml"]).stderr;
    assert!(refused.contains("the gzip data are damaged"), "{refused}");
}

#[test]
fn an_image_without_a_repository_gets_one_by_a_rule() {
    let gap = Gap::new();
    let mut files = gap.unpacked();
    for (name, content) in &mut files {
        if name == "index.json" {
            let mut index: serde_json::Value = serde_json::from_slice(content).unwrap();
            index["manifests"][0]["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
            *content = index.to_string().into_bytes();
        }
    }
    gap.pack("tag.tar", files.iter().map(|(name, content)| (name.as_str(), &content[..])));
    let refused = gap.expect(1, &["import", "tag.tar", "-c", "far.yml"]).stderr;
    assert!(refused.contains("pass `--map :v1=REPOSITORY:v1`"), "{refused}");
    gap.expect(0, &["import", "tag.tar", "-c", "far.yml", "--map", ":v1=one/app:2", "--map", "one=two"]);
    assert!(gap.images().contains(&format!("two/app:2\t{}", gap.image)), "{}", gap.images());
    gap.expect(1, &["import", "tag.tar", "-c", "far.yml", "--map", ":v2=a"]);
    gap.expect(2, &["import", "tag.tar", "-c", "far.yml", "--map", ":v1"]);
    for own in [&["--keep-host"][..], &["--map", ":=a"]] {
        let refused = gap.expect(2, &[&["import", "b.tar", "-c", "far.yml"], own].concat()).stderr;
        assert!(refused.contains("a bundle names all repositories"), "{refused}");
    }
}

#[test]
fn a_docker_archive_says_that_its_digests_are_new() {
    let gap = Gap::new();
    let layer = "a layer of docker";
    let diff_id = Digest::sha256_of(layer.as_bytes());
    let config = json!({ "rootfs": { "type": "layers", "diff_ids": [diff_id] } }).to_string();
    let hex = Digest::sha256_of(config.as_bytes()).hex().to_owned();
    let (config_name, layer_name) = (format!("{hex}.json"), format!("{hex}/layer.tar"));
    let manifest =
        json!([{ "Config": config_name, "RepoTags": ["app:1"], "Layers": [layer_name] }]).to_string();
    let files = [(&config_name[..], &config), (&layer_name, &layer.to_owned()), ("manifest.json", &manifest)];
    gap.pack("docker.tar", files.iter().map(|(name, content)| (*name, content.as_bytes())));
    let imported = gap.expect(0, &["import", "docker.tar", "-c", "far.yml"]);
    assert!(imported.stderr.contains("the digests are not those of the registry"), "{imported:?}");
    assert!(gap.images().contains("library/app:1"), "{}", gap.images());
    fs::copy(gap.path("docker.tar"), gap.path("second.tar")).unwrap();
    for second in ["second.tar", "other.tar"] {
        let refused = gap.expect(2, &["import", "docker.tar", second, "-c", "far.yml"]).stderr;
        assert!(refused.contains("import each archive by itself"), "{refused}");
    }
}

#[test]
fn an_image_of_a_data_directory_that_cannot_be_read_leaves_the_others() {
    let gap = Gap::new();
    let near = StoreFiles::new(&gap.path("near"));
    near.tag("team/app", "empty", &gap.image);
    let current = near.path(&Entry::TagCurrent("team/app".parse().unwrap(), "empty".parse().unwrap()));
    fs::write(current, "").unwrap();
    let mut archive = tar::Builder::new(fs::File::create(gap.path("near.tar")).unwrap());
    archive.append_dir_all(".", gap.path("near")).unwrap();
    archive.finish().unwrap();
    let import = ["import", "near.tar", "-c", "far.yml"];
    let refused = gap.expect(4, &import).stderr;
    assert!(refused.contains("with --keep-going"), "{refused}");
    let refused = gap.expect(4, &[&import[..], &["--only", "team/**"]].concat()).stderr;
    assert!(refused.contains("team/app:empty") && refused.contains("with --keep-going"), "{refused}");
    let one = gap.expect(0, &[&import[..], &["--only", "team/app:1.0"]].concat());
    assert!(one.stdout.contains("1 image imported") && !one.stderr.contains("left out"), "{one:?}");
    let others = gap.expect(3, &[&import[..], &["--keep-going"]].concat()).stderr;
    assert!(others.contains("left out: team/app:empty: ") && others.contains("has no digest"), "{others}");
    let copied = gap.expect(3, &["copy", "**", "--from", "near.yml", "--to", "copied.yml", "--keep-going"]);
    assert!(copied.stderr.contains("left out: team/app:empty: "), "{copied:?}");
}

#[test]
fn bad_files_of_other_tools_end_with_4() {
    let gap = Gap::new();
    let files = gap.unpacked();
    let without = |gone: &str| {
        let left: Vec<_> = files.iter().filter(|(name, _)| !name.contains(gone)).collect();
        gap.pack("bad.tar", left.iter().map(|(name, content)| (name.as_str(), &content[..])));
    };
    without(gap.image.hex());
    let refused = gap.expect(4, &["import", "bad.tar", "-c", "far.yml"]).stderr;
    assert!(refused.contains("one blob that its images need is missing from the file"), "{refused}");
    let bytes = fs::read(gap.path("other.tar")).unwrap();
    fs::write(gap.path("bad.tar"), &bytes[..bytes.len() / 2]).unwrap();
    let refused = gap.expect(4, &["import", "bad.tar", "-c", "far.yml"]).stderr;
    assert!(refused.contains("at byte "), "{refused}");
    let place = bytes.windows(14).position(|bytes| bytes == b"anotheranother").unwrap();
    let mut damaged = bytes.clone();
    damaged[place] ^= 1;
    fs::write(gap.path("bad.tar"), &damaged).unwrap();
    let refused = gap.expect(4, &["import", "bad.tar", "-c", "far.yml"]).stderr;
    assert!(refused.contains("blobs/sha256/") && refused.contains("hashes to"), "{refused}");
    assert!(!gap.images().contains("team/app"));
    let key = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/bundle/tests/p256.pub.pem");
    let key = key.display().to_string();
    let refused = gap.expect(4, &["import", "other.tar", "-c", "far.yml", "--verify-key", &key]).stderr;
    assert!(refused.contains("not signed"), "{refused}");
    gap.pack("evil.tar", [("index.json", &b"\x1b[2J"[..]), ("oci-layout", b"{}")].into_iter());
    let refused = gap.expect(4, &["import", "evil.tar", "-c", "far.yml"]).stderr;
    assert!(!refused.contains('\x1b'), "{refused:?}");
}
