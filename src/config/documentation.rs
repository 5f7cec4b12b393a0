//! The tables of keys in `docs/configuration.md`, which come from the rows of the keys.
//!
//! Between `<!-- keys: PATH … -->` and `<!-- end -->` the page has the table of the keys below these paths, except for those
//! that another table has by a longer path. After a change of a key, `UPDATE_EXPECT=1 cargo test -p sampan-config
//! documentation` writes the tables again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::diagnostic::child;
use super::key::{Effect, Key, Kind};
use super::root::ROOT;
use super::{Node, Origin};

const HEAD: &str = "| key | default | meaning |\n|---|---|---|\n";
const HEAD_OF_UNSERVED: &str = "| key | what happens |\n|---|---|\n";
/// Drivers with a page of their own.
const ELSEWHERE: &[&str] = &["storage.s3", "storage.s3aws", "storage.azure", "storage.gcs"];

#[test]
fn the_page_has_the_tables_of_the_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = fs::read_to_string(&path).unwrap();
    let rows = rows();
    let new = with_tables(&page, &rows);
    if std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::write(&path, new).unwrap();
        return;
    }
    let differing = page.lines().zip(new.lines()).find(|(old, new)| old != new);
    assert!(
        page == new,
        "a table of docs/configuration.md differs from the keys, first at {differing:#?}; it comes from the sections in \
         src/config, so write it again by `UPDATE_EXPECT=1 cargo test -p sampan-config documentation`"
    );
}

#[test]
fn every_key_is_documented() {
    let mut undocumented = Vec::new();
    for row in rows() {
        let sentence = row.key.meaning.trim();
        if row.group.is_none() && (sentence.is_empty() || sentence.contains('|')) {
            undocumented.push(row.path);
        }
    }
    assert!(undocumented.is_empty(), "{undocumented:#?}");
}

#[test]
fn defaults_fit_their_own_type() {
    each(&ROOT, "", &mut |key, path| {
        let Some(default) = key.default else { return };
        let node = super::parse::parse(default, &|_, _| Origin::Default).unwrap_or_else(|_| panic!("{path}"));
        let root: Node = node.root;
        match key.kind {
            Kind::Leaf(reads) => assert!(reads(&root).is_ok(), "{path}: {default}"),
            Kind::Duration => assert!(root.read::<super::GoDuration>().is_ok(), "{path}: {default}"),
            _ => panic!("{path} is no leaf and has a default"),
        }
    });
}

/// A key without keys below it.
struct Row {
    path: String,
    key: Key,
    /// The path of the outermost section of ours that has it.
    ours: Option<String>,
    /// The path and the row of the unserved key that has it.
    group: Option<(String, Key)>,
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    collect(&ROOT, "", &None, &None, &mut rows);
    rows
}

fn collect(
    kind: &Kind,
    path: &str,
    ours: &Option<String>,
    group: &Option<(String, Key)>,
    rows: &mut Vec<Row>,
) {
    for key in kind.keys().into_iter().filter(|key| !key.yaml.is_empty()) {
        let path = child(path, key.yaml);
        // `storage.gc` is the old place of `gc`, of which the page says so.
        if ELSEWHERE.contains(&path.as_str()) || path == "storage.gc" || matches!(key.effect, Effect::Idle) {
            continue;
        }
        let ours = ours.clone().or_else(|| key.is_ours.then(|| path.clone()));
        let group = match key.effect {
            Effect::Unserved(_) => Some((path.clone(), *key)),
            Effect::Served | Effect::Idle => group.clone(),
        };
        let mut inner = key.kind;
        while let Kind::List(item) = inner {
            inner = *item;
        }
        match inner.keys().is_empty() {
            true => rows.push(Row { path, key: *key, ours, group }),
            false => collect(&inner, &path, &ours, &group, rows),
        }
    }
}

fn each(kind: &Kind, path: &str, visit: &mut dyn FnMut(&Key, &str)) {
    for key in kind.keys() {
        let path = child(path, key.yaml);
        visit(key, &path);
        each(&key.kind, &path, visit);
        if let Kind::List(item) = key.kind {
            each(item, &path, visit);
        }
    }
}

/// The page with its tables written again; each row must have a table.
fn with_tables(page: &str, rows: &[Row]) -> String {
    let tables: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("<!-- keys: ").and_then(|line| line.strip_suffix(" -->")))
        .collect();
    let paths: Vec<&str> = tables.iter().flat_map(|paths| paths.split(' ')).collect();
    let table_of = |row: &Row| {
        let mut fitting: Vec<&str> = paths.iter().copied().filter(|path| is_below(&row.path, path)).collect();
        fitting.sort_by_key(|path| path.len());
        fitting.pop()
    };
    let served = || rows.iter().filter(|row| row.group.is_none());
    let homeless: Vec<&str> =
        served().filter(|row| table_of(row).is_none()).map(|row| row.path.as_str()).collect();
    assert!(homeless.is_empty(), "docs/configuration.md has no table for {homeless:?}");
    let mut new = String::new();
    let mut is_old = false;
    for line in page.lines() {
        let in_table = is_old;
        is_old = (is_old || line.starts_with("<!-- keys: ") || line == "<!-- unserved keys -->")
            && line != "<!-- end -->";
        if in_table && is_old {
            continue;
        }
        new.push_str(line);
        new.push('\n');
        if let Some(paths) = line.strip_prefix("<!-- keys: ").and_then(|line| line.strip_suffix(" -->")) {
            new.push_str(HEAD);
            for path in paths.split(' ') {
                served()
                    .filter(|row| table_of(row) == Some(path))
                    .for_each(|row| new.push_str(&row.line(path)));
            }
        }
        if line == "<!-- unserved keys -->" {
            new.push_str(HEAD_OF_UNSERVED);
            new.push_str(&unserved(rows));
        }
    }
    new
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Row {
    /// The row in the table of `table`.
    fn line(&self, table: &str) -> String {
        let Key { default, default_meaning, is_required, meaning, .. } = self.key;
        let default = match (default_meaning, default) {
            (Some(meaning), _) => meaning.to_owned(),
            (None, Some(default)) => format!("`{default}`"),
            (None, None) if is_required => "required".to_owned(),
            (None, None) => "—".to_owned(),
        };
        // A table of a section of ours says so above it.
        let is_ours = self.ours.as_ref().is_some_and(|ours| !is_below(table, ours));
        let meaning = meaning.trim();
        let meaning = match meaning.split_at_checked(1).filter(|_| is_ours) {
            Some((first, rest)) => format!("Ours: {}{rest}", first.to_lowercase()),
            None => meaning.to_owned(),
        };
        format!("| `{}` | {default} | {meaning} |\n", self.path)
    }
}

fn unserved(rows: &[Row]) -> String {
    let mut lines = String::new();
    let mut seen = BTreeSet::new();
    for (group, key) in rows.iter().filter_map(|row| row.group.as_ref()) {
        if !seen.insert(group) {
            continue;
        }
        let keys = rows.iter().filter(|row| row.group.as_ref().is_some_and(|(path, _)| path == group));
        let keys: Vec<String> = keys.map(|row| format!("`{}`", row.path)).collect();
        lines.push_str(&format!("| {} | {} |\n", keys.join(", "), key.meaning));
    }
    lines
}
