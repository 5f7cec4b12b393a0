//! `DriverPath`: the location of a file, valid for every driver.
//!
//! A path is parsed once and then always valid, so no operation returns "invalid path".

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// An absolute path inside a store: `/` or `(/component)+`, where a component is `[A-Za-z0-9._-]+` except `.`
/// and `..`.
///
/// The rule is Distribution's (`storagedriver.PathRegexp`), without the two names that leave a directory.
/// Cheap to clone. Paths order by the bytes of the whole text, which is also the order of
/// [`walk`](crate::StorageDriver::walk).
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DriverPath(Arc<str>);

impl DriverPath {
    /// The top of the store: a start for listings and walks, never a file.
    pub fn root() -> Self {
        Self(Arc::from("/"))
    }

    /// The whole path, with its leading `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `/`.
    pub fn is_root(&self) -> bool {
        &*self.0 == "/"
    }

    /// The path without its leading `/`: an object key, or a path relative to a root directory.
    pub fn as_key(&self) -> &str {
        &self.0[1..]
    }

    /// The components from the top; none for `/`.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.as_key().split('/').filter(|component| !component.is_empty())
    }

    /// The last component; `None` for `/`.
    pub fn name(&self) -> Option<&str> {
        self.components().next_back()
    }

    /// The path one level up; `None` for `/`.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        match self.0.rfind('/') {
            Some(0) | None => Some(Self::root()),
            Some(end) => Some(Self(Arc::from(&self.0[..end]))),
        }
    }

    /// Appends `relative`: one component, or several separated by `/`.
    ///
    /// # Errors
    ///
    /// `relative` contains an invalid component.
    pub fn join(&self, relative: &str) -> Result<Self, InvalidPath> {
        let whole = if self.is_root() { format!("/{relative}") } else { format!("{self}/{relative}") };
        check(&whole)?;
        Ok(Self(Arc::from(whole)))
    }

    /// Whether this path is `ancestor` or below it (by whole components).
    pub fn starts_with(&self, ancestor: &DriverPath) -> bool {
        if ancestor.is_root() || self == ancestor {
            return true;
        }
        self.0.strip_prefix(ancestor.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The part after `ancestor/`; `None` unless this path is strictly below it.
    pub fn below(&self, ancestor: &DriverPath) -> Option<&str> {
        if ancestor.is_root() {
            return (!self.is_root()).then(|| self.as_key());
        }
        self.0.strip_prefix(ancestor.as_str())?.strip_prefix('/')
    }
}

impl fmt::Display for DriverPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DriverPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for DriverPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        if text != "/" {
            check(text)?;
        }
        Ok(Self(Arc::from(text)))
    }
}

/// Text that is not a valid [`DriverPath`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid path {path:?}: {problem}")]
pub struct InvalidPath {
    path: String,
    problem: &'static str,
}

fn check(text: &str) -> Result<(), InvalidPath> {
    let problem = |problem| InvalidPath { path: text.to_owned(), problem };
    let Some(key) = text.strip_prefix('/') else {
        return Err(problem("it must start with a slash"));
    };
    for component in key.split('/') {
        match component {
            "" => return Err(problem("it has an empty component")),
            "." | ".." => return Err(problem("it has a `.` or `..` component")),
            _ if !is_component(component.as_bytes()) => {
                return Err(problem("a component may contain only letters, digits, `.`, `_` and `-`"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The name as a path component; `None` if it is not valid in a path.
pub fn as_component(name: &[u8]) -> Option<&str> {
    is_component(name).then(|| std::str::from_utf8(name).ok())?
}

fn is_component(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.iter().all(|byte| ALLOWED[usize::from(*byte)])
}

/// The bytes allowed in a component; a table, because every byte of every path is looked up.
const ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        allowed[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        byte += 1;
    }
    allowed
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distributions_valid_paths_parse() {
        for path in [
            "/a",
            "/2",
            "/aa",
            "/a.a",
            "/0-9/abcdefg",
            "/abcdefg/z.75",
            "/abc/1.2.3.4.5-6_zyx/123.z/4",
            "/docker/docker-registry",
            "/123.abc",
            "/abc./abc",
            "/.abc",
            "/a--b",
            "/a-.b",
            "/_.abc",
            "/Docker/docker-registry",
            "/Abc/Cba",
            "/...",
        ] {
            assert_eq!(path.parse::<DriverPath>().unwrap().as_str(), path);
        }
    }

    #[test]
    fn invalid_paths_are_refused() {
        for path in [
            "",
            "abc",
            "123.abc",
            "//bcd",
            "/abc_123/",
            "/..",
            "/a/../b",
            "/a/.",
            "/a b",
            "/ä",
            "/a%2f",
            "/a\0",
        ] {
            assert!(path.parse::<DriverPath>().is_err(), "{path:?}");
        }
    }

    #[test]
    fn starts_with_compares_whole_components() {
        let path: DriverPath = "/a/bc".parse().unwrap();
        assert!(!path.starts_with(&"/a/b".parse().unwrap()));
        assert!(path.starts_with(&"/a".parse().unwrap()));
        assert!(path.starts_with(&DriverPath::root()));
        assert_eq!(path.below(&"/a".parse().unwrap()), Some("bc"));
        assert_eq!(path.below(&path), None);
    }

    proptest! {
        #[test]
        fn parent_and_name_invert_join(text in "(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,5}){1,5}") {
            let path: DriverPath = text.parse().unwrap();
            let (parent, name) = (path.parent().unwrap(), path.name().unwrap());
            prop_assert_eq!(parent.join(name).unwrap(), path.clone());
            prop_assert!(path.starts_with(&parent));
            prop_assert_eq!(path.below(&parent), Some(name));
        }
    }
}
