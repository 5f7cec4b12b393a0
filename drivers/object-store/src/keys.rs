//! `Keys`: maps paths to objects. The keys are those of Distribution's drivers.

use object_store::path::Path;
use sampan_driver::DriverPath;

/// The mapping between paths and keys under one root directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Keys {
    /// Empty, or the root directory and a slash.
    prefix: String,
}

impl Keys {
    /// Keys under `root`, as written in the configuration file.
    pub(crate) fn new(root: &str) -> Result<Self, object_store::path::Error> {
        let root = root.trim().trim_matches('/');
        if root.is_empty() {
            return Ok(Self { prefix: String::new() });
        }
        Path::parse(root)?;
        Ok(Self { prefix: format!("{root}/") })
    }

    /// The object at `path`; `None` for `/`, which has none.
    pub(crate) fn object(&self, path: &DriverPath) -> Option<Path> {
        (!path.is_root()).then(|| object(&self.key(path)))
    }

    /// The state object of an upload staged at `path`.
    pub(crate) fn state(&self, path: &DriverPath) -> Path {
        object(&format!("{}{STATE}", self.key(path)))
    }

    /// The path of the upload whose state object `key` is.
    pub(crate) fn staged(&self, key: &str) -> Option<DriverPath> {
        self.path(key.strip_suffix(STATE)?)
    }

    /// A new object beside `path` for the parts of an upload that is staged there, different each time.
    ///
    /// Its name resembles a temporary file, so that a clean-up after a crash recognizes it.
    pub(crate) fn assembly(&self, path: &DriverPath) -> Path {
        let hex = format!("{:032x}", rand::random::<u128>());
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        object(&format!("{}.{a}-{b}-{c}-{d}-{e}.tmp", self.key(path)))
    }

    /// Whether [`assembly`](Self::assembly) makes `key` for `path`. Earlier versions used the key of the path itself.
    pub(crate) fn is_assembly(&self, key: &Path, path: &DriverPath) -> bool {
        let rest = key.as_ref().strip_prefix(&self.key(path));
        rest.is_some_and(|rest| rest.is_empty() || (rest.starts_with('.') && rest.ends_with(".tmp")))
    }

    /// An object of the driver's own that no path maps to.
    pub(crate) fn private(&self, name: &str) -> Path {
        object(&format!("{}!{name}", self.prefix))
    }

    /// The key of `path` as text; for `/` it is the prefix of all keys, without its slash.
    pub(crate) fn key(&self, path: &DriverPath) -> String {
        match path.is_root() {
            true => self.prefix.trim_end_matches('/').to_owned(),
            false => format!("{}{}", self.prefix, path.as_key()),
        }
    }

    /// The prefix of the keys below `path`.
    pub(crate) fn below(&self, path: &DriverPath) -> String {
        match path.is_root() {
            true => self.prefix.clone(),
            false => format!("{}{}/", self.prefix, path.as_key()),
        }
    }

    /// The path of an object; `None` if the object is foreign or a state object.
    pub(crate) fn path(&self, key: &str) -> Option<DriverPath> {
        format!("/{}", key.strip_prefix(&self.prefix)?)
            .parse()
            .ok()
            .filter(|path: &DriverPath| !path.is_root())
    }

    /// Whether `key` belongs to a state object.
    pub(crate) fn is_state(key: &str) -> bool {
        key.ends_with(STATE)
    }
}

/// The object for a key from a checked root and a path.
#[expect(
    clippy::expect_used,
    reason = "the root was parsed and paths have neither empty nor dotted components"
)]
pub(crate) fn object(key: &str) -> Path {
    Path::parse(key).expect("invariant: a root that was parsed and a driver path make a key")
}

/// The suffix of a state object's key. `!` is safe in every store, and occurs in no path.
const STATE: &str = "!upload";

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> DriverPath {
        text.parse().unwrap()
    }

    #[test]
    fn keys_are_those_of_distribution() {
        for (root, key) in [
            ("", "docker/registry/v2/x"),
            ("/", "docker/registry/v2/x"),
            ("/a", "a/docker/registry/v2/x"),
            ("a/b/", "a/b/docker/registry/v2/x"),
        ] {
            let keys = Keys::new(root).unwrap();
            let file = path("/docker/registry/v2/x");
            assert_eq!(keys.object(&file).unwrap().as_ref(), key, "{root:?}");
            assert_eq!(keys.path(key), Some(file));
        }
    }

    #[test]
    fn state_objects_and_strangers_are_no_paths() {
        let keys = Keys::new("root").unwrap();
        let state = keys.state(&path("/u/data"));
        assert_eq!(state.as_ref(), "root/u/data!upload");
        assert!(Keys::is_state(state.as_ref()));
        assert_eq!(keys.staged(state.as_ref()), Some(path("/u/data")));
        assert_eq!(keys.staged("root/u/data"), None);
        for key in [state.as_ref(), "other/x", "root", "root/", "root/a b", keys.private("probe").as_ref()] {
            assert_eq!(keys.path(key), None, "{key}");
        }
    }

    #[test]
    fn an_assembly_is_known_and_never_the_same() {
        let keys = Keys::new("root").unwrap();
        let staged = path("/u/data");
        let key = keys.assembly(&staged);
        assert!(keys.is_assembly(&key, &staged) && !Keys::is_state(key.as_ref()));
        assert_ne!(key, keys.assembly(&staged));
        assert!(!keys.is_assembly(&key, &path("/u/dat")));
        assert!(!keys.is_assembly(&keys.state(&staged), &staged));
    }

    #[test]
    fn a_root_that_makes_no_keys_is_refused() {
        assert!(Keys::new("a//b").is_err());
        assert!(Keys::new("a/../b").is_err());
    }

    #[test]
    fn everything_is_below_the_root() {
        assert_eq!(Keys::new("").unwrap().below(&DriverPath::root()), "");
        assert_eq!(Keys::new("r").unwrap().below(&DriverPath::root()), "r/");
        assert_eq!(Keys::new("r").unwrap().below(&path("/a")), "r/a/");
    }
}
