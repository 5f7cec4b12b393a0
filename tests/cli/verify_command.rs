//! `registry verify`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sampan_driver::DriverConfig;
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::Registry;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_engine::verify::{Cycle, Options, Progress, RepairOutcome, Start};
use serde_json::Value;

use super::support::{Ended, binary, end};
use crate::clients::support::filesystem_config;
use crate::support::StoreFiles;

/// Two repositories with a common layer, and the path and digest of its data.
fn store(root: &Path) -> (StoreFiles, Digest, PathBuf) {
    let store = StoreFiles::new(root);
    let layer = "shared".repeat(1000);
    for repository in ["team/app", "other"] {
        let image = store.image(repository, repository, &[layer.clone(), repository.repeat(50)]);
        store.tag(repository, "v1", &image);
    }
    let digest = Digest::sha256_of(layer.as_bytes());
    let path = root.join(Entry::Blob(digest.clone()).path().as_str().trim_start_matches('/'));
    (store, digest, path)
}

pub(super) fn site() -> (tempfile::TempDir, Digest, PathBuf) {
    let site = tempfile::tempdir().unwrap();
    let (_, digest, path) = store(&site.path().join("data"));
    fs::write(site.path().join("config.yml"), filesystem_config(&site.path().join("data"))).unwrap();
    (site, digest, path)
}

fn blobs(site: &Path) -> Vec<PathBuf> {
    let files = StoreFiles::new(&site.join("data")).files();
    let data = files.into_iter().filter(|file| file.contains("/blobs/") && file.ends_with("/data"));
    data.map(|file| site.join("data").join(file.trim_start_matches('/'))).collect()
}

pub(super) fn verify(site: &Path, arguments: &str) -> Ended {
    end(binary(site).arg("verify").args(arguments.split_whitespace()).arg("config.yml"), "")
}

fn json(site: &Path, arguments: &str) -> Value {
    let ended = verify(site, &format!("{arguments} --format json --progress none"));
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn damage_is_named_with_its_images_and_moved_aside_for_a_push() {
    let (site, digest, path) = site();
    let whole = verify(site.path(), "");
    assert_eq!(whole.code, Some(0), "{whole:?}");
    assert!(
        whole.stdout.contains("read 2 repositories, 2 tags, 2 manifests and 6 blob links\n")
            && whole.stdout.ends_with("everything is whole\n"),
        "{whole:?}"
    );
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[100] ^= 1;
    fs::write(&path, &bad).unwrap();

    assert_eq!(verify(site.path(), "--quick").code, Some(0), "no layer is hashed");
    let found = verify(site.path(), "--since-start");
    assert_eq!(found.code, Some(3), "{found:?}");
    for expected in
        ["is damaged: its 6000 bytes hash to sha256:", "  needed by other: v1\n  needed by team/app: v1\n"]
    {
        assert!(found.stdout.contains(expected), "{found:?}");
    }
    assert!(found.stderr.contains("`--repair` repairs what can be repaired"), "{found:?}");
    assert_eq!(fs::read(&path).unwrap(), bad, "it only looks");
    let other = json(site.path(), "--repository other");
    assert_eq!((&other["structure"]["repositories"], &other["data"]["of_blobs"]), (&1.into(), &4.into()));
    let none = verify(site.path(), "--repository nothing/**");
    assert!(none.code == Some(1) && none.stderr.contains("no such repository: nothing/**"), "{none:?}");

    let repaired = json(site.path(), "--repair --since-start");
    let aside =
        repaired["problems"][0]["outcome"]["moved_aside"].as_str().unwrap_or_else(|| panic!("{repaired}"));
    assert!(aside.contains(digest.hex()) && !path.exists(), "{repaired}");
    assert_eq!(fs::read(site.path().join("data").join(&aside[1..])).unwrap(), bad);
    let missing = verify(site.path(), "--quick");
    assert!(missing.code == Some(3) && missing.stdout.contains(" is missing\n"), "{missing:?}");
}

/// Each run is killed when it has written down that it got further than the one before.
#[test]
fn a_run_that_is_killed_three_times_counts_each_blob_once_and_loses_no_damage() {
    let (site, ..) = site();
    let store = StoreFiles::new(&site.path().join("data"));
    let mut blobs: Vec<Digest> = (0..600).map(|number| store.blob(format!("{number:01000}"))).collect();
    blobs.sort();
    // The first one that is hashed.
    fs::write(store.path(&Entry::Blob(blobs[0].clone())), "short").unwrap();
    let progress = || -> Progress {
        let content = fs::read(store.path(&Entry::Verification)).unwrap_or_default();
        serde_json::from_slice(&content).unwrap_or_default()
    };
    let mut hashed = 0;
    let mut begun = 0;
    for _ in 0..3 {
        let arguments = "verify --rate 100KiB --progress none config.yml".split(' ');
        let mut run = binary(site.path()).args(arguments).stdout(Stdio::null()).spawn().unwrap();
        while progress().cycle.blobs <= hashed {
            assert_eq!(run.try_wait().unwrap(), None, "it ended before it could be killed");
            std::thread::yield_now();
        }
        run.kill().unwrap();
        run.wait().unwrap();
        let cycle = progress().cycle;
        assert!(begun == 0 || cycle.begun_ms == begun, "a cycle has started again");
        (hashed, begun) = (cycle.blobs, cycle.begun_ms);
    }
    assert!(hashed < 600, "{hashed}");
    let report = json(site.path(), "");
    let data = &report["data"];
    assert_eq!((data["blobs_before"].as_u64(), data["of_blobs"].as_u64()), (Some(hashed), Some(607)));
    assert_eq!(data["blobs"].as_u64(), Some(607 - hashed), "{report}");
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{report}");
    assert_eq!(
        (&problems[0]["problem"], &problems[0]["digest"]),
        (&"damaged".into(), &blobs[0].to_string().into())
    );
    let ended = progress();
    let last = ended.last.unwrap();
    assert_eq!((last.begun_ms, last.blobs, last.damaged), (begun, 607, 1), "{ended:?}");
    assert_eq!((ended.cycle, ended.unreported), (Cycle::default(), Vec::new()));
}

#[test]
fn a_run_that_is_terminated_prints_what_it_has_found() {
    let (site, _, path) = site();
    let store = StoreFiles::new(&site.path().join("data"));
    (0..600).for_each(|number| _ = store.blob(format!("{number:01000}")));
    // A structure without a part of an image is found at once.
    fs::remove_file(&path).unwrap();
    for signal in ["TERM", "INT"] {
        let progress = store.path(&Entry::Verification);
        let _ = fs::remove_file(&progress);
        let arguments = "verify --rate 50KiB --jobs 1 --since-start --progress none config.yml".split(' ');
        let mut run = binary(site.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It is written after a second of hashing, which the rate makes twelve.
        while !progress.exists() {
            assert_eq!(run.try_wait().unwrap(), None, "it ended before it could be stopped");
            std::thread::yield_now();
        }
        run_kill(signal, run.id());
        let output = run.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(3), "{signal}: {output:?}");
        assert!(printed.contains(" is missing\n"), "{signal}: {printed}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("stopped before the end"), "{output:?}");
    }
}

fn run_kill(signal: &str, process: u32) {
    let status = Command::new("kill").args(["-s", signal, &process.to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn another_store_heals_what_is_damaged_or_missing() {
    let (site, _, path) = site();
    let copy = site.path().join("copy");
    store(&copy);
    fs::write(site.path().join("copy.yml"), filesystem_config(&copy)).unwrap();
    let good = fs::read(&path).unwrap();
    for damage in [Some("short"), Some(""), None] {
        match damage {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let healed = verify(site.path(), "--quick --repair --heal-from copy.yml");
        assert_eq!(healed.code, Some(0), "{damage:?}: {healed:?}");
        assert!(healed.stdout.contains("  healed from "), "{healed:?}");
        assert_eq!(fs::read(&path).unwrap(), good);
    }
}

/// A directory in the place of a link to a layer, which the link cannot be written over.
pub(super) fn obstruct(site: &Path) {
    let layer = Digest::sha256_of("other".repeat(50).as_bytes());
    let entry = Entry::LayerLink("other".parse().unwrap(), layer);
    let link = StoreFiles::new(&site.join("data")).path(&entry);
    fs::remove_file(&link).unwrap();
    fs::create_dir_all(link.join("in-the-way")).unwrap();
}

#[test]
fn a_file_that_cannot_be_written_stays_and_the_rest_is_repaired_and_reported() {
    let (site, _, path) = site();
    obstruct(site.path());
    fs::write(&path, "short").unwrap();
    let repaired = verify(site.path(), "--repair");
    assert_eq!(repaired.code, Some(3), "{repaired:?}");
    for expected in ["  left as it is: ", "  moved to /", "2 problems: 0 repaired, 1 moved aside"] {
        assert!(repaired.stdout.contains(expected), "{expected}: {repaired:?}");
    }
    assert!(!path.exists());
}

/// A part of the running registry's cycle reads only data.
#[tokio::test]
async fn damage_is_reported_though_its_images_cannot_be_found() {
    let (site, digest, path) = site();
    fs::write(&path, "short").unwrap();
    let gone = site.path().join("data/docker/registry/v2/repositories/team/gone");
    symlink("../../not-mounted", gone).unwrap();
    let config = FilesystemConfig { rootdirectory: site.path().join("data"), ..FilesystemConfig::default() };
    let registry = Registry::builder(config.build().await.unwrap()).build();
    for repair in [false, true] {
        let options =
            Options { structure: false, data: Some(Start::Beginning), repair, ..Options::default() };
        let report = sampan_engine::verify::verify(&registry, &options).await.unwrap();
        let [problem] = &report.problems[..] else { panic!("{report:?}") };
        assert_eq!(problem.digest, Some(digest.clone()));
        match &problem.outcome {
            RepairOutcome::Reported => assert!(!repair),
            RepairOutcome::Left(reason) => assert!(repair && reason.contains("team/gone"), "{reason}"),
            outcome => panic!("other images may need it: {outcome:?}"),
        }
    }
}

#[test]
fn a_place_that_cannot_be_asked_is_not_asked_for_everything() {
    let (site, ..) = site();
    for blob in blobs(site.path()) {
        fs::write(blob, "").unwrap();
    }
    let unreachable = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failed = verify(site.path(), &format!("--repair --heal-from http://{unreachable}"));
    assert_eq!(failed.code, Some(3), "{failed:?}");
    let asked = failed.stderr.matches("cannot be healed").count();
    let spared = failed.stderr.matches("it failed 3 times in a row").count();
    assert!(asked > 4 && spared == asked - 3, "{failed:?}");
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let (site, ..) = site();
    for (arguments, expected) in [
        ("--repository app:v1", "names a tag or a digest"),
        ("--rate 0", "--rate 0 would never end"),
        ("--heal-from copy.yml", "--repair"),
        ("--quick --since-start", "--quick"),
        ("--user ann", "--user needs --heal-from with a registry"),
        ("--jobs 0", "--jobs"),
    ] {
        let ended = verify(site.path(), arguments);
        assert!(ended.code == Some(2) && ended.stderr.contains(expected), "{arguments}: {ended:?}");
    }
    let read_only = filesystem_config(&site.path().join("data"))
        .replace("storage:\n", "storage:\n  maintenance: {readonly: {enabled: true}}\n");
    fs::write(site.path().join("config.yml"), read_only).unwrap();
    assert_eq!(verify(site.path(), "").code, Some(0), "a read-only store is verified");
    let refused = verify(site.path(), "--repair");
    assert!(refused.code == Some(1) && refused.stderr.contains("read-only"), "{refused:?}");
    fs::write(site.path().join("config.yml"), filesystem_config(&site.path().join("nothing"))).unwrap();
    for arguments in ["", "--repair"] {
        let nothing = verify(site.path(), arguments);
        assert!(nothing.code == Some(1) && nothing.stderr.contains("there is no store in"), "{nothing:?}");
        assert!(!site.path().join("nothing").exists(), "{arguments}");
    }
    fs::write(site.path().join("config.yml"), "version: 0.1\nstorage: {inmemory: {}}\n").unwrap();
    let in_memory = verify(site.path(), "");
    assert!(in_memory.code == Some(1) && in_memory.stderr.contains("set `verify.enabled`"), "{in_memory:?}");
}

/// A first push that a power failure has interrupted leaves a tag without a history.
#[test]
fn an_empty_tag_is_damaged_if_it_has_a_history() {
    let (site, ..) = site();
    let store = StoreFiles::new(&site.path().join("data"));
    let current = |tag: &str| Entry::TagCurrent("other".parse().unwrap(), tag.parse().unwrap());
    store.write(&current("first"), "");
    assert_eq!(verify(site.path(), "").code, Some(0));
    store.write(&current("v1"), "");
    let found = verify(site.path(), "");
    assert_eq!(found.code, Some(3), "{found:?}");
    let named = format!("{} names no manifest: it contains \"\"", current("v1").path());
    assert!(found.stdout.contains(&named) && !found.stdout.contains("tags/first"), "{found:?}");
}

#[test]
fn a_directory_in_the_place_of_a_link_is_reported() {
    let (site, ..) = site();
    let store = StoreFiles::new(&site.path().join("data"));
    let link = Entry::TagCurrent("team/app".parse().unwrap(), "v1".parse().unwrap());
    fs::remove_file(store.path(&link)).unwrap();
    // A push that broke off has left a history alone.
    assert_eq!(verify(site.path(), "--quick").code, Some(0));
    fs::create_dir(store.path(&link)).unwrap();
    let found = verify(site.path(), "--quick");
    let expected = format!("{} cannot be read: a directory is in the place of the link\n", link.path());
    assert!(found.code == Some(3) && found.stdout.contains(&expected), "{found:?}");
    // No tag leads to it.
    let untagged = store.image("other", "untagged", &["other".repeat(50)]);
    let link = Entry::RevisionLink("other".parse().unwrap(), untagged);
    fs::remove_file(store.path(&link)).unwrap();
    assert!(
        !verify(site.path(), "--quick").stdout.contains(link.path().as_str()),
        "it may have been deleted"
    );
    fs::create_dir(store.path(&link)).unwrap();
    let found = verify(site.path(), "--quick");
    let expected = format!("{} cannot be read: a directory is in the place of the link\n", link.path());
    assert!(found.code == Some(3) && found.stdout.contains(&expected), "{found:?}");
}

/// A directory is a link to a disk that is not mounted.
fn hide(directory: &Path) {
    fs::rename(directory, directory.with_extension("hidden")).unwrap();
    symlink("not-mounted", directory).unwrap();
}

#[test]
fn a_directory_that_cannot_be_seen_is_a_problem_and_the_rest_is_verified() {
    let (site, digest, path) = site();
    let root = site.path().join("data/docker/registry/v2");
    let seen = blobs(site.path())
        .into_iter()
        .find(|blob| blob.parent().unwrap().parent() != path.ancestors().nth(2));
    let shard = seen.unwrap().ancestors().nth(2).unwrap().to_owned();
    let [moved, gone] = [shard, root.join("repositories/team/gone")];
    fs::write(&path, "short").unwrap();
    fs::create_dir(&gone).unwrap();
    hide(&gone);
    let problem_at = |report: &Value, place: &Path| -> Value {
        let problems = report["problems"].as_array().unwrap();
        let is_it = |it: &&Value| place.ends_with(it["path"].as_str().unwrap().trim_start_matches('/'));
        problems.iter().find(is_it).unwrap_or_else(|| panic!("{}: {report}", place.display())).clone()
    };
    // Its images may need what is damaged.
    let found = json(site.path(), "--repair");
    assert_eq!(
        (&found["ending"], &problem_at(&found, &gone)["problem"]),
        (&"finished".into(), &"unreadable".into())
    );
    let left = problem_at(&found, &path)["outcome"]["left"].to_string();
    assert!(left.contains("team/gone") && path.exists(), "{left}");

    fs::remove_file(&gone).unwrap();
    hide(&moved);
    let found = json(site.path(), "--repair --since-start");
    assert_eq!(
        (&found["ending"], &problem_at(&found, &moved)["problem"]),
        (&"finished".into(), &"unreadable".into())
    );
    assert!(
        problem_at(&found, &path)["outcome"]["moved_aside"].to_string().contains(digest.hex()),
        "{found}"
    );
    assert_eq!(verify(site.path(), "").code, Some(3));

    // Of such a store nothing can be said.
    for place in ["repositories", "blobs/sha256"] {
        hide(&root.join(place));
        let failed = verify(site.path(), "--since-start");
        assert!(failed.stderr.contains("cannot be seen"), "{place}: {failed:?}");
        assert_eq!(json(site.path(), "")["ending"], "failed", "{place}");
        fs::remove_file(root.join(place)).unwrap();
        fs::rename(root.join(place).with_extension("hidden"), root.join(place)).unwrap();
    }
}
