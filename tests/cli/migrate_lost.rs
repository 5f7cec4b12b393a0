//! `registry migrate`, by the built binary, from a store that has lost something.

use std::fs;
use std::path::Path;

use sampan_engine::AccessTokenId;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use serde_json::Value;

use super::support::{Ended, binary, end};
use crate::support::StoreFiles;
use crate::support::store::index;

const FINISH: &str = "--from read-only.yml --to b.yml --finish";

/// Configurations of a store, of the same while it is read-only, and of a copy of it; both stores.
fn site() -> (tempfile::TempDir, StoreFiles, StoreFiles) {
    let site = tempfile::tempdir().unwrap();
    let read_only = "maintenance: {readonly: {enabled: true}}";
    for (name, root, more) in [("a", "old", ""), ("read-only", "old", read_only), ("b", "new", "")] {
        let text = format!("version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {root}}}\n  {more}\n");
        fs::write(site.path().join(format!("{name}.yml")), text).unwrap();
    }
    let store = StoreFiles::new(&site.path().join("old"));
    for (repository, tag) in [("team/app", "v1"), ("team/web", "v1"), ("other/x", "v1")] {
        let image = store.image(repository, &format!("{repository}{tag}"), &[format!("{repository}{tag}")]);
        store.tag(repository, tag, &image);
    }
    let new = StoreFiles::new(&site.path().join("new"));
    (site, store, new)
}

fn migrate(site: &Path, arguments: &str) -> Ended {
    end(binary(site).arg("migrate").args(arguments.split(' ')), "")
}

fn image_of(store: &StoreFiles, repository: &str) -> Digest {
    let entries = store.entries().into_iter();
    let mut links = entries.filter_map(|entry| match entry {
        Entry::RevisionLink(name, digest) if name.as_str() == repository => Some(digest),
        _ => None,
    });
    links.next().unwrap()
}

#[test]
fn what_is_kept_although_the_source_has_lost_it_is_counted_and_named() {
    let (site, store, _new) = site();
    let at = site.path();
    assert_eq!(migrate(at, "--from a.yml --to b.yml").code, Some(0));
    let layer = Entry::Blob(Digest::sha256_of(b"team/webv1"));
    fs::remove_file(store.path(&layer)).unwrap();
    let ended = migrate(at, &format!("{FINISH} --yes --format json"));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    let comparison = &document["comparison"];
    let blobs = (&comparison["source"]["blobs"], &comparison["target"]["blobs"]);
    assert_eq!(blobs, (&8.into(), &9.into()), "{document}");
    let kept = &comparison["kept"];
    assert_eq!((&kept["count"], &kept["first"][0]), (&1.into(), &layer.path().as_str().into()), "{document}");
}

#[test]
fn a_link_that_the_source_has_lost_stays_at_the_target() {
    for is_layer in [true, false] {
        let (site, store, new) = site();
        let at = site.path();
        assert_eq!(migrate(at, "--from a.yml --to b.yml").code, Some(0));
        let web = || "team/web".parse().unwrap();
        let link = match is_layer {
            true => Entry::LayerLink(web(), Digest::sha256_of(b"team/webv1")),
            false => Entry::RevisionLink(web(), image_of(&store, "team/web")),
        };
        fs::remove_file(store.path(&link)).unwrap();
        for part in ["", " --repository team/**"] {
            let ended = migrate(at, &format!("{FINISH}{part}"));
            assert_eq!(ended.code, Some(3), "{ended:?}");
            let lost = format!("differs: {}: only in the target, and needed", link.path());
            assert!(ended.stdout.contains(&lost), "{ended:?}");
            assert!(new.has(&link), "the link of an image is removed");
        }
        assert!(!store.has(&Entry::Moved));
        let accepted = migrate(at, &format!("{FINISH} --yes"));
        assert_eq!(accepted.code, Some(0), "{accepted:?}");
        let kept = format!("kept, though the source has lost it: {}\n", link.path());
        assert!(accepted.stdout.contains(&kept), "{accepted:?}");
        assert!(new.has(&link), "the link of an image is removed");
        assert!(store.has(&Entry::Moved));
    }
}

/// The platforms of an index have no tags.
#[test]
fn the_platforms_of_an_index_stay_at_the_target() {
    let (site, store, new) = site();
    let at = site.path();
    let child = store.image_manifest("team/app", "child", &["child".to_owned()]);
    let digest = store.manifest("team/app", &child);
    let top = store.manifest("team/app", &index(&[(&digest, child.to_string().len())]));
    store.tag("team/app", "all", &top);
    assert_eq!(migrate(at, "--from a.yml --to b.yml").code, Some(0));
    let app = || "team/app".parse().unwrap();
    let links = [
        Entry::LayerLink(app(), Digest::sha256_of(b"child")),
        Entry::RevisionLink(app(), digest),
        Entry::RevisionLink(app(), top),
    ];
    links.iter().for_each(|link| fs::remove_file(store.path(link)).unwrap());
    let ended = migrate(at, FINISH);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    for link in links {
        assert!(
            ended.stdout.contains(&format!("{}: only in the target, and needed", link.path())),
            "{ended:?}"
        );
        assert!(new.has(&link), "{link:?} is removed");
    }
}

#[test]
fn a_tag_that_leads_nowhere_in_both_stores_is_a_difference() {
    let (site, store, new) = site();
    let at = site.path();
    assert_eq!(migrate(at, "--from a.yml --to b.yml").code, Some(0));
    let link = Entry::RevisionLink("team/web".parse().unwrap(), image_of(&store, "team/web"));
    for store in [&store, &new] {
        fs::remove_file(store.path(&link)).unwrap();
    }
    let ended = migrate(at, FINISH);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let tag = Entry::TagCurrent("team/web".parse().unwrap(), "v1".parse().unwrap());
    assert!(ended.stdout.contains(&format!("differs: {}: leads nowhere in both", tag.path())), "{ended:?}");
    fs::remove_file(store.path(&tag)).unwrap();
    assert_eq!(migrate(at, FINISH).code, Some(0), "the tag is deleted");
}

#[test]
fn a_pattern_that_matches_nothing_is_named_and_not_finished() {
    let (site, _store, _new) = site();
    let at = site.path();
    for (arguments, code) in [
        ("--from a.yml --to b.yml --repository taem/** --dry-run", 3),
        ("--from a.yml --to b.yml --repository taem/**", 3),
        ("--from a.yml --to b.yml --repository taem/** --repository team/**", 3),
        ("--from read-only.yml --to b.yml --finish --repository taem/** --repository team/**", 3),
    ] {
        let ended = migrate(at, arguments);
        assert_eq!(ended.code, Some(code), "{arguments}: {ended:?}");
        let warning = "no repository matches `--repository taem/**`";
        assert!(
            ended.stderr.contains(warning) && !ended.stderr.contains("team/**"),
            "{arguments}: {ended:?}"
        );
    }
    let rest = migrate(at, FINISH);
    assert_eq!(rest.code, Some(0), "{rest:?}");
    assert!(rest.stderr.contains("their migration is finished: team/**\n"), "{rest:?}");
}

#[test]
fn access_tokens_that_vanish_together_stay_at_the_target() {
    let (site, store, new) = site();
    let at = site.path();
    let (first, second) = (AccessTokenId::random(), AccessTokenId::random());
    for id in [&first, &second] {
        store.write(&Entry::AccessTokenRecord(*id), "{}");
    }
    let of = |id: &AccessTokenId| Entry::AccessTokenRecord(*id);
    assert_eq!(migrate(at, "--from a.yml --to b.yml").code, Some(0));
    fs::remove_file(store.path(&of(&first))).unwrap();
    let access = store.path(&of(&first)).parent().unwrap().parent().unwrap().to_owned();
    let aside = at.join("aside");
    fs::rename(&access, &aside).unwrap();
    let ended = migrate(at, FINISH);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("the source has no access tokens any more"), "{ended:?}");
    assert!(new.has(&of(&first)) && new.has(&of(&second)), "access tokens are removed");
    // One that is gone was deleted.
    fs::rename(&aside, &access).unwrap();
    assert_eq!(migrate(at, FINISH).code, Some(0));
    assert!(!new.has(&of(&first)) && new.has(&of(&second)));
}

#[test]
fn access_tokens_that_were_deleted_are_removed_if_that_is_confirmed() {
    let (site, store, new) = site();
    let at = site.path();
    let token = Entry::AccessTokenRecord(AccessTokenId::random());
    store.write(&token, "{}");
    assert_eq!(migrate(at, "--from a.yml --to b.yml").code, Some(0));
    fs::remove_file(store.path(&token)).unwrap();
    assert_eq!(migrate(at, &format!("{FINISH} --yes")).code, Some(0));
    assert!(!new.has(&token));
}

#[test]
fn a_link_that_alone_is_missing_is_named_with_its_remedy() {
    let (site, store, _new) = site();
    let at = site.path();
    let layer = Digest::sha256_of(b"team/webv1");
    fs::remove_file(store.path(&Entry::LayerLink("team/web".parse().unwrap(), layer.clone()))).unwrap();
    fs::write(at.join("c.yml"), "version: 0.1\nstorage:\n  filesystem: {rootdirectory: backups}\n").unwrap();
    for command in ["migrate --from a.yml --to b.yml", "backup run --to c.yml a.yml"] {
        let ended = end(binary(at).args(command.split(' ')), "");
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let named = ended.stdout.lines().find(|line| line.contains(&layer.to_string()));
        let named = named.unwrap_or_else(|| panic!("{ended:?}"));
        assert!(named.starts_with("without a link at the source: team/web@"), "{named}");
        assert!(
            named.contains("`registry verify --repair` writes it") && named.contains("team/web:v1"),
            "{named}"
        );
        assert!(!ended.stdout.contains("missing at the source"), "{ended:?}");
        let json = end(binary(at).args(command.split(' ')).args(["--format", "json"]), "");
        let document: Value = serde_json::from_str(&json.stdout).unwrap();
        let pass = document.get("pass").unwrap_or(&document);
        assert_eq!(pass["unlinked"]["first"][0]["digest"], layer.to_string(), "{document}");
        assert_eq!((&pass["missing"]["count"], &pass["is_whole"]), (&0.into(), &false.into()), "{document}");
    }
    let repaired =
        end(binary(at).args(["verify", "--repair", "--since-start", "--progress", "none", "a.yml"]), "");
    assert_eq!(repaired.code, Some(0), "{repaired:?}");
    assert_eq!(migrate(at, FINISH).code, Some(0));
}
