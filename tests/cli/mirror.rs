//! `registry import --prune` and `--missing-out`, `export --list`: a mirror follows its original.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use sampan_client::{ClientOptions, RegistryClient};
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use sampan_transfer::{RegistryTarget, Target};
use serde_json::Value;

use super::bundles::Gap;
use crate::clients::support::{filesystem_config, registry};
use crate::support::StoreFiles;

/// A mirror of ten tags of `team/app`, of which the original has lost the first `lost`; `b.tar` has the others.
fn mirror(lost: usize) -> (Gap, StoreFiles) {
    let gap = Gap::new();
    let tags: Vec<String> = (0..8).map(|number| format!("0.{number}")).collect();
    for tag in &tags {
        gap.near.tag("team/app", tag, &gap.image);
    }
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "first.tar"]);
    gap.expect(0, &["import", "first.tar", "-c", "far.yml"]);
    for tag in &tags[..lost] {
        let current = gap.near.path(&Entry::TagCurrent("team/app".parse().unwrap(), tag.parse().unwrap()));
        fs::remove_dir_all(current.ancestors().nth(2).unwrap()).unwrap();
    }
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar"]);
    let far = StoreFiles::new(&gap.path("far"));
    (gap, far)
}

#[test]
fn a_mirror_loses_the_tags_that_its_original_lost() {
    let (gap, _) = mirror(2);
    let import = ["import", "b.tar", "-c", "far.yml", "--prune"];
    let shown = gap.expect(0, &[&import[..], &["plan"]].concat()).stdout;
    assert!(
        shown.contains("team/app:0.0 would be removed") && shown.contains("2 tags would be removed"),
        "{shown}"
    );
    let dry = gap.expect(0, &[&import[..], &["apply", "--dry-run"]].concat()).stdout;
    assert!(dry.contains("team/app:0.1 would be removed"), "{dry}");
    assert!(gap.images("far").iter().any(|line| line.starts_with("team/app:0.0")));
    let removed = gap.expect(0, &[&import[..], &["apply", "--format", "json"]].concat()).stdout;
    let removed: Value = serde_json::from_str(&removed).unwrap();
    assert_eq!(removed["prune"]["tags"][0]["outcome"], "removed", "{removed}");
    assert_eq!(gap.images("far"), gap.images("near"));
    let again = gap.expect(0, &[&import[..], &["apply"]].concat()).stdout;
    assert!(again.contains("0 tags removed"), "{again}");
}

#[test]
fn much_is_removed_only_with_yes_and_nothing_without_permission() {
    let (gap, far) = mirror(3);
    let other = far.image("other", "far", &["x".to_owned()]);
    far.tag("other", "its-own", &other);
    let before = gap.images("far");
    let import = ["import", "b.tar", "-c", "far.yml", "--prune", "apply"];
    let asked = gap.expect(1, &import).stderr;
    assert!(
        asked.contains("1 of 2 tags of other, 3 of 10 tags of team/app") && asked.contains("--yes"),
        "{asked}"
    );
    assert_eq!(gap.images("far"), before);
    let config = filesystem_config(&gap.path("far")).replace("enabled: true", "enabled: false");
    fs::write(gap.path("careful.yml"), config).unwrap();
    let careful = ["import", "b.tar", "-c", "careful.yml", "--prune", "apply", "--yes"];
    let forbidden = gap.expect(1, &careful).stderr;
    assert!(forbidden.contains("set `storage.delete.enabled`"), "{forbidden}");
    gap.expect(0, &["export", "team/app:1.0", "-c", "near.yml", "-o", "part.tar"]);
    let part = gap.expect(1, &["import", "part.tar", "-c", "far.yml", "--prune", "plan"]).stderr;
    assert!(part.contains("no repository is whole in the bundle"), "{part}");
    for args in [
        &["import", "b.tar", "-c", "far.yml", "--prune", "plan", "--only", "other"][..],
        &["import", "b.tar", "-c", "far.yml", "--prune", "plan", "--yes"],
        &["import", "b.tar", "-c", "far.yml", "--yes"],
    ] {
        gap.expect(2, args);
    }
    assert_eq!(gap.images("far"), before);
    gap.expect(0, &[&import[..], &["--yes"]].concat());
    assert_eq!(gap.images("far"), gap.images("near"));
}

#[test]
fn a_mirror_behind_its_api_loses_tags_if_it_allows_deletions() {
    let (gap, _) = mirror(1);
    fs::create_dir(gap.path("config")).unwrap();
    let config = filesystem_config(&gap.path("far"));
    let careful = registry(&gap.path("config"), &config.replace("enabled: true", "enabled: false"));
    let import = |host: &str, code| gap.expect(code, &["import", "b.tar", "--to", host, "--prune", "apply"]);
    let refused = import(&careful.host(), 1).stderr;
    assert!(refused.contains("refuses to delete team/app:0.0"), "{refused}");
    drop(careful);
    let far = registry(&gap.path("config"), &config);
    let removed = import(&far.host(), 0).stdout;
    assert!(removed.contains("team/app:0.0 removed") && removed.contains("1 tag removed"), "{removed}");
    assert_eq!(gap.images("far"), gap.images("near"));
}

#[test]
fn a_registry_keeps_a_tag_that_moved_since_it_was_shown() {
    let (gap, far) = mirror(0);
    fs::create_dir(gap.path("config")).unwrap();
    let registry = registry(&gap.path("config"), &filesystem_config(&gap.path("far")));
    let client = RegistryClient::new(registry.host().parse().unwrap(), ClientOptions::default()).unwrap();
    let target = RegistryTarget::new(client);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (name, tag) = ("team/app".parse().unwrap(), "0.0".parse().unwrap());
    let delete = |digest: &Digest| runtime.block_on(target.delete_tag(&name, &tag, digest)).unwrap();
    let moved = far.image("team/app", "moved", &["x".to_owned()]);
    far.tag("team/app", "0.0", &moved);
    assert!(!delete(&gap.image));
    let before = gap.images("far");
    assert!(before.iter().any(|line| line.starts_with(&format!("team/app:0.0\t{moved}"))), "{before:?}");
    assert!(delete(&moved) && !delete(&moved));
    // Other tags of the manifest that the tag had stay.
    assert_eq!(gap.images("far").len(), before.len() - 1);
}

#[test]
fn missing_content_becomes_a_list_for_a_supplement() {
    let gap = Gap::new();
    gap.expect(0, &["export", "team/app", "-c", "near.yml", "-o", "first.tar"]);
    gap.expect(0, &["export", "**", "-c", "near.yml", "--have", "first.tar", "-o", "delta.tar"]);
    let import = ["import", "delta.tar", "-c", "far.yml", "--missing-out", "need.txt"];
    let refused = gap.expect(5, &import).stderr;
    assert!(
        refused.contains("incomplete: other@sha256:") && refused.contains("--list need.txt"),
        "{refused}"
    );
    let list = fs::read_to_string(gap.path("need.txt")).unwrap();
    assert!(list.starts_with("other@sha256:") && list.ends_with(" # v2\n"), "{list}");
    gap.expect(0, &["export", "--list", "need.txt", "-c", "near.yml", "-o", "supplement.tar"]);
    gap.expect(0, &["import", "supplement.tar", "-c", "far.yml"]);
    gap.expect(0, &import);
    gap.expect(0, &["import", "first.tar", "-c", "far.yml"]);
    assert_eq!(gap.images("far"), gap.images("near"));
}

#[test]
fn lists_of_other_programs_select_images_of_one_host() {
    let gap = Gap::new();
    let export = |list: &str, code: i32| {
        fs::write(gap.path("list"), list).unwrap();
        gap.expect(code, &["export", "--list", "list", "-c", "near.yml", "--dry-run"])
    };
    for (list, images) in [
        ("q.io/team/app:1.0\nother # of no host\n", "other:v2\nteam/app:1.0\n"),
        (
            "q.io:\n  images: {team/app: [\"1.0\"]}\n  images-by-tag-regex: {other: '2'}\n",
            "other:v2\nteam/app:1.0\n",
        ),
        ("q.io:\n  images-by-semver: {team/app: ~1.0}\n", "team/app:1.0\n"),
        ("kind: Images\nspec: {images: [{name: q.io/team/app}]}\n", "team/app:latest\n"),
        (
            "kind: ImageSetConfiguration\nmirror: {additionalImages: [{name: 'q.io:1/other:v2'}]}\n",
            "other:v2\n",
        ),
    ] {
        let shown = export(list, 0).stdout;
        let mut lines: Vec<&str> = shown.lines().take_while(|line| !line.contains(" exported")).collect();
        lines.sort_unstable();
        assert_eq!(lines.join("\n") + "\n", images, "{list}");
    }
    for (list, problem) in [
        ("q.io/team/app\nother\nr.io/other\n", "list:3: the lists have images of q.io (list:1) and of r.io"),
        (
            "q.io: {images: {a: []}}\nr.io: {images: {a: []}}\n",
            "list:2:17: the lists have images of q.io (list:1:17)",
        ),
        ("kind: Images\nspec:\n  images:\n  - name: 'a:'\n", "list:4:11: invalid selector"),
        ("kind: ImageSetConfiguration\nmirror:\n  helm: {}\n", "list:3:3: mirror.helm: is not read"),
    ] {
        let refused = export(list, 1).stderr;
        assert!(refused.contains(problem), "{list}: {refused}");
    }
}

#[test]
fn only_what_is_new_in_a_store_is_exported() {
    let gap = Gap::new();
    let old = gap.near.path(&Entry::TagCurrent("team/app".parse().unwrap(), "1.0".parse().unwrap()));
    let old = fs::File::options().write(true).open(old).unwrap();
    old.set_modified(UNIX_EPOCH + Duration::from_secs(86_400)).unwrap();
    let export = |since: &str| {
        gap.expect(0, &["export", "team/app", "--since", since, "-c", "near.yml", "--dry-run"]).stdout
    };
    assert!(export("1970-01-02").starts_with("team/app:1.0\nteam/app:latest\n"));
    assert!(export("1970-01-02T00:00:01Z").starts_with("team/app:latest\n"));
    for args in [
        &["export", "a", "--since", "1970-01-02", "--from", "https://q.example", "--dry-run"][..],
        &["copy", "a", "--since", "1970-01-02", "--from", "https://q.example", "--to", "far.yml"],
    ] {
        let refused = gap.expect(2, args).stderr;
        assert!(refused.contains("when a tag was set"), "{refused}");
    }
    gap.expect(2, &["export", "a", "--since", "yesterday", "-c", "near.yml", "--dry-run"]);
}

#[test]
fn a_bundle_of_a_part_stays_a_part_when_it_is_exported_again() {
    let (gap, far) = mirror(0);
    gap.expect(0, &["export", "team/app:1.0", "other", "-c", "near.yml", "-o", "part.tar"]);
    let before = gap.images("far");
    for (files, code, incomplete) in [
        ("part.tar", 0, vec!["team/app"]),
        ("part.tar, b.tar", 0, vec![]),
        ("b.tar, part.tar", 0, vec!["team/app"]),
    ] {
        let config = format!("version: 0.1\nstorage: {{bundle: {{files: [{files}]}}}}\n");
        fs::write(gap.path("served.yml"), config).unwrap();
        gap.expect(0, &["export", "**", "-c", "served.yml", "-o", "again.tar"]);
        let pruned =
            ["import", "again.tar", "-c", "far.yml", "--prune", "apply", "--yes", "--format", "json"];
        let pruned: Value = serde_json::from_str(&gap.expect(code, &pruned).stdout).unwrap();
        assert_eq!(pruned["prune"]["incomplete"], serde_json::json!(incomplete), "{files}");
        assert_eq!(gap.images("far"), before, "{files}");
        fs::remove_file(gap.path("again.tar")).unwrap();
    }
    drop(far);
}
