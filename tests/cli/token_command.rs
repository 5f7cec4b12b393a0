//! `registry token`, `registry user` and the key that signs tokens, by the built binary.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::support::{Ended, binary, end};
use crate::clients::support::RegistryProcess;

pub(super) const CONFIG: &str = "version: 0.1
storage: {filesystem: {rootdirectory: data}}
auth: {htpasswd: {realm: Registry, path: htpasswd}}
audit: {file: audit.log}
access:
  tokens: {longest: 240h}
  rules: [{who: users, may: pull, on: '**'}]
";

pub(super) fn site(config: &str) -> tempfile::TempDir {
    let site = tempfile::tempdir().unwrap();
    fs::write(site.path().join("config.yml"), config).unwrap();
    site
}

pub(super) fn registry(site: &Path, arguments: &str, input: &str) -> Ended {
    let mut command = binary(site);
    end(command.args(arguments.split(' ')).args(["--config", "config.yml"]), input)
}

#[test]
fn an_unreadable_record_leaves_the_other_tokens() {
    let site = site(CONFIG);
    let run = |arguments: &str| registry(site.path(), arguments, "");
    let id = |name: &str| {
        let created = run(&format!("token create {name} --may pull --on ** --expires 1d"));
        created.stdout.trim().split('_').nth(1).unwrap().to_owned()
    };
    let (looped, empty, good) = (id("looped"), id("empty"), id("good"));
    let record = |id: &str| {
        let folders = walkdir(site.path().join("data"));
        folders.into_iter().find(|path| path.ends_with(Path::new(id).join("record"))).unwrap()
    };
    fs::write(record(&empty), "").unwrap();
    let path = record(&looped);
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("record", &path).unwrap();

    let list = run("token list");
    assert_eq!(list.code, Some(0), "{list:?}");
    assert!(list.stdout.starts_with(&good) && list.stdout.lines().count() == 1, "{list:?}");
    for id in [&looped, &empty] {
        assert!(list.stderr.contains(&format!("the token {id} does not count: ")), "{list:?}");
    }
    for command in ["show", "rotate"] {
        let refused = run(&format!("token {command} {empty}"));
        let remedy = format!("registry token revoke {empty}");
        assert!(refused.code == Some(1) && refused.stderr.contains(&remedy), "{refused:?}");
    }
    for id in [&looped, &empty] {
        let revoked = run(&format!("token revoke {id}"));
        assert_eq!(revoked.code, Some(0), "{revoked:?}");
    }
    let list = run("token list");
    assert!(list.stdout.starts_with(&good) && list.stderr.is_empty(), "{list:?}");
}

/// The files below a folder.
fn walkdir(folder: std::path::PathBuf) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(walkdir(entry.path())),
            false => files.push(entry.path()),
        }
    }
    files
}

#[test]
fn the_record_of_a_command_says_who_also_without_an_environment() {
    let site = site(CONFIG);
    let mut command = binary(site.path());
    command.env_remove("SUDO_USER").env_remove("USER");
    let arguments = "token create ci --may pull --on ** --expires 1d --config config.yml";
    let created = end(command.args(arguments.split(' ')), "");
    assert_eq!(created.code, Some(0), "{created:?}");
    let id = std::process::Command::new("id").arg("-un").output().unwrap();
    let me = String::from_utf8(id.stdout).unwrap().trim().to_owned();
    let event = fs::read_to_string(site.path().join("audit.log")).unwrap();
    let event: Value = serde_json::from_str(event.lines().next().unwrap()).unwrap();
    assert_eq!(event["by"], me.as_str(), "{event}");
    let list = registry(site.path(), "token list --format json", "");
    assert_eq!(serde_json::from_str::<Value>(&list.stdout).unwrap()[0]["createdBy"], me.as_str(), "{list:?}");
}

#[test]
fn a_token_is_created_shown_rotated_and_revoked() {
    let site = site(CONFIG);
    let run = |arguments: &str| registry(site.path(), arguments, "");
    let created =
        run("token create ci --may pull,push --on team/** --except team/x --expires 1d --note nightly");
    assert_eq!(created.code, Some(0), "{created:?}");
    let secret = created.stdout.trim();
    assert_eq!(created.stdout.lines().count(), 1, "the secret is alone: {created:?}");
    let id = secret.split('_').nth(1).unwrap();
    assert!(secret.starts_with("spn_") && !created.stderr.contains(secret), "{created:?}");

    let show = |id: &str| -> Value {
        let shown = run(&format!("token show {id} --format json"));
        assert!(!shown.stdout.contains("sha256"), "{shown:?}");
        serde_json::from_str(&shown.stdout).unwrap()
    };
    let shown = show(id);
    assert_eq!(
        (&shown["name"], &shown["note"], &shown["except"][0]),
        (&"ci".into(), &"nightly".into(), &"team/x".into())
    );
    let rotated = run(&format!("token rotate {id} --overlap 0s"));
    let new = rotated.stdout.trim().split('_').nth(1).unwrap().to_owned();
    assert!(run("token list").stdout.contains(&format!("{id}\tci\tpull,push\tteam/**\tended ")));
    assert_eq!(show(&new)["on"], shown["on"]);
    let again = run(&format!("token rotate {id}"));
    assert!(again.code == Some(1) && again.stderr.contains("was rotated already"), "{again:?}");

    assert_eq!(run(&format!("token revoke {new}")).code, Some(0));
    let gone = run(&format!("token show {new}"));
    assert!(gone.code == Some(1) && gone.stderr.contains("there is no token"), "{gone:?}");
    let text = fs::read_to_string(site.path().join("audit.log")).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["token created", "token created", "token rotated", "token revoked"]);
    assert!(!text.contains("spn_"), "{text}");
}

#[test]
fn what_cannot_be_a_token_is_refused_with_the_reason() {
    let site = site(CONFIG);
    for (arguments, expected) in [
        ("token create ci --may fly --on **", "fly"),
        ("token create ci --may push --on Team/**", "Team"),
        ("token create ci --may push --on home/${user}/**", "write the name"),
        ("token create a:b --may push --on **", "no `:`"),
        ("token create token --may push --on **", "not be `token`"),
        ("token create ci --may push --on ** --expires never", "access.tokens.longest"),
        ("token create ci --may push --on ** --expires 11d", "access.tokens.longest"),
        ("token revoke ../../x", "16 characters"),
        ("token rotate aaaaaaaaaaaaaaaa --overlap never", "must have an end"),
    ] {
        let ended = registry(site.path(), arguments, "");
        assert!(ended.code == Some(2) && ended.stderr.contains(expected), "{arguments}: {ended:?}");
    }
    assert!(!site.path().join("data").exists(), "nothing was written");
    for (config, expected) in [
        (CONFIG.replace("{filesystem: {rootdirectory: data}}", "inmemory"), "the in-memory store"),
        (CONFIG.split("audit:").next().unwrap().to_owned(), "no section `access`"),
        (
            format!("{CONFIG}\n").replace(
                "rootdirectory: data}",
                "rootdirectory: data}, maintenance: {readonly: {enabled: true}}",
            ),
            "read-only",
        ),
    ] {
        fs::write(site.path().join("config.yml"), config).unwrap();
        let ended = registry(
            site.path(),
            "token create ci --may push --on **  --expires 1d".replace("  ", " ").as_str(),
            "",
        );
        assert!(ended.code == Some(1) && ended.stderr.contains(expected), "{expected}: {ended:?}");
    }
}

#[test]
fn users_are_those_of_the_configuration() {
    let site = site(CONFIG);
    assert_eq!(registry(site.path(), "user add alice", "wonderland").code, Some(0));
    assert_eq!(registry(site.path(), "user verify alice", "wonderland").code, Some(0));
    assert_eq!(registry(site.path(), "user verify alice", "wrong").code, Some(1));
    assert!(registry(site.path(), "user list", "").stdout.starts_with("alice\t"));
    assert_eq!(registry(site.path(), "user remove alice", "").code, Some(0));
    fs::write(site.path().join("config.yml"), "version: 0.1\nstorage: inmemory\nauth: none\n").unwrap();
    let ended = registry(site.path(), "user list", "");
    assert!(ended.code == Some(1) && ended.stderr.contains("no `auth.htpasswd`"), "{ended:?}");
}

#[test]
fn the_secret_of_a_token_is_no_password() {
    let site = site(CONFIG);
    let created = registry(site.path(), "token create ci --may pull --on ** --expires 1d", "");
    let secret = created.stdout.trim();
    let refused = registry(site.path(), "user add alice", secret);
    assert!(refused.code == Some(1) && refused.stderr.contains("an access token's secret"), "{refused:?}");
    assert!(!refused.stderr.contains(secret), "{refused:?}");
    let added = registry(site.path(), "user add alice", "spn_wonderland");
    assert_eq!(added.code, Some(0), "{added:?}");
}

#[test]
fn a_rotated_key_is_the_first_of_the_file() {
    let site = site(&CONFIG.replace("tokens: {", "tokens: {signingkey: signing.pem, "));
    let rotate = || end(binary(site.path()).args(["access", "rotate-key", "config.yml"]), "");
    assert_eq!(rotate().code, Some(0));
    let one = fs::read_to_string(site.path().join("signing.pem")).unwrap();
    assert_eq!(rotate().code, Some(0));
    let both = fs::read_to_string(site.path().join("signing.pem")).unwrap();
    assert!(both.ends_with(&one) && both.matches("BEGIN PRIVATE KEY").count() == 2);
    fs::write(site.path().join("signing.pem"), "no key").unwrap();
    let ended = rotate();
    assert!(ended.code == Some(1) && ended.stderr.contains("no unencrypted private key"), "{ended:?}");
    let checked = end(binary(site.path()).args(["config", "check", "config.yml"]), "");
    assert!(checked.code == Some(1) && checked.stderr.contains("signing.pem"), "{checked:?}");
}

/// A bearer token from a registry that runs for it.
fn bearer(site: &Path, user: &str, scope: &str) -> String {
    let registry = RegistryProcess::start(binary(site).args(["serve", "config.yml"]));
    let authorization = format!("Basic {}", STANDARD.encode(user));
    let path = format!("/auth/token?scope={scope}");
    let answer = registry.wire().send("GET", &path, &[("Authorization", &authorization)], b"");
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).unwrap()
}

#[test]
fn a_token_is_explained_as_the_registry_would_take_it() {
    let config =
        CONFIG.replace("tokens: {", "tokens: {signingkey: signing.pem, ") + "http: {addr: '127.0.0.1:0'}\n";
    let site = site(&config);
    let explain = |token: &str, more: &[&str]| {
        end(
            binary(site.path()).args(["access", "explain", "--token", "-", "-c", "config.yml"]).args(more),
            token,
        )
    };
    assert_eq!(registry(site.path(), "user add alice", "wonderland").code, Some(0));
    let created = registry(site.path(), "token create ci --may push --on team/** --expires 1d", "");
    let secret = created.stdout.trim().to_owned();
    let id = secret.split('_').nth(1).unwrap();
    let answer = bearer(site.path(), "alice:wonderland", "repository:team/app:pull,push");
    let token = serde_json::from_str::<Value>(&answer).unwrap()["token"].as_str().unwrap().to_owned();

    let taken = explain(&answer, &[]);
    assert_eq!((taken.code, taken.stderr.as_str()), (Some(0), ""), "{taken:?}");
    let lines: Vec<&str> = taken.stdout.lines().collect();
    assert!(lines[0].starts_with("bearer token of alice, issued for a password, ends at 2"), "{taken:?}");
    assert_eq!(
        lines[1..],
        ["  grants repository:team/app:pull; the rules give pull", "the registry takes it"]
    );
    assert!(!taken.stdout.contains(&token), "{taken:?}");

    // The rules, the password and the key as they are now.
    fs::write(site.path().join("config.yml"), config.replace("on: '**'}", "on: 'x/**'}")).unwrap();
    let less = explain(&format!("Bearer {token}"), &["--format", "json"]);
    let shown: Value = serde_json::from_str(&less.stdout).unwrap();
    assert_eq!((less.code, &shown["who"], &shown["refusal"]), (Some(0), &"alice".into(), &Value::Null));
    assert_eq!(
        (&shown["grants"][0]["given"], &shown["grants"][0]["lacking"]),
        (&json!([]), &json!(["pull"]))
    );
    fs::write(site.path().join("config.yml"), &config).unwrap();
    assert_eq!(registry(site.path(), "user add alice", "looking-glass").code, Some(0));
    let revoked = explain(&token, &[]);
    assert_eq!(revoked.code, Some(1));
    assert!(
        revoked.stdout.contains("bearer token of alice") && revoked.stdout.contains("revoked or changed"),
        "{revoked:?}"
    );
    let forged = explain(&format!("{token}x"), &[]);
    assert!(forged.code == Some(1) && forged.stdout.contains("the registry refuses it: "), "{forged:?}");

    let robot = explain(&secret, &[]);
    let expected = "access token of ci\n  may push, on team/**\nthe registry takes it\n";
    assert_eq!((robot.code, robot.stdout.as_str()), (Some(0), expected), "{robot:?}");
    assert!(
        registry(site.path(), &format!("token show {id}"), "").stdout.contains("lastUse: null"),
        "it notes no use"
    );
    let of_robot = bearer(site.path(), &format!("ci:{secret}"), "repository:team/app:pull,push");
    let robot = explain(&of_robot, &[]);
    assert!(
        robot.code == Some(0) && robot.stdout.contains(&format!("issued for the access token {id}")),
        "{robot:?}"
    );
    assert!(
        robot.stdout.contains("grants repository:team/app:pull,push; the rules give pull, push"),
        "{robot:?}"
    );
    assert_eq!(registry(site.path(), &format!("token revoke {id}"), "").code, Some(0));
    for token in [&secret, &of_robot] {
        let ended = explain(token, &[]);
        assert!(ended.code == Some(1) && ended.stdout.contains("the registry refuses it: "), "{ended:?}");
    }
    let damaged = explain(&secret[..30], &[]);
    assert!(damaged.code == Some(1) && damaged.stdout.contains("it is damaged"), "{damaged:?}");

    fs::remove_file(site.path().join("signing.pem")).unwrap();
    let unknown = explain(&token, &[]);
    assert!(
        unknown.code == Some(1) && unknown.stderr.contains("no bearer token can be verified"),
        "{unknown:?}"
    );
    assert!(!site.path().join("signing.pem").exists(), "it creates no key");
    assert_eq!(explain("", &[]).code, Some(1));
    let by_argument = end(binary(site.path()).args(["access", "explain", &token]), "");
    assert_eq!(by_argument.code, Some(2), "{by_argument:?}");
}

#[test]
fn explain_answers_for_a_robot_by_its_token() {
    let site = site(CONFIG);
    let run = |arguments: &str, input: &str| registry(site.path(), arguments, input);
    assert_eq!(run("user add alice", "wonderland").code, Some(0));
    assert_eq!(run("token create ci --may push --on team/** --expires 1d", "").code, Some(0));
    assert_eq!(run("token create hers --may * --on ** --for alice --expires 1d", "").code, Some(0));
    assert_eq!(run("token create his --may * --on ** --for bob --expires 1d", "").code, Some(0));
    for (who, repository, action, code, stdout, stderr) in [
        ("ci", "team/app", "push", 0, "ci may push to team/app\n  because the token", ""),
        ("ci", "other", "pull", 1, "ci may not pull other", ""),
        ("user:ci", "other", "pull", 0, "ci may pull other", "`ci` is not in the password file"),
        ("hers", "other", "pull", 0, "hers may pull other", ""),
        ("hers", "other", "push", 1, "hers may not push to other", ""),
        ("his", "other", "pull", 0, "his may pull other", "`bob` is not in the password file"),
        ("zoe", "other", "pull", 0, "zoe may pull other", "`zoe` is not in the password file"),
    ] {
        let explained = run(&format!("access explain {who} {repository} {action}"), "");
        assert_eq!(explained.code, Some(code), "{explained:?}");
        assert!(explained.stdout.starts_with(stdout), "{explained:?}");
        assert!(explained.stderr.contains(stderr), "{explained:?}");
        assert!(!stderr.is_empty() || explained.stderr.is_empty(), "{explained:?}");
    }
}
