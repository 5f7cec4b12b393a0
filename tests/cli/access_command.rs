//! `registry access`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::{Ended, binary, end};
use crate::clients::support::RegistryProcess;

const CONFIG: &str = "\
version: 0.1
storage: inmemory
auth: {htpasswd: {realm: Registry, path: htpasswd}}
access:
  groups:
    dev: [alice, bob]
    ops: [carol]
  rules:
    - {who: anonymous, may: pull, on: 'public/**'}
    - {who: users, may: pull, on: '**', except: 'secret/**'}
    - {who: 'group:dev', may: push, on: 'team/**'}
    - {who: 'group:ops', may: pull, on: 'public/x/*'}
";

fn access(directory: &Path, args: &[&str]) -> Ended {
    end(binary(directory).arg("access").args(args), "")
}

fn site(config: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("config.yml"), config).unwrap();
    // bcrypt of nothing in particular: the command compares no passwords.
    let hash = format!("$2y$05${}", "a".repeat(53));
    let users: String = ["alice", "bob", "dave"].map(|user| format!("{user}:{hash}\n")).concat();
    fs::write(directory.path().join("htpasswd"), users).unwrap();
    directory
}

#[test]
fn explain_answers_by_its_text_and_its_exit_code() {
    let site = site(CONFIG);
    let explain = |who: &str, repository: &str, action: &str| {
        access(site.path(), &["explain", who, repository, action, "config.yml"])
    };
    let allowed = explain("alice", "team/app", "push");
    assert_eq!(
        (allowed.code, allowed.stdout.as_str(), allowed.stderr.as_str()),
        (
            Some(0),
            "alice may push to team/app\n  because config.yml:11  {who: group:dev, may: push, on: team/**}\n  alice is in group \
             dev (config.yml:6)\n",
            ""
        )
    );
    let denied = explain("user:dave", "secret/x", "pull");
    assert_eq!(
        (denied.code, denied.stdout.as_str()),
        (
            Some(1),
            "dave may not pull secret/x → 403 DENIED\n  4 rules, none gives it; nearest: config.yml:10 leaves it out, except \
             secret/**\n"
        )
    );
    assert!(
        explain("anonymous", "team/app", "*")
            .stdout
            .contains("anonymous may not pull, push and delete team/app → 401")
    );
    let stranger = explain("zoe", "public/a", "pull");
    assert_eq!(stranger.code, Some(0));
    assert!(stranger.stderr.contains("`zoe` is not in the password file"), "{stranger:?}");
    let everyone = explain("everyone", "public/a", "push");
    assert!(everyone.stdout.contains("anonymous may not push to public/a"), "{everyone:?}");
    assert_eq!(everyone.stderr, "", "it is no name of a user");
    for (who, repository, action, expected) in [
        ("group:dev", "team/app", "push", "name one of its users"),
        ("users", "team/app", "push", "name a user"),
        ("alice", "Team", "pull", "must be in lower case"),
        ("alice", "team", "write", "must be pull, push, delete or *"),
    ] {
        let ended = explain(who, repository, action);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(expected), "{ended:?}");
    }
}

#[test]
fn explain_has_a_form_for_programs() {
    let site = site(CONFIG);
    let args = ["explain", "--format", "json", "bob", "library/alpine", "delete", "config.yml"];
    let ended = access(site.path(), &args);
    assert_eq!(ended.code, Some(1));
    let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        shown,
        json!({
            "who": "bob", "scope": "repository:library/alpine:delete", "allowed": false, "status": 403, "rules": 4,
            "because": [], "nearest": [{"kind": "gives", "place": "config.yml:10", "actions": "pull"}],
        })
    );
}

#[test]
fn check_finds_what_is_valid_and_means_little() {
    let site = site(CONFIG);
    let ended = access(site.path(), &["check", "config.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        ended.stdout,
        "config.yml:7:5: `carol`, in the group `ops`, is not in the password file\nconfig.yml:12:7: the rule gives nothing that \
         config.yml:9 does not: {who: anonymous, may: pull, on: public/**}\n4 rules, 2 groups, no mistake, 2 remarks\n"
    );
    let ended = access(site.path(), &["check", "--format", "json", "config.yml"]);
    let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&shown["rules"], &shown["remarks"][1]["place"]), (&json!(4), &json!("config.yml:12:7")));
}

#[test]
fn rules_may_be_in_a_file_of_their_own() {
    let site = site("version: 0.1\nstorage: inmemory\nauth: none\naccess: {file: access.yml}\n");
    let missing = access(site.path(), &["check", "config.yml"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.contains("the policy file access.yml cannot be read"), "{missing:?}");
    fs::write(site.path().join("access.yml"), "rules:\n  - {who: users, may: pul, on: '**'}\n").unwrap();
    for args in [["check", "config.yml"].as_slice(), &["check", "--file", "access.yml"]] {
        let wrong = access(site.path(), args);
        assert_eq!(wrong.code, Some(1));
        assert!(wrong.stderr.contains("access.yml:2:23: rules[0].may[0]: expected one of pull"), "{wrong:?}");
    }
    fs::write(site.path().join("access.yml"), "rules:\n  - {who: users, may: pull, on: '**'}\n").unwrap();
    for args in [["config.yml"].as_slice(), &["--file", "access.yml"]] {
        let ended = access(site.path(), &[&["explain", "eve", "a", "pull"], args].concat());
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    }
}

#[test]
fn without_rules_there_is_nothing_to_examine() {
    let site = site("version: 0.1\nstorage: inmemory\nauth: none\n");
    let ended = access(site.path(), &["check", "config.yml"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("has no section `access`, so every user"), "{ended:?}");
}

#[test]
fn a_policy_of_zot_becomes_a_policy_file() {
    let site = site(CONFIG);
    let control = json!({"repositories": {
        "**": {"defaultPolicy": ["read"], "anonymousPolicy": ["read"]},
        "team/**": {"policies": [{"users": ["alice"], "actions": ["read", "create", "update"]}]},
    }});
    let import = |control: &Value| {
        let zot = json!({"http": {"accessControl": control}}).to_string();
        fs::write(site.path().join("zot.json"), zot).unwrap();
        access(site.path(), &["import", "--zot", "zot.json"])
    };
    let exact = import(&control);
    assert_eq!((exact.code, exact.stderr.as_str()), (Some(0), ""), "{exact:?}");
    fs::write(site.path().join("access.yml"), &exact.stdout).unwrap();
    let explain = |who, repository| {
        access(site.path(), &["explain", "--file", "access.yml", who, repository, "push"]).code
    };
    assert_eq!(
        (explain("alice", "team/app"), explain("alice", "other"), explain("bob", "team/app")),
        (Some(0), Some(1), Some(1))
    );

    let mut listed = control;
    listed["repositories"]["team/**"]["policies"][0]["conditions"] = json!([{"expression": "true"}]);
    let listed = import(&listed);
    assert_eq!(listed.code, Some(3), "{listed:?}");
    for output in [&listed.stdout, &listed.stderr] {
        assert!(output.contains("`team/**`, policies[0]: conditions have no counterpart"), "{listed:?}");
    }
    let refused = import(&json!({"repositories": {"a[b]": {}}}));
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("zot.json: the pattern `a[b]` has a class"), "{refused:?}");
}

#[test]
fn rules_of_the_configuration_are_recorded_when_sighup_replaces_or_refuses_them() {
    let config = CONFIG.to_owned() + "audit: {file: audit.log}\nhttp: {addr: '127.0.0.1:0'}\n";
    let site = site(&config);
    let registry = RegistryProcess::start(binary(site.path()).args(["serve", "config.yml"]));
    let reload = |config: &str, logged: &str| {
        fs::write(site.path().join("config.yml"), config).unwrap();
        registry.process.signal("HUP");
        registry.process.wait_for(|line| line.contains(logged).then_some(()));
    };
    let fewer = config.replace("    - {who: 'group:ops', may: pull, on: 'public/x/*'}\n", "");
    reload(&fewer, "SIGHUP: applied: access.rules");
    reload(&fewer.replace("may: push", "may: pusj"), "so nothing changes");
    reload(&config, "SIGHUP: applied: access.rules");
    // A thread of its own writes the file.
    let lines: Vec<Value> = loop {
        let text = fs::read_to_string(site.path().join("audit.log")).unwrap();
        if text.lines().count() >= 4 {
            break text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        std::thread::yield_now();
    };
    let events: Vec<_> = lines
        .iter()
        .map(|line| ["event", "rules", "source"].map(|key| line[key].as_str().unwrap()))
        .collect();
    let expected =
        [("rules read", "4"), ("rules changed", "3"), ("rules refused", "3"), ("rules changed", "4")];
    assert_eq!(events, expected.map(|(event, rules)| [event, rules, "access.rules"]));
    assert_eq!((&lines[3]["after"], &lines[3]["before"]), (&lines[0]["after"], &lines[1]["after"]));
    assert!(lines[2]["error"].as_str().unwrap().contains("config.yml:11:"), "{lines:?}");
}
