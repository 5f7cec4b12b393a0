//! Documents are complete and lead somewhere: links, paths, the pages of the book, the variables of tests,
//! the lists of drivers and samples.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{markdown_files, root, rust_files, show};

/// Folders of the tree. A path in backticks that begins with one of them must exist.
const FOLDERS: &[&str] =
    &[".ci/", ".github/", "config-samples/", "conformance/", "docs/", "drivers/", "src/", "tests/"];

/// Pages whose paths are not those of this tree: an earlier one's, or that of a reader who writes a driver.
const OF_OTHER_TREES: &[&str] = &["CHANGELOG.md", "conformance/README.md", "drivers/README.md"];

#[test]
fn every_link_of_a_document_resolves() {
    let mut count = 0;
    for page in markdown_files() {
        let text = fs::read_to_string(&page).unwrap();
        for link in links(&text).into_iter().filter(|link| !is_elsewhere(link)) {
            count += 1;
            if let Err(reason) = resolve(&page, &link) {
                panic!("{}: the link `{link}` leads nowhere: {reason}", show(&page));
            }
        }
    }
    assert!(count > 50, "only {count} links were found");
}

#[test]
fn every_path_that_a_document_names_exists() {
    let mut count = 0;
    for page in markdown_files() {
        if OF_OTHER_TREES.contains(&show(&page).as_str()) {
            continue;
        }
        for path in named_paths(&fs::read_to_string(&page).unwrap()) {
            count += 1;
            assert!(root().join(&path).exists(), "{} names `{path}`, which does not exist", show(&page));
        }
    }
    assert!(count > 50, "only {count} paths were found");
}

#[test]
fn the_book_has_every_page_of_docs() {
    let docs = root().join("docs");
    let summary = docs.join("SUMMARY.md");
    let listed: Vec<_> =
        links(&fs::read_to_string(&summary).unwrap()).iter().map(|link| docs.join(link)).collect();
    for page in markdown_files().into_iter().filter(|page| page.starts_with(&docs) && *page != summary) {
        let times = listed.iter().filter(|other| **other == page).count();
        assert_eq!(times, 1, "docs/SUMMARY.md must list {} once", show(&page));
    }
}

#[test]
fn lists_of_drivers_and_samples_are_complete() {
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap());
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    };
    let drivers = names("drivers").into_iter().filter(|name| name != "README.md");
    let samples = names("config-samples").into_iter().filter(|name| name != "README.md");
    for (page, expected) in [
        ("drivers/README.md", drivers.map(|name| format!("| `{name}/` |")).collect::<Vec<_>>()),
        ("config-samples/README.md", samples.map(|name| format!("]({name})")).collect()),
    ] {
        assert!(expected.len() > 2, "only {expected:?} were found for {page}");
        let text = fs::read_to_string(root().join(page)).unwrap();
        for name in expected {
            assert!(text.contains(&name), "{page} has no `{name}`");
        }
    }
}

#[test]
fn every_variable_of_the_tests_is_explained() {
    let page = fs::read_to_string(root().join("tests/README.md")).unwrap();
    let mut names = BTreeSet::new();
    for path in rust_files() {
        let text = fs::read_to_string(path).unwrap();
        for rest in text.split("\"SAMPAN_").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            names.insert(format!("SAMPAN_{name}"));
        }
    }
    // A name that ends so is put together of parts.
    names.retain(|name| !name.ends_with('_'));
    assert!(names.len() > 5, "only {names:?} were found");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "tests/README.md does not explain {name}");
    }
}

#[test]
fn links_and_headings_are_found() {
    let page =
        "# A `b`, c!\n\n[x](y.md) [z](#a-b-c)\n```\n[no](no.md)\n```\n`[no](no.md)` [e](https://e.org)\n";
    assert_eq!(links(page), ["y.md", "#a-b-c", "https://e.org"]);
    assert_eq!(anchors(page), BTreeSet::from(["a-b-c".to_owned()]));
    assert_eq!(anchors("## A\n# A\n"), BTreeSet::from(["a".to_owned(), "a-1".to_owned()]));
    assert_eq!(named_paths("`src/a.rs:3` `src/{a,b}` `src/x::y` `cat src/a`"), ["src/a.rs"]);
    let readme = root().join("README.md");
    assert!(resolve(&readme, "docs/api.md").is_ok());
    for broken in ["docs/none.md", "docs/api.md#none", "#none", "docs/../../etc/passwd"] {
        assert!(resolve(&readme, broken).is_err(), "{broken}");
    }
}

fn is_elsewhere(link: &str) -> bool {
    ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme))
}

/// Where a link of `page` leads, if that is in the tree and has the heading that the link names.
fn resolve(page: &Path, link: &str) -> Result<(), String> {
    let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
    let path = if target.is_empty() { page.to_owned() } else { join(page.parent().unwrap(), target) };
    if !path.starts_with(root()) {
        return Err("it leaves the tree".to_owned());
    }
    if !path.exists() {
        return Err(format!("{} does not exist", show(&path)));
    }
    if !anchor.is_empty() && !anchors(&fs::read_to_string(&path).unwrap_or_default()).contains(anchor) {
        return Err(format!("{} has no heading for #{anchor}", show(&path)));
    }
    Ok(())
}

fn join(folder: &Path, target: &str) -> PathBuf {
    let mut path = folder.to_owned();
    for component in Path::new(target).components() {
        match component {
            Component::ParentDir => _ = path.pop(),
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

/// The lines outside of fenced blocks, with what is between backticks apart: prose, then code.
fn prose_and_code(page: &str) -> impl Iterator<Item = (String, Vec<&str>)> {
    let mut is_inside = false;
    let lines = page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_inside ^= is_fence;
        !is_inside && !is_fence
    });
    lines.map(|line| {
        let parts: Vec<_> = line.split('`').collect();
        let prose: Vec<_> = parts.iter().step_by(2).copied().collect();
        (prose.join("`"), parts.into_iter().skip(1).step_by(2).collect())
    })
}

fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (prose, _) in prose_and_code(page) {
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        found.extend(targets.map(|(target, _)| target.to_owned()));
    }
    found
}

/// The anchors of the headings, as GitHub and mdBook make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut is_inside = false;
    for line in page.lines() {
        is_inside ^= line.starts_with("```");
        let Some(heading) = line.strip_prefix('#').filter(|_| !is_inside) else { continue };
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let slug: String = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let names = (0..).map(|n| if n == 0 { slug.clone() } else { format!("{slug}-{n}") });
        found.extend(names.into_iter().find(|name| !found.contains(name)));
    }
    found
}

/// Paths of this tree between backticks, without what stands for several and without line numbers.
fn named_paths(page: &str) -> Vec<String> {
    let is_path = |code: &&str| {
        FOLDERS.iter().any(|folder| code.starts_with(folder)) && !code.contains(['{', '*', '…', ' ', '<'])
    };
    let mut found = Vec::new();
    for (_, code) in prose_and_code(page) {
        let paths = code.into_iter().filter(is_path).filter(|code| !code.contains("::"));
        found.extend(paths.map(|code| code.split(':').next().unwrap().to_owned()));
    }
    found
}
