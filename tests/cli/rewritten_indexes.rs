//! `--rewrite-index` of `registry export` and `registry copy`.

use std::fs;

use sampan_engine::oci::{Digest, media_type};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::support::{Ended, expect};
use crate::clients::support::filesystem_config;
use crate::support::StoreFiles;

/// A store with an index `team/app:1.0` for two platforms and a signature of it, and the digest of the index.
fn near() -> (TempDir, Digest) {
    let directory = tempfile::tempdir().unwrap();
    let near = StoreFiles::new(&directory.path().join("near"));
    let children = ["amd64", "arm64"].map(|architecture| {
        let layers = ["x".repeat(1 << 20), format!("{architecture} {}", "y".repeat(1 << 20))];
        let image = near.image_manifest("team/app", architecture, &layers);
        json!({
            "mediaType": media_type::OCI_MANIFEST, "digest": near.manifest("team/app", &image),
            "size": image.to_string().len(), "platform": { "os": "linux", "architecture": architecture },
        })
    });
    let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children });
    let index = near.manifest("team/app", &index);
    near.tag("team/app", "1.0", &index);
    let signature = near.image("team/app", "signature", &[]);
    near.tag("team/app", &format!("sha256-{}.sig", index.hex()), &signature);
    for side in ["near", "far"] {
        let config = filesystem_config(&directory.path().join(side));
        fs::write(directory.path().join(format!("{side}.yml")), config).unwrap();
    }
    (directory, index)
}

const REWRITING: [&str; 5] = ["--platform", "linux/amd64", "--rewrite-index", "-c", "near.yml"];

#[test]
fn both_digests_are_named_and_the_bundle_says_where_its_index_came_from() {
    let (directory, old) = near();
    let run = |code: i32, args: &[&str]| -> Ended { expect(directory.path(), code, args) };
    let export = |output: &str, more: &[&str]| {
        run(0, &[&["export", "**", "-o", output, "--format", "json"], &REWRITING[..], more].concat())
    };
    let exported = export("b.tar", &[]);
    let report: Value = serde_json::from_str(&exported.stdout).unwrap();
    let rewritten = &report["rewritten"][0];
    assert_eq!((&rewritten["from"], &rewritten["leftOutReferrers"]), (&json!(old), &json!(1)), "{report}");
    let new = rewritten["to"].as_str().unwrap();
    let said = format!("team/app:1.0: the index {old} becomes {new}; signatures of the index are void");
    assert!(exported.stderr.contains(&said), "{exported:?}");
    run(0, &["bundle", "verify", "b.tar"]);
    let listed = run(0, &["bundle", "ls", "b.tar"]).stdout;
    assert!(listed.contains(&format!("team/app:1.0\t{new}\tmade of {old}\n")), "{listed}");
    run(0, &["import", "b.tar", "-c", "far.yml"]);
    let listed = run(0, &["ls", "-c", "far.yml"]).stdout;
    assert!(
        listed.contains("team/app:1.0") && listed.contains(&new[7..19]) && !listed.contains(".sig"),
        "{listed}"
    );

    // The same bytes with any number of jobs, in parts, and after an interruption.
    let whole = fs::read(directory.path().join("b.tar")).unwrap();
    export("jobs.tar", &["--jobs", "5"]);
    export("one.tar", &["--jobs", "1"]);
    for other in ["jobs.tar", "one.tar"] {
        assert!(fs::read(directory.path().join(other)).unwrap() == whole, "{other}");
    }
    fs::write(directory.path().join("cut.tar.partial"), &whole[..whole.len() / 2]).unwrap();
    run(0, &["export", "--resume", "-c", "near.yml", "-o", "cut.tar"]);
    assert!(fs::read(directory.path().join("cut.tar")).unwrap() == whole);
    export("parts.tar", &["--split", "1MiB"]);
    fs::remove_file(directory.path().join("parts.tar.002")).unwrap();
    run(0, &["export", "--part", "2", "-c", "near.yml", "-o", "parts.tar"]);
    assert!(fs::read(directory.path().join("parts.tar.002")).unwrap() == whole[1 << 20..2 << 20]);
}

#[test]
fn an_index_that_was_selected_by_its_digest_is_refused() {
    let (directory, old) = near();
    let by_digest = format!("team/app@{old}");
    let args = [&["export", by_digest.as_str(), "-o", "b.tar"], &REWRITING[..]].concat();
    let refused = expect(directory.path(), 1, &args).stderr;
    assert!(refused.contains(&by_digest) && refused.contains("`--rewrite-index` would change"), "{refused}");
    let copy = ["copy", &by_digest, "--from", "near.yml", "--to", "far.yml", "--platform", "linux/amd64"];
    let refused = expect(directory.path(), 1, &[&copy[..], &["--rewrite-index"]].concat()).stderr;
    assert!(refused.contains("`--rewrite-index` would change"), "{refused}");
}
