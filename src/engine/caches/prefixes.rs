//! `CachePrefixes`: which repositories are caches.

use crate::oci::RepositoryName;

/// Which repositories are caches: none, all, or those below some prefixes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CachePrefixes {
    /// The longest first. An empty one means all repositories.
    prefixes: Vec<String>,
}

impl CachePrefixes {
    /// The whole registry is a cache, whose prefix is empty.
    pub fn everything() -> Self {
        Self { prefixes: vec![String::new()] }
    }

    /// The repositories below these names are caches: `docker.io` covers `docker.io/library/nginx`, neither `docker.io`
    /// itself nor `docker.io2/nginx`.
    pub fn below(prefixes: impl IntoIterator<Item = RepositoryName>) -> Self {
        let mut prefixes: Vec<String> = prefixes.into_iter().map(|prefix| prefix.to_string()).collect();
        prefixes.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        prefixes.dedup();
        Self { prefixes }
    }

    /// Whether no repository is a cache.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Whether the repository is a cache.
    pub fn contains(&self, name: &RepositoryName) -> bool {
        self.index_of(name).is_some()
    }

    /// All prefixes, the longest first.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.prefixes.iter().map(String::as_str)
    }

    /// The position in [`iter`](Self::iter) of the longest prefix that the repository is below; the empty one if the whole
    /// registry is a cache; `None` if the repository is no cache.
    pub(crate) fn index_of(&self, name: &RepositoryName) -> Option<usize> {
        let covers = |prefix: &String| {
            let rest = name.as_str().strip_prefix(prefix.as_str());
            rest.is_some_and(|rest| prefix.is_empty() || rest.starts_with('/'))
        };
        self.prefixes.iter().position(covers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_whole_components() {
        let prefixes = ["docker.io", "docker.io/library", "b/c"].map(|prefix| prefix.parse().unwrap());
        let below = CachePrefixes::below(prefixes);
        let (none, all) = (CachePrefixes::default(), CachePrefixes::everything());
        for (name, expected) in [
            ("docker.io/library/nginx", Some("docker.io/library")),
            ("docker.io/library", Some("docker.io")),
            ("docker.io/grafana/grafana", Some("docker.io")),
            ("docker.io", None),
            ("docker.io2/x", None),
            ("b/c/d", Some("b/c")),
            ("b/d", None),
        ] {
            let name: RepositoryName = name.parse().unwrap();
            let longest = below.index_of(&name).and_then(|index| below.iter().nth(index));
            assert_eq!(longest, expected, "{name}");
            assert_eq!(below.contains(&name), expected.is_some(), "{name}");
            assert_eq!((none.index_of(&name), all.index_of(&name)), (None, Some(0)), "{name}");
        }
        assert!(none.is_empty() && !all.is_empty());
    }
}
