//! What no compiler checks: who imports whom, how long files are, and that documents tell the truth about the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may depend on whom, of our own crates (docs/architecture.md); `dev` edges in their own table.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("sampan-bench", &[]),
    ("sampan-driver", &[]),
    ("sampan-driver-filesystem", &["sampan-driver"]),
    ("sampan-driver-inmemory", &["sampan-driver"]),
    ("sampan-driver-object-store", &["sampan-driver"]),
    ("sampan-engine", &["sampan-driver"]),
    ("sampan-conformance", &["sampan-driver", "sampan-engine"]),
    (
        "sampan",
        &[
            "sampan-bench",
            "sampan-driver",
            "sampan-driver-filesystem",
            "sampan-driver-inmemory",
            "sampan-driver-object-store",
            "sampan-engine",
        ],
    ),
];

/// What must never be found among the direct dependencies of a crate.
const MUST_NOT_IMPORT: &[(&str, &[&str])] = &[
    ("sampan-driver", &["axum", "http", "hyper", "serde_yaml"]),
    ("sampan-engine", &["axum", "http", "hyper", "rustls", "serde_yaml"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn dependencies(package: &Value, dev: bool) -> impl Iterator<Item = &str> {
    let list = package["dependencies"].as_array().unwrap();
    list.iter().filter(move |dependency| (dependency["kind"] == "dev") == dev).map(|dependency| {
        let rename = dependency["rename"].as_str();
        rename.unwrap_or_else(|| dependency["name"].as_str().unwrap())
    })
}

fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo: Vec<PathBuf> =
        ["src", "drivers", "conformance", "tests"].map(|name| root().join(name)).into();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn show(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn crates_import_only_what_they_may() {
    let allowed: BTreeMap<_, BTreeSet<_>> =
        MAY_IMPORT.iter().map(|(name, may)| (*name, may.iter().copied().collect())).collect();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let may = allowed.get(name).unwrap_or_else(|| panic!("{name} is not in the table of this test"));
        for dependency in dependencies(&package, false).filter(|dependency| dependency.starts_with("sampan"))
        {
            assert!(may.contains(dependency), "{name} must not depend on {dependency}");
        }
        // Tests of a driver may run the suite, and the engine over it to count what a push costs.
        let dev_allowed = |dependency: &str| {
            ["sampan-conformance", "sampan-engine"].contains(&dependency)
                && name.starts_with("sampan-driver-")
                || may.contains(dependency)
        };
        for dependency in dependencies(&package, true).filter(|dependency| dependency.starts_with("sampan")) {
            assert!(dev_allowed(dependency), "{name} must not depend on {dependency} even in tests");
        }
    }
}

#[test]
fn the_engine_and_the_contract_stay_free_of_the_outside() {
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        for (_, never) in MUST_NOT_IMPORT.iter().filter(|(crate_name, _)| *crate_name == name) {
            for dependency in dependencies(&package, false) {
                assert!(!never.contains(&dependency), "{name} must never depend on {dependency}");
            }
        }
    }
}

#[test]
fn modules_import_only_what_they_may() {
    // Room → rooms of the same package that it may name after `crate::`.
    let may: &[(&str, &[&str])] = &[
        ("auth", &["files", "http_client", "shown_url"]),
        ("error_chain", &[]),
        ("collector", &["error_chain", "config"]),
        ("config", &["shown_url"]),
        ("debug", &["collector", "health", "telemetry"]),
        ("redis_cache", &[]),
        ("drivers", &["config"]),
        ("files", &[]),
        ("health", &["http_client", "shown_url"]),
        ("http", &["auth", "error_chain", "health", "notify", "serve", "shown_url"]),
        ("inventory", &["http_client", "shown_url"]),
        ("middleware", &["shown_url"]),
        ("notify", &["files", "http_client", "shown_url"]),
        ("http_client", &["shown_url"]),
        ("serve", &["files"]),
        ("shown_url", &[]),
        ("telemetry", &["error_chain"]),
    ];
    for (room, allowed) in may {
        let directory = root().join("src").join(room);
        let file = root().join("src").join(format!("{room}.rs"));
        for path in rust_files().into_iter().filter(|path| path.starts_with(&directory) || *path == file) {
            for line in fs::read_to_string(&path).unwrap().lines() {
                let Some(rest) = line.trim_start().strip_prefix("use crate::") else { continue };
                let other: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let for_tests = other == "test_log";
                assert!(
                    for_tests || other == *room || allowed.contains(&other.as_str()),
                    "{}: {room} must not import {other}",
                    show(&path)
                );
            }
        }
    }
}

#[test]
fn no_file_holds_more_than_one_noun_can_need() {
    for path in rust_files() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 600, "{} has {lines} lines; which noun is hiding in it?", show(&path));
    }
}

#[test]
fn every_module_says_what_it_is() {
    for path in rust_files() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//!") || text.starts_with("#![doc = include_str!("),
            "{} does not begin with a `//!` comment",
            show(&path)
        );
    }
}

#[test]
fn paths_yaml_and_printing_stay_in_their_rooms() {
    for path in rust_files().into_iter().filter(|path| path.starts_with(root().join("src"))) {
        let text = fs::read_to_string(&path).unwrap();
        let name = show(&path);
        let code = text.split("#[cfg(test)]").next().unwrap();
        let has = |needle: &str| {
            code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(needle))
        };
        if !name.starts_with("src/engine/layout/") {
            assert!(
                !has("\"/docker/registry"),
                "{name} writes a path of the store; that is the business of src/engine/layout"
            );
        }
        if !name.starts_with("src/config") && name != "src/drivers.rs" {
            assert!(!has("serde_yaml"), "{name} knows YAML");
        }
        if !["src/debug", "src/http", "src/serve"].iter().any(|room| name.starts_with(room)) {
            assert!(!has("StatusCode::"), "{name} knows status codes");
        }
    }
}

#[test]
fn the_architecture_names_every_folder() {
    let document = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let folders: BTreeSet<_> = rust_files().iter().filter_map(|path| path.parent().map(show)).collect();
    for folder in
        folders.iter().filter(|folder| !folder.split('/').any(|part| matches!(part, "tests" | "benches")))
    {
        assert!(document.contains(&format!("`{folder}")), "docs/architecture.md does not name `{folder}`");
    }
}

#[test]
fn every_rule_of_the_contract_names_clauses_that_exist() {
    let contract = fs::read_to_string(root().join("drivers/api/src/lib.rs")).unwrap();
    let suite: String = rust_files()
        .into_iter()
        .filter(|path| path.starts_with(root().join("conformance/src/driver")))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for number in 1..=18 {
        let row = contract.lines().find(|line| line.starts_with(&format!("//! | C{number} |"))).unwrap();
        let clauses: Vec<_> = row
            .rsplit(" | ")
            .next()
            .unwrap()
            .split('`')
            .filter_map(|part| Some(part.split_once("::")?.1.to_owned()))
            .collect();
        assert!(!clauses.is_empty(), "C{number} names no clause");
        for clause in clauses {
            assert!(suite.contains(&clause), "C{number} names the clause {clause}, which does not exist");
        }
    }
}

/// Pages that exist in Traditional Chinese beside English.
const TRANSLATED: &[&str] = &["README", "docs/deployment"];

#[test]
fn both_languages_name_the_same_commands() {
    for page in TRANSLATED {
        let read = |name: String| fs::read_to_string(root().join(name)).unwrap();
        let (english, chinese) = (read(format!("{page}.md")), read(format!("{page}.zh-HK.md")));
        assert!(code_blocks(&english).len() > 1, "{page}.md has no commands to compare");
        if let Some(difference) = code_difference(&english, &chinese) {
            panic!("{page}.md and {page}.zh-HK.md differ: {difference}");
        }
    }
}

#[test]
fn a_command_that_one_language_lacks_is_found() {
    let english = "Run `a`:\n\n```sh\na --x   # begins\n# all of it\nb \"#1\"\n```\n";
    let same = "執行 `a`：\n\n```sh\na --x   # 開始\nb \"#1\"\n```\n";
    assert_eq!(code_difference(english, same), None);
    for other in [
        same.replace("b \"#1\"\n", ""),
        same.replace("--x", "--y"),
        same.replace("```sh", "```yaml"),
        format!("{same}\n```sh\nc\n```\n"),
        same.replace("`a`", "a"),
        same.replace("`a`", "`a` `b`"),
    ] {
        assert!(code_difference(english, &other).is_some(), "{other}");
        assert!(code_difference(&other, english).is_some(), "{other}");
    }
}

/// Where the code of a page and of its translation differs: the first fenced block, else the first piece of code in a sentence.
fn code_difference(page: &str, translation: &str) -> Option<String> {
    let (here, there) = (code_blocks(page), code_blocks(translation));
    for index in 0..here.len().max(there.len()) {
        let (ours, theirs) = (here.get(index), there.get(index));
        if ours != theirs {
            return Some(format!("fenced block {}: {ours:#?} against {theirs:#?}", index + 1));
        }
    }
    let (here, there) = (code_in_sentences(page), code_in_sentences(translation));
    here.symmetric_difference(&there).next().map(|code| format!("only one has `{code}`"))
}

/// The fenced blocks, each with its language in the first line, without comments and empty lines.
fn code_blocks(page: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        if line.starts_with("```") {
            is_inside = !is_inside;
            if is_inside {
                blocks.push(vec![line]);
            }
        } else if let Some(block) = blocks.last_mut().filter(|_| is_inside) {
            let is_comment = line.trim_start().starts_with('#');
            let code = if is_comment { "" } else { line.split(" # ").next().unwrap().trim_end() };
            if !code.is_empty() {
                block.push(code);
            }
        }
    }
    assert!(!is_inside, "a fenced block has no end");
    blocks
}

/// What stands between backticks outside of fenced blocks.
fn code_in_sentences(page: &str) -> BTreeSet<&str> {
    let mut is_inside = false;
    let sentences = page.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        is_inside ^= is_fence;
        !is_inside && !is_fence
    });
    sentences.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}
