//! What `registry token` and `registry user` refuse or warn of in view of other tokens, users and the configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sampan::auth::rfc3339;
use serde_json::Value;

use super::support::binary;
use super::token_command::{CONFIG, registry, site};

const DAY: Duration = Duration::from_secs(86_400);

/// The record of a token in the store.
fn record(site: &Path, id: &str) -> PathBuf {
    let folder = site.join("data/docker/registry/sampan/access/tokens").join(id);
    let mut files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    files.find(|path| fs::read_to_string(path).unwrap().contains("sha256")).unwrap()
}

/// Lets a token end at a time, as if it had been created earlier.
fn end_at(site: &Path, id: &str, ends: SystemTime) {
    let path = record(site, id);
    let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["created"] = rfc3339(Some(ends - DAY)).into();
    json["expires"] = rfc3339(Some(ends)).into();
    fs::write(&path, json.to_string()).unwrap();
}

fn create(site: &Path, arguments: &str) -> String {
    let created = registry(site, &format!("token create {arguments}"), "");
    assert_eq!(created.code, Some(0), "{arguments}: {created:?}");
    created.stdout.split('_').nth(1).unwrap().to_owned()
}

fn show(site: &Path, id: &str) -> Value {
    serde_json::from_str(&registry(site, &format!("token show {id} --format json"), "").stdout).unwrap()
}

#[test]
fn a_list_of_a_mistyped_store_is_an_error_and_makes_none() {
    let site = site(&CONFIG.replace("directory: data", "directory: elsewhere"));
    for command in ["list", "show AAAAAAAAAAAAAAAA", "rotate AAAAAAAAAAAAAAAA", "revoke AAAAAAAAAAAAAAAA"] {
        let ended = registry(site.path(), &format!("token {command}"), "");
        assert_ne!(ended.code, Some(0), "{command}: {ended:?}");
        assert!(!site.path().join("elsewhere").exists(), "{command}: {ended:?}");
    }
    let list = registry(site.path(), "token list", "");
    assert!(list.code == Some(1) && list.stderr.contains("there is no store in"), "{list:?}");
}

#[test]
fn a_token_whose_secret_cannot_be_printed_is_revoked() {
    let site = site(CONFIG);
    let site = site.path();
    let old = create(site, "ci --may pull --on ** --expires 1d");
    let ends = show(site, &old)["ends"].clone();
    for command in [
        format!("token rotate {old} --overlap 1h"),
        "token create new --may pull --on ** --expires 1d".to_owned(),
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut process = binary(site);
        process.args(command.split(' ')).args(["--config", "config.yml"]).stdout(full);
        let ended = process.output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(1) && told.contains("is revoked again"), "{command}: {told}");
        let list = registry(site, "token list", "").stdout;
        assert!(list.starts_with(&old) && list.lines().count() == 1, "{command}: {list}");
        assert_eq!(show(site, &old)["ends"], ends, "{command}");
    }
}

#[test]
fn a_rotation_says_when_the_old_token_ends_and_what_the_new_one_replaces() {
    let site = site(CONFIG);
    let site = site.path();
    let rotate = |arguments: &str| {
        let rotated = registry(site, &format!("token rotate {arguments}"), "");
        assert_eq!(rotated.code, Some(0), "{arguments}: {rotated:?}");
        (rotated.stdout.split('_').nth(1).unwrap().to_owned(), rotated.stderr)
    };
    let note = |id: &str| show(site, id)["note"].as_str().unwrap().to_owned();
    let first = create(site, "ci --may push --on ** --expires 1h");
    let (second, said) = rotate(&format!("{first} --overlap 3000d"));
    let ends = show(site, &first)["ends"].as_str().unwrap().to_owned();
    assert!(said.contains(&format!("the old token {first} ends at {ends}\n")), "{said}, not {ends}");
    let (third, said) = rotate(&format!("{second} --overlap 1m"));
    let ends = show(site, &second)["ends"].as_str().unwrap().to_owned();
    assert!(said.contains(&format!("the old token {second} ends at {ends}\n")), "{said}, not {ends}");
    assert_eq!((note(&second), note(&third)), (format!("replaces {first}"), format!("replaces {second}")));

    let first = create(site, "nightly --may push --on ** --expires 1h --note nightly-build");
    let (second, _) = rotate(&first);
    let (third, _) = rotate(&second);
    assert_eq!(
        [note(&second), note(&third)],
        [format!("nightly-build (replaces {first})"), format!("nightly-build (replaces {second})")]
    );
}

#[test]
fn a_rotation_that_cannot_end_the_old_token_revokes_the_new_one() {
    let site = site(CONFIG);
    let site = site.path();
    let id = create(site, "ci --may push --on ** --expires 1h");
    // As another rotation that has just ended it: it is there, and was not when the token was read.
    let folder = site.join("data/docker/registry/sampan/access/tokens").join(&id);
    std::os::unix::fs::symlink("nowhere", folder.join("ends")).unwrap();
    let rotated = registry(site, &format!("token rotate {id}"), "");
    let new = rotated.stdout.split('_').nth(1).unwrap().to_owned();
    assert_eq!(rotated.code, Some(1), "{rotated:?}");
    for part in
        [format!("the token {id} was rotated already"), format!("the new token {new} is revoked again")]
    {
        assert!(rotated.stderr.contains(&part), "{rotated:?}");
    }
    let list = registry(site, "token list", "");
    assert!(list.stdout.starts_with(&id) && list.stdout.lines().count() == 1, "{list:?}");
    let record = std::fs::read_to_string(site.join("audit.log")).unwrap();
    let events: Vec<serde_json::Value> =
        record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event["event"].as_str().unwrap(), event["token"].as_str().unwrap()))
        .collect();
    assert_eq!(events, [("token created", &*id), ("token created", &new), ("token revoked", &new)]);
}

#[test]
fn a_token_that_has_ended_or_lives_too_long_is_not_rotated() {
    let site = site(CONFIG);
    let path = site.path();
    let ended = create(path, "ci --may push --on ** --expires 1h");
    end_at(path, &ended, SystemTime::now() - DAY);
    let refused = registry(path, &format!("token rotate {ended}"), "");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("ended at") && refused.stderr.contains("registry token create"),
        "{refused:?}"
    );
    let long = create(path, "ci --may push --on ** --expires 240h");
    fs::write(path.join("config.yml"), CONFIG.replace("longest: 240h", "longest: 1h")).unwrap();
    let refused = registry(path, &format!("token rotate {long}"), "");
    assert!(refused.code == Some(1) && refused.stderr.contains("access.tokens.longest"), "{refused:?}");
    assert_eq!(registry(path, "token list", "").stdout.lines().count(), 2);
}

#[test]
fn tokens_that_ended_long_ago_are_removed_when_their_owner_gets_another_one() {
    let site = site(CONFIG);
    let path = site.path();
    let days_ago = |owner: &str, days: u32| {
        let id = create(path, &format!("ci{days} --may push --on ** --expires 1h{owner}"));
        end_at(path, &id, SystemTime::now() - days * DAY);
        id
    };
    assert_eq!(registry(path, "user add alice", "wonderland").code, Some(0));
    let (recent, alices) = (days_ago("", 29), days_ago(" --for alice", 31));
    let old = days_ago("", 31);
    let ids = || -> Vec<String> {
        let list = registry(path, "token list", "").stdout;
        list.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    };
    let new = create(path, "new --may push --on ** --expires 1h");
    let sorted = |ids: &[&String]| {
        let mut ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(), sorted(&[&recent, &alices, &new]), "not {old}");
    let other = create(path, "other --may push --on ** --expires 1h --for alice");
    assert_eq!(ids(), sorted(&[&recent, &new, &other]));
}

#[test]
fn a_token_and_a_user_never_have_the_same_name() {
    let site = site(CONFIG);
    let path = site.path();
    // There is no password file yet.
    create(path, "early --may push --on ** --expires 1h");
    let taken = registry(path, "user add early", "wonderland");
    assert!(taken.code == Some(1) && taken.stderr.contains("the name of the token"), "{taken:?}");
    assert_eq!(registry(path, "user add carol", "wonderland").code, Some(0));
    let taken = registry(path, "token create carol --may * --on ** --expires 1h", "");
    assert!(taken.code == Some(1) && taken.stderr.contains("the name of a user"), "{taken:?}");
    let own = create(path, "carol/ci --may pull --on ** --expires 1h --for carol");
    let taken = registry(path, "user add carol/ci", "wonderland");
    assert!(taken.code == Some(1) && taken.stderr.contains(&own), "{taken:?}");
    assert_eq!(registry(path, "user list", "").stdout.lines().count(), 1);
    // The name of a token that has ended is free, and a password may change.
    end_at(path, &own, SystemTime::now() - DAY);
    assert_eq!(registry(path, "user add carol/ci", "wonderland").code, Some(0));
    assert_eq!(registry(path, "user add carol", "looking-glass").code, Some(0));
}

#[test]
fn a_token_that_could_not_log_in_is_refused_or_warned_of() {
    let site = site(CONFIG);
    let path = site.path();
    assert_eq!(registry(path, "user add alice", "wonderland").code, Some(0));
    let none = registry(path, "token create ci --may push --on ** --expires 1h --for nosuch", "");
    assert_eq!((none.code, none.stdout.lines().count()), (Some(0), 1), "{none:?}");
    assert!(none.stderr.contains("warning") && none.stderr.contains("has no user nosuch"), "{none:?}");
    let alices = registry(path, "token create ci --may push --on ** --expires 1h --for alice", "");
    assert!(!alices.stderr.contains("warning"), "{alices:?}");
    for lifetime in ["0s", "0d", "900ms"] {
        let ended = registry(path, &format!("token create ci --may push --on ** --expires {lifetime}"), "");
        assert!(ended.code == Some(2) && ended.stderr.contains("at least a second"), "{lifetime}: {ended:?}");
    }
    let mut command = super::support::binary(path);
    command.args([
        "token",
        "create",
        "a b",
        "--may",
        "pull",
        "--on",
        "**",
        "--expires",
        "1h",
        "-c",
        "config.yml",
    ]);
    let quoted = super::support::end(&mut command, "");
    assert!(quoted.stderr.contains("docker login -u 'a b' REGISTRY"), "{quoted:?}");
}
