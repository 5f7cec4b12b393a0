//! Every configuration in `config-samples/` is one that would be served.

use std::fs;
use std::path::{Path, PathBuf};

use super::support::{binary, end};

fn samples(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            samples(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "yml")
            && path.file_name().is_some_and(|name| name != "docker-compose.yml")
        {
            found.push(path);
        }
    }
}

#[test]
fn every_sample_would_be_served_without_a_warning_but_of_who_may_read_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-samples");
    let mut found = Vec::new();
    samples(&root, &mut found);
    assert!(found.len() >= 4, "{found:?}");
    let directory = tempfile::tempdir().unwrap();
    for path in found {
        let ended = end(binary(directory.path()).args(["config", "check", "--without-files"]).arg(&path), "");
        assert_eq!(ended.code, Some(0), "{}: {ended:?}", path.display());
        // That a sample without users is open to everybody, and that a file with a place for a secret is one that everybody
        // may read, is right to be told.
        let other =
            |line: &str| !line.contains("from other machines") && !line.contains("this file holds a secret");
        let warnings: Vec<&str> =
            ended.stderr.lines().filter(|line| line.contains("warning") && other(line)).collect();
        assert!(warnings.is_empty(), "{}: {warnings:#?}", path.display());
    }
}
