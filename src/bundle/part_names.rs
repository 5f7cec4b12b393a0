//! The names of the files of a bundle: which are its parts, `B.tar.001` and so on, and which a bundle by themselves.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::header;
use crate::layout::{OCI_LAYOUT, PLAN};
use crate::{Error, Result};

/// The path of the bundle and the number of a part; `None` for a file that is not a part.
pub(crate) type Numbered = Option<(PathBuf, u64)>;

/// The name of a part: `B.tar.001`, with more digits if there are more parts.
pub fn part_name(path: &Path, number: u64, count: u64) -> PathBuf {
    let width = count.to_string().len().max(3);
    let mut name = OsString::from(path);
    name.push(format!(".{number:0width$}"));
    name.into()
}

/// The path of the bundle and the number, if the path is the name of a part.
fn parse_part_name(path: &Path) -> Numbered {
    let number = path.extension()?.to_str()?;
    let is_number = number.len() >= 3 && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|number| is_number && *number > 0)?;
    Some((path.with_extension(""), number))
}

/// The path of the bundle and the number, if the file is a part. One that begins as a bundle does is whole, whatever its name:
/// a date such as `B.20260131` looks like a number.
pub(crate) fn numbered(path: &Path) -> Numbered {
    parse_part_name(path).filter(|(_, number)| *number == 1 || !begins_a_bundle(path))
}

/// Whether a file begins with the first entry of a bundle, and the header of a plan behind it.
fn begins_a_bundle(path: &Path) -> bool {
    const BLOCK: usize = header::BLOCK as usize;
    if !path.is_file() {
        return false;
    }
    let mut head = [0; 3 * BLOCK];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut head, 0));
    let (name, content) = OCI_LAYOUT;
    let plan = head.last_chunk::<BLOCK>().and_then(|header| header::size_of(PLAN, header));
    read.is_ok() && head.starts_with(&header::file(name, content.len() as u64)) && plan.is_some()
}

/// The files of several bundles, those of each together: parts `B.tar.001`, … of one name are one bundle, and any other
/// file is one by itself, also a whole bundle whose name ends as that of a part. The bundles are in the order of their first
/// files.
pub fn group_parts(paths: &[PathBuf]) -> Vec<Vec<PathBuf>> {
    let mut groups: Vec<Vec<PathBuf>> = Vec::new();
    for path in paths {
        let numbered = numbered(path);
        let fits = |group: &&mut Vec<PathBuf>| {
            let Some((name, number)) = &numbered else { return false };
            let others: Vec<Numbered> = group.iter().map(|other| self::numbered(other)).collect();
            // A number that comes again belongs to a second bundle of that name, on another medium.
            others.iter().flatten().any(|(other, _)| other.file_name() == name.file_name())
                && others.iter().flatten().all(|(_, other)| other != number)
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(path.clone()),
            None => groups.push(vec![path.clone()]),
        }
    }
    groups
}

/// The parts beside `path`, by number.
///
/// # Errors
///
/// `NotABundle` when two files have the same number, with more digits or fewer: they are of two bundles.
pub(crate) fn find(path: &Path) -> Result<BTreeMap<u64, PathBuf>> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(|entry| entry.ok());
    let mut parts = BTreeMap::new();
    for entry in entries {
        let Some((of, number)) = parse_part_name(Path::new(&entry.file_name())) else { continue };
        let is_part = Some(of.as_os_str()) == path.file_name() && numbered(&entry.path()).is_some();
        if is_part && parts.insert(number, entry.path()).is_some() {
            return Err(Error::NotABundle(
                "a part is there twice, as .001 and .0001 are: move the parts of another bundle away",
            ));
        }
    }
    Ok(parts)
}

/// The path of the bundle whose parts these files are, and the parts by number.
pub(crate) fn of_one_bundle(
    paths: &[PathBuf],
    numbered: &[Numbered],
) -> Result<(PathBuf, BTreeMap<u64, PathBuf>)> {
    let different = || Error::NotABundle("several files must be the parts .001, .002, … of one bundle");
    let mut parts = BTreeMap::new();
    let mut name = None;
    for (path, numbered) in paths.iter().zip(numbered) {
        let (of, number) = numbered.as_ref().ok_or_else(different)?;
        // Parts may be on several media, so only their names must agree.
        if *name.get_or_insert(of.file_name()) != of.file_name() {
            return Err(different());
        }
        if parts.insert(*number, path.clone()).is_some() {
            return Err(Error::NotABundle("a part is named twice"));
        }
    }
    let path = numbered.iter().flatten().map(|(path, _)| path.clone()).next();
    path.map(|path| (path, parts)).ok_or_else(different)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_one_name_are_one_bundle() {
        for (paths, expected) in [
            (vec!["b.tar", "c.tar"], vec![vec!["b.tar"], vec!["c.tar"]]),
            (
                vec!["m/b.tar.002", "c.tar", "b.tar.001"],
                vec![vec!["m/b.tar.002", "b.tar.001"], vec!["c.tar"]],
            ),
            (vec!["b.tar.001", "m/b.tar.001"], vec![vec!["b.tar.001"], vec!["m/b.tar.001"]]),
            (vec!["b.tar", "b.tar"], vec![vec!["b.tar"], vec!["b.tar"]]),
            (vec!["b.tar.001", "c.tar.002"], vec![vec!["b.tar.001"], vec!["c.tar.002"]]),
        ] {
            let paths: Vec<PathBuf> = paths.into_iter().map(PathBuf::from).collect();
            let expected: Vec<Vec<PathBuf>> =
                expected.into_iter().map(|group| group.into_iter().map(PathBuf::from).collect()).collect();
            assert_eq!(group_parts(&paths), expected, "{paths:?}");
        }
    }
}
