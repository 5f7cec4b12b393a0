//! The reports of commands that carry images, as JSON and not at all.

use std::fs;

use serde_json::{Value, json};

use super::bundles::Gap;
use crate::clients::support::filesystem_config;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_verification_reports_as_json() {
    let gap = Gap::new();
    gap.expect(0, &["export", "**", "-c", "near.yml", "-o", "b.tar"]);
    let verify = ["bundle", "verify", "b.tar", "--format", "json"];
    let report = parsed(&gap.expect(0, &verify).stdout);
    let name = parsed(&gap.expect(0, &["bundle", "ls", "b.tar", "--format", "json"]).stdout)["name"].clone();
    assert_eq!(
        (&report["name"], &report["faults"], &report["furtherFaults"]),
        (&name, &json!([]), &json!(0))
    );
    assert!(report["blobs"].as_u64() > Some(5) && report["bytes"].as_u64() > Some(3_000_000), "{report}");
    assert_eq!((&report["signature"], &report["missing"]), (&Value::Null, &Value::Null));

    let mut bytes = fs::read(gap.path("b.tar")).unwrap();
    let place = bytes.windows(9).position(|bytes| bytes == b"ownownown").unwrap();
    bytes[place] ^= 1;
    fs::write(gap.path("b.tar"), bytes).unwrap();
    let damaged = gap.expect(4, &verify);
    let report = parsed(&damaged.stdout);
    let fault = &report["faults"][0];
    assert!(fault["entry"].as_str().unwrap().starts_with("blobs/sha256/"), "{report}");
    assert!(fault["problem"].as_str().unwrap().contains("hashes to") && fault["offset"].is_u64(), "{report}");
    assert!(
        fault["part"].is_null() && damaged.stderr.contains("the bundle is damaged at byte"),
        "{damaged:?}"
    );
}

#[test]
fn a_verification_reports_what_a_registry_lacks_as_json() {
    let gap = Gap::new();
    fs::write(gap.path("empty.yml"), filesystem_config(&gap.path("empty"))).unwrap();
    fs::create_dir_all(gap.path("empty/docker/registry/v2/blobs")).unwrap();
    gap.expect(0, &["export", "team/app", "-c", "near.yml", "-o", "first.tar"]);
    gap.expect(0, &["import", "first.tar", "-c", "far.yml"]);
    gap.expect(0, &["export", "**", "-c", "near.yml", "--have", "first.tar", "-o", "delta.tar"]);
    let verify = |against: &str, code| {
        let args = ["bundle", "verify", "delta.tar", "--format", "json", "--against", against];
        parsed(&gap.expect(code, &args).stdout)
    };
    assert_eq!(verify("far.yml", 0)["missing"], json!({ "blobs": [], "images": [] }));
    let lacking = verify("empty.yml", 5);
    assert_eq!(lacking["missing"]["blobs"].as_array().unwrap().len(), 1, "{lacking}");
    assert_eq!(lacking["missing"]["images"][0]["repository"], "other", "{lacking}");
    assert_eq!(lacking["missing"]["images"][0]["tags"], json!(["v2"]), "{lacking}");
}

#[test]
fn quiet_commands_print_nothing_but_json_that_was_asked_for() {
    let gap = Gap::new();
    for (command, key) in [
        (&["export", "**", "-c", "near.yml", "-o", "b.tar"][..], "images"),
        (&["bundle", "verify", "b.tar"], "blobs"),
        (&["import", "b.tar", "-c", "far.yml"], "unchanged"),
        (&["copy", "**", "--from", "near.yml", "--to", "far.yml"], "unchanged"),
    ] {
        let quiet = gap.expect(0, &[command, &["--quiet"]].concat());
        assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""), "{command:?}");
        if command[0] == "export" {
            fs::rename(gap.path("b.tar"), gap.path("c.tar")).unwrap();
        }
        let json = gap.expect(0, &[command, &["--quiet", "--format", "json"]].concat());
        assert!(parsed(&json.stdout).get(key).is_some() && json.stderr.is_empty(), "{command:?}: {json:?}");
    }
    // What reads standard output waits for a bundle.
    let registry = env!("CARGO_BIN_EXE_registry");
    let pipe = format!("'{registry}' export '**' -c near.yml -o - --format json 2>report >d.tar");
    let ended = super::support::end(
        std::process::Command::new("sh").current_dir(gap.path("")).args(["-c", &pipe]),
        "",
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(parsed(&fs::read_to_string(gap.path("report")).unwrap())["name"].is_string());
    assert!(fs::read(gap.path("d.tar")).unwrap() == fs::read(gap.path("b.tar")).unwrap());
}
