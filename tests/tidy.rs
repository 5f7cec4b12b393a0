//! Checks that no compiler makes: imports between rooms, lengths of files, and that documents agree with the tree.

mod languages;
mod links;
mod own_driver;
mod prose;
mod walks;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may depend on whom, of our own crates (docs/architecture.md); `dev` edges in their own table.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("sampan-bench", &[]),
    ("sampan-bundle", &["sampan-engine"]),
    ("sampan-bundle-store", &["sampan-bundle", "sampan-driver", "sampan-engine"]),
    ("sampan-cache", &["sampan-client", "sampan-driver", "sampan-engine"]),
    ("sampan-client", &["sampan-engine", "sampan-shown-url"]),
    ("sampan-config", &["sampan-driver", "sampan-shown-url"]),
    ("sampan-driver", &[]),
    ("sampan-driver-filesystem", &["sampan-driver"]),
    ("sampan-driver-inmemory", &["sampan-driver"]),
    ("sampan-driver-object-store", &["sampan-driver"]),
    ("sampan-engine", &["sampan-driver", "sampan-host"]),
    ("sampan-conformance", &["sampan-driver", "sampan-engine"]),
    ("sampan-foreign", &["sampan-bundle", "sampan-engine"]),
    ("sampan-host", &[]),
    ("sampan-serve", &["sampan-config", "sampan-host"]),
    ("sampan-shown-url", &[]),
    ("sampan-sync", &["sampan-bundle", "sampan-cache", "sampan-driver", "sampan-engine", "sampan-transfer"]),
    (
        "sampan-transfer",
        &["sampan-bundle", "sampan-client", "sampan-driver", "sampan-engine", "sampan-foreign"],
    ),
    ("sampan-ui", &["sampan-engine"]),
    (
        "sampan",
        &[
            "sampan-bench",
            "sampan-cache",
            "sampan-client",
            "sampan-config",
            "sampan-bundle",
            "sampan-bundle-store",
            "sampan-driver",
            "sampan-driver-filesystem",
            "sampan-driver-inmemory",
            "sampan-driver-object-store",
            "sampan-engine",
            "sampan-foreign",
            "sampan-host",
            "sampan-serve",
            "sampan-shown-url",
            "sampan-sync",
            "sampan-transfer",
            "sampan-ui",
        ],
    ),
];

/// Crates that must never be among the direct dependencies of a crate.
const MUST_NOT_IMPORT: &[(&str, &[&str])] = &[
    ("sampan-config", &["axum", "hyper", "rustls", "tokio"]),
    ("sampan-driver", &["axum", "http", "hyper", "serde_yaml"]),
    ("sampan-engine", &["axum", "http", "hyper", "rustls", "serde_yaml"]),
    ("sampan-bundle", &["axum", "http", "hyper", "reqwest", "rustls", "sampan-driver"]),
    ("sampan-foreign", &["axum", "http", "hyper", "reqwest", "rustls", "sampan-driver"]),
    ("sampan-bundle-store", &["axum", "http", "hyper", "reqwest", "rustls"]),
    ("sampan-host", &["axum", "http", "hyper"]),
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
    files_below(&["src", "drivers", "conformance", "tests"], &["rs"])
}

/// The Markdown of the tree. What a build or a run leaves behind is no part of it.
fn markdown_files() -> Vec<PathBuf> {
    let folders = [".github", "config-samples", "conformance", "docs", "drivers", "src", "tests"];
    let mut files = files_below(&folders, &["md"]);
    let pages = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    files.extend(pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    files
}

fn files_below(folders: &[&str], extensions: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo: Vec<PathBuf> = folders.iter().map(|name| root().join(name)).collect();
    while let Some(path) = todo.pop() {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        // What `npm ci` installs is not ours.
        if path.ends_with("node_modules") {
            continue;
        }
        if path.is_dir() {
            todo.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if extensions.contains(&extension) {
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
        let may =
            allowed.get(name).unwrap_or_else(|| panic!("{name} has no row in MAY_IMPORT of tests/tidy.rs"));
        for dependency in dependencies(&package, false).filter(|dependency| dependency.starts_with("sampan"))
        {
            assert!(
                may.contains(dependency),
                "{name} must not depend on {dependency}, says its row in MAY_IMPORT of tests/tidy.rs"
            );
        }
        // Tests of a driver may run the suite, and the engine over it to count what a push costs. Transfers need a store, and
        // a store of bundles needs exports.
        let dev_allowed = |dependency: &str| {
            ["sampan-conformance", "sampan-engine"].contains(&dependency)
                && name.starts_with("sampan-driver-")
                || ["sampan-conformance", "sampan-driver-inmemory"].contains(&dependency)
                    && name == "sampan-transfer"
                || ["sampan-driver-inmemory", "sampan-transfer"].contains(&dependency)
                    && name == "sampan-bundle-store"
                || ["sampan-driver", "sampan-driver-inmemory"].contains(&dependency) && name == "sampan-ui"
                || may.contains(dependency)
        };
        for dependency in dependencies(&package, true).filter(|dependency| dependency.starts_with("sampan")) {
            assert!(dev_allowed(dependency), "{name} must not depend on {dependency} even in tests");
        }
    }
}

#[test]
fn the_engine_the_contract_and_the_configuration_stay_free_of_the_outside() {
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
    // Room → rooms that it may import; `config` is a crate.
    let may: &[(&str, &[&str])] = &[
        (
            "auth",
            &[
                "atomic_write",
                "blocking",
                "config",
                "error_chain",
                "file_watch",
                "http_client",
                "json_line",
                "line_queue",
            ],
        ),
        ("error_chain", &[]),
        ("maintenance", &["blocking", "error_chain", "config"]),
        ("debug", &["maintenance", "health", "telemetry"]),
        ("decorators", &["telemetry"]),
        ("redis_cache", &["config"]),
        ("drivers", &["config"]),
        ("health", &["http_client"]),
        ("http", &["auth", "error_chain", "health", "notify", "serve"]),
        ("inventory", &[]),
        ("json_line", &[]),
        ("line_queue", &[]),
        ("notify", &["blocking", "http_client"]),
        ("telemetry", &["config", "error_chain", "http_client", "json_line", "line_queue"]),
    ];
    for (room, allowed) in may {
        let directory = root().join("src").join(room);
        let file = root().join("src").join(format!("{room}.rs"));
        for path in rust_files().into_iter().filter(|path| path.starts_with(&directory) || *path == file) {
            for line in fs::read_to_string(&path).unwrap().lines() {
                let line = line.trim_start();
                let rest = line
                    .strip_prefix("use crate::")
                    .or_else(|| line.strip_prefix("use sampan_config").and(Some("config")));
                let Some(rest) = rest else { continue };
                let other: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let for_tests = ["test_disk", "test_log"].contains(&&*other);
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
        if !["src/debug", "src/http", "src/serve", "src/ui"].iter().any(|room| name.starts_with(room)) {
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
    let rules: Vec<_> = contract.lines().filter(|line| line.starts_with("//! | C")).collect();
    assert!(rules.len() >= 19, "only {} rules were found", rules.len());
    for (row, number) in rules.into_iter().zip(1..) {
        assert!(
            row.starts_with(&format!("//! | C{number} |")),
            "C{number} is missing, or not in its place: {row}"
        );
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
