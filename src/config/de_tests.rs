//! Values that are read from nodes, and the errors for values that do not fit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::*;
use crate::parse::parse;

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Sample {
    root: Option<PathBuf>,
    #[serde(default)]
    threads: u16,
    #[serde(default)]
    flag: bool,
    #[serde(default)]
    tags: Vec<u8>,
    #[serde(default)]
    choice: Option<Choice>,
    #[serde(default)]
    any: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    secretkey: u8,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Choice {
    Plain,
    With(u8),
}

fn read(text: &str) -> Result<Sample, String> {
    let file: Arc<str> = Arc::from("c.yml");
    let origin = |line, column| Origin::File { file: file.clone(), line, column };
    let node = parse(text, &origin).map_err(|_| "broken").unwrap().root;
    node.read().map_err(|error| error.into_diagnostic("storage.x").to_string())
}

#[test]
fn types_decide_how_a_scalar_is_read() {
    let sample = read(
        "root: 0123\nthreads: 0x10\nflag: yes\ntags: [1, 2]\nchoice: plain\nany: { a: 1, b: [x, true] }",
    )
    .unwrap();
    assert_eq!(sample.root, Some(PathBuf::from("0123")));
    assert_eq!((sample.threads, sample.flag, sample.tags), (16, true, vec![1, 2]));
    assert_eq!(sample.choice, Some(Choice::Plain));
    assert_eq!(serde_json::to_string(&sample.any).unwrap(), r#"{"a":1,"b":["x",true]}"#);
    assert_eq!(read("choice: { with: 3 }").unwrap().choice, Some(Choice::With(3)));
    assert_eq!(read("threads:\nroot: ~\n").unwrap(), read("{}").unwrap());
}

#[test]
fn errors_name_the_key_its_place_and_what_was_expected() {
    for (text, error) in [
        ("flag: \"true\"", "c.yml:1:7: storage.x.flag: expected a boolean, found the text `true`"),
        (
            "threads: 70000",
            "c.yml:1:10: storage.x.threads: expected a whole number from 0 to 65535, found the number 70000",
        ),
        (
            "threads: -1",
            "c.yml:1:10: storage.x.threads: expected a whole number from 0 to 65535, found the number -1",
        ),
        (
            "tags: [1, x]",
            "c.yml:1:11: storage.x.tags[1]: expected a whole number from 0 to 255, found the text `x`",
        ),
        ("flag: yes\nrot: /x", "c.yml:2:1: storage.x.rot: unknown key; did you mean `root`?"),
        ("root: [a]", "c.yml:1:7: storage.x.root: expected path string, found a list"),
        ("choice: plan", "c.yml:1:9: storage.x.choice: expected one of plain, with, found `plan`"),
        (
            "secretkey: hunter2",
            "c.yml:1:12: storage.x.secretkey: expected a whole number from 0 to 255, found a value that is hidden",
        ),
    ] {
        assert_eq!(read(text).unwrap_err(), error, "{text}");
    }
}
