//! `list_sorted_keys`: a listing for stores that keep whole paths as sorted keys.

use crate::{DirEntry, DriverPath};

/// Lists one level of a store whose keys are whole paths, such as `/a/b`, in byte order.
///
/// `first_from(key)` returns the first key that is equal to `key` or after it, such as the first of a range `key..`.
/// The iterator is lazy and calls it a few times for each entry, so the first names of a long listing are cheap.
///
/// A listing is in order of names, in which a directory `a` comes before `a-b`; its keys, `/a/…`, come after `/a-b`.
/// So before a name with a `-` or a `.` the iterator looks for the directories that come first.
///
/// ```
/// use std::collections::BTreeSet;
/// use sampan_driver::{DirEntry, DriverPath, list_sorted_keys};
///
/// let keys = BTreeSet::from(["/top/a-b", "/top/a/x", "/top/b"]);
/// let first_from = |key: &str| Ok::<_, std::io::Error>(keys.range(key..).next().map(|key| key.to_string()));
/// let top: DriverPath = "/top".parse()?;
/// let entries = list_sorted_keys(&top, None, first_from).collect::<Result<Vec<_>, _>>()?;
/// let (directory, file) = (|name: &str| DirEntry::Directory(name.into()), |name: &str| DirEntry::File(name.into()));
/// assert_eq!(entries, [directory("a"), file("a-b"), file("b")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The iterator yields an error of `first_from`, and ends after it.
pub fn list_sorted_keys<E, F>(
    path: &DriverPath,
    after: Option<&str>,
    first_from: F,
) -> impl Iterator<Item = Result<DirEntry, E>> + use<E, F>
where
    F: FnMut(&str) -> Result<Option<String>, E>,
{
    let prefix = if path.is_root() { String::from("/") } else { format!("{path}/") };
    let mut names = Names { prefix, last: after.unwrap_or_default().to_owned(), first_from };
    let mut has_failed = false;
    std::iter::from_fn(move || {
        let next = if has_failed { None } else { names.next().transpose() };
        has_failed = matches!(next, Some(Err(_)));
        next
    })
}

/// The names of one level, after `last`.
struct Names<F> {
    /// The path of the level, with a slash at its end.
    prefix: String,
    /// The last name; empty at the beginning.
    last: String,
    first_from: F,
}

impl<E, F: FnMut(&str) -> Result<Option<String>, E>> Names<F> {
    fn next(&mut self) -> Result<Option<DirEntry>, E> {
        let mut from = match self.last.is_empty() {
            true => self.prefix.clone(),
            false => self.prefix.clone() + &self.last + "\0",
        };
        loop {
            let Some(key) = (self.first_from)(&from)? else { return Ok(None) };
            let Some(rest) = key.strip_prefix(&self.prefix) else { return Ok(None) };
            let (name, is_directory) = match rest.split_once('/') {
                Some((name, _)) => (name, true),
                None => (rest, false),
            };
            if name <= self.last.as_str() {
                // A directory whose name came before the last one: continue behind its keys.
                from = self.prefix.clone() + name + BEHIND_A_SLASH;
                continue;
            }
            let entry = match self.directory_before(name)? {
                Some(directory) => DirEntry::Directory(directory),
                None if is_directory => DirEntry::Directory(name.to_owned()),
                None => DirEntry::File(name.to_owned()),
            };
            self.last = entry.name().to_owned();
            return Ok(Some(entry));
        }
    }

    /// The first directory after the last name that is a beginning of `name`, where its keys come later.
    fn directory_before(&mut self, name: &str) -> Result<Option<String>, E> {
        for (end, _) in name.bytes().enumerate().filter(|(_, byte)| *byte < b'/') {
            let directory = &name[..end];
            if directory <= self.last.as_str() {
                continue;
            }
            let keys = self.prefix.clone() + directory + "/";
            if (self.first_from)(&keys)?.is_some_and(|key| key.starts_with(&keys)) {
                return Ok(Some(directory.to_owned()));
            }
        }
        Ok(None)
    }
}

/// The first text after every text that begins with a slash.
const BEHIND_A_SLASH: &str = "0";

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::convert::Infallible;
    use std::ops::Bound;

    use proptest::prelude::*;

    use super::*;

    type Keys = BTreeSet<String>;

    fn first_from(keys: &Keys, key: &str) -> Option<String> {
        keys.range::<str, _>((Bound::Included(key), Bound::Unbounded)).next().cloned()
    }

    fn listed(keys: &Keys, path: &DriverPath, after: Option<&str>) -> Vec<DirEntry> {
        let first_from = |key: &str| Ok::<_, Infallible>(first_from(keys, key));
        list_sorted_keys(path, after, first_from).map(|entry| entry.unwrap()).collect()
    }

    /// All names of the level, collected and then sorted.
    fn sorted(keys: &Keys, path: &DriverPath, after: Option<&str>) -> Vec<DirEntry> {
        let mut entries = BTreeMap::new();
        for key in keys {
            let key: DriverPath = key.parse().unwrap();
            let Some(below) = key.below(path) else { continue };
            let (name, entry) = match below.split_once('/') {
                Some((name, _)) => (name, DirEntry::Directory(name.to_owned())),
                None => (below, DirEntry::File(below.to_owned())),
            };
            entries.insert(name.to_owned(), entry);
        }
        entries.into_values().filter(|entry| entry.name() > after.unwrap_or_default()).collect()
    }

    /// Names in which every character sorts differently around the slash.
    fn name() -> impl Strategy<Value = String> {
        "[a.0-]{1,4}".prop_filter("a path has no such component", |name| name != "." && name != "..")
    }

    /// Paths of which none is both a file and a prefix.
    fn keys() -> impl Strategy<Value = Keys> {
        let path = proptest::collection::vec(name(), 1..4).prop_map(|names| format!("/{}", names.join("/")));
        proptest::collection::btree_set(path, 0..40).prop_map(|keys| {
            let is_prefix = |key: &String| keys.iter().any(|other| other.starts_with(&format!("{key}/")));
            keys.iter().filter(|key| !is_prefix(key)).cloned().collect()
        })
    }

    proptest! {
        #[test]
        fn a_listing_is_that_of_the_sorted_names(keys in keys(), after in proptest::option::of(name())) {
            let mut levels = BTreeSet::from([DriverPath::root(), "/missing".parse().unwrap()]);
            levels.extend(keys.iter().filter_map(|key| key.parse::<DriverPath>().unwrap().parent()));
            levels.extend(keys.iter().map(|key| key.parse().unwrap()));
            for level in levels {
                prop_assert_eq!(listed(&keys, &level, after.as_deref()), sorted(&keys, &level, after.as_deref()));
            }
        }
    }

    #[test]
    fn the_first_names_of_a_long_listing_are_cheap() {
        let keys: Keys = (0..100_000).map(|number| format!("/tags/v1.{number}/link")).collect();
        let mut calls = 0;
        let counted = |key: &str| {
            calls += 1;
            Ok::<_, Infallible>(first_from(&keys, key))
        };
        let tags = "/tags".parse().unwrap();
        assert_eq!(list_sorted_keys(&tags, None, counted).take(10).count(), 10);
        assert!(calls <= 40, "{calls}");
    }

    #[test]
    fn an_error_ends_the_listing() {
        let first_from = |_: &str| Err::<Option<String>, _>("broken");
        let mut entries = list_sorted_keys(&DriverPath::root(), None, first_from);
        assert_eq!(entries.next(), Some(Err("broken")));
        assert_eq!(entries.next(), None);
    }
}
