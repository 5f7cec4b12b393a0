//! The walks of `docs/architecture.md`, file by file, are those of the code.

use std::fs;

use regex::Regex;

use super::root;

/// The most files of a walk.
const MAX_FILES: usize = 30;

/// A function whose callers name another: `tower::ServiceExt::oneshot` calls `call`.
const ALIAS: (&str, &str) = ("call", "oneshot");

/// Tables of files and functions.
fn walks() -> Vec<Vec<(String, String)>> {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, section) = page.split_once("\n### File by file\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let row = Regex::new(r"^\| `([^`]+\.rs)` \| `(\w+)` \| ").unwrap();
    let mut walks = vec![Vec::new()];
    for line in section.lines() {
        match row.captures(line) {
            Some(found) => walks.last_mut().unwrap().push((found[1].to_owned(), found[2].to_owned())),
            None => walks.push(Vec::new()),
        }
    }
    walks.retain(|walk| !walk.is_empty());
    walks
}

#[test]
fn each_function_of_a_walk_is_there_and_used_by_a_file_before_it() {
    let walks = walks();
    assert_eq!(walks.len(), 2, "a pull and a push");
    for walk in walks {
        assert!((10..=MAX_FILES).contains(&walk.len()), "{} files", walk.len());
        let mut before: Vec<String> = Vec::new();
        for (file, name) in walk {
            let code =
                fs::read_to_string(root().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let definition = Regex::new(&format!(r"\b(fn|struct) {name}\b")).unwrap();
            assert!(definition.is_match(&code), "{file} does not define {name}");
            let used = if name == ALIAS.0 { ALIAS.1 } else { name.as_str() };
            let use_of = Regex::new(&format!(r"(\.|::|\b){used}(\(|\.|<|::)")).unwrap();
            let mut uses = before.iter().map(|code| definition.replace_all(code, ""));
            assert!(
                before.is_empty() || uses.any(|code| use_of.is_match(&code)),
                "no file before {file} uses {name}"
            );
            before.push(code);
        }
    }
}
