//! The table of clauses in the README is that of the code.

use std::collections::BTreeSet;

#[test]
fn the_readme_names_every_clause_and_no_other() {
    let readme = include_str!("../README.md");
    let told: BTreeSet<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| ["driver::", "engine::", "gc::"].iter().any(|suite| name.starts_with(suite)))
        .collect();
    let known: BTreeSet<&str> = sampan_conformance::clauses().map(|clause| clause.name).collect();
    let untold: Vec<_> = known.difference(&told).collect();
    let unknown: Vec<_> = told.difference(&known).collect();
    assert!(
        untold.is_empty() && unknown.is_empty(),
        "not in the README: {untold:?}; not in the code: {unknown:?}"
    );
}

#[test]
fn names_are_unique() {
    let names: Vec<&str> = sampan_conformance::clauses().map(|clause| clause.name).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), unique.len());
}
