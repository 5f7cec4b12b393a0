//! From the names in a request to an upstream and its repository.
//!
//! The stored name is always the prefix and the name there, so all spellings share one cache.

use std::sync::Arc;

use sampan_engine::oci::RepositoryName;

use crate::settings::{CacheSettings, UpstreamSettings};

/// The repository that a request names.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestedName<'a> {
    /// The parameter `ns`: the registry that the client means.
    pub ns: Option<&'a str>,
    /// The host that the client speaks to.
    pub host: Option<&'a str>,
    /// The name in the path.
    pub name: &'a str,
}

/// A repository of an upstream: its name here and its name there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct MappedName {
    /// The index of the upstream in the configuration.
    pub(crate) upstream: usize,
    /// Its name here.
    pub(crate) stored: String,
    /// Its name there.
    pub(crate) remote: String,
}

/// Why a request has no place.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MappingError {
    /// The client means a registry that is not configured.
    #[error("this registry caches nothing of {ns:?}; it caches {}", .known.join(", "))]
    UnknownNamespace {
        /// What the client said.
        ns: String,
        /// The known ones.
        known: Vec<String>,
    },
}

/// The rule for names.
#[derive(Debug)]
pub(crate) struct Mapping {
    settings: CacheSettings,
    /// The index of the default upstream.
    default: Option<usize>,
    /// The indices of upstreams with a prefix, the longest prefix first.
    by_prefix: Vec<usize>,
    /// The upstream that all names belong to.
    whole: Option<usize>,
}

impl Mapping {
    pub(crate) fn new(settings: CacheSettings) -> Self {
        let index = |name: &String| settings.upstreams.iter().position(|upstream| upstream.name == *name);
        let default = settings.default.as_ref().and_then(index);
        let prefix = |index: &usize| settings.upstreams[*index].prefix.as_ref();
        let mut by_prefix: Vec<_> =
            (0..settings.upstreams.len()).filter(|index| prefix(index).is_some()).collect();
        by_prefix.sort_by_key(|index| std::cmp::Reverse(prefix(index).map_or(0, |name| name.as_str().len())));
        let whole = settings.upstreams.iter().position(|upstream| upstream.prefix.is_none());
        Self { default, by_prefix, whole, settings }
    }

    /// The place of a request; `None` for an ordinary repository.
    pub(crate) fn place(&self, asked: RequestedName<'_>) -> Result<Option<MappedName>, MappingError> {
        let upstreams = &self.settings.upstreams;
        if let Some(ns) = asked.ns {
            let wanted = registry_name(ns);
            let found = upstreams.iter().position(|upstream| upstream.ns.contains(&wanted)).or(self.whole);
            // containerd says `ns` with `override_path`, too, whose path has the prefix.
            let has_prefix = match found {
                Some(index) => self.is_below(index, asked.name),
                None => self.by_prefix(asked.name).is_some(),
            };
            return match found {
                _ if has_prefix => Ok(self.of_stored(asked.name)),
                Some(index) => Ok(Some(self.hidden_or_below(index, asked.name))),
                None => Err(MappingError::UnknownNamespace {
                    ns: ns.chars().take(100).collect(),
                    known: upstreams.iter().flat_map(|upstream| upstream.ns.iter().cloned()).collect(),
                }),
            };
        }
        if let Some(index) = asked.host.and_then(|host| self.by_host(host)) {
            return Ok(Some(self.hidden_or_below(index, asked.name)));
        }
        Ok(self.of_stored(asked.name).or_else(|| {
            let index = self.default.filter(|_| !(self.settings.local)(asked.name))?;
            Some(self.hidden_or_below(index, asked.name))
        }))
    }

    /// The place of a name as the upstream has it, unless the prefix of another one hides it.
    fn hidden_or_below(&self, index: usize, name: &str) -> MappedName {
        let place = self.below(index, name);
        self.of_stored(&place.stored).unwrap_or(place)
    }

    /// The upstream with the longest prefix that the name is below.
    fn by_prefix(&self, name: &str) -> Option<usize> {
        self.by_prefix.iter().copied().find(|index| self.is_below(*index, name))
    }

    fn is_below(&self, index: usize, name: &str) -> bool {
        let prefix = self.settings.upstreams[index].prefix.as_ref();
        prefix.is_some_and(|prefix| below(name, prefix).is_some())
    }

    /// The upstream that alone is served under a name of this registry.
    pub(crate) fn by_host(&self, host: &str) -> Option<usize> {
        // An entry without a port means any that no other entry names.
        let with =
            |name: String| self.settings.upstreams.iter().position(|upstream| upstream.hosts.contains(&name));
        with(registry_name(host)).or_else(|| with(host_name(host)))
    }

    /// The place of a name as it is stored.
    pub(crate) fn of_stored(&self, name: &str) -> Option<MappedName> {
        match self.by_prefix(name) {
            Some(index) => {
                Some(self.below(index, below(name, self.settings.upstreams[index].prefix.as_ref()?)?))
            }
            None => self.whole.map(|index| self.below(index, name)),
        }
    }

    /// The place of a name as the upstream has it; `None` if there is no such upstream.
    pub(crate) fn of_upstream(&self, upstream: &str, name: &str) -> Option<MappedName> {
        let index = self.settings.upstreams.iter().position(|one| one.name == upstream)?;
        Some(self.below(index, name))
    }

    /// The place of a name as the upstream itself has it.
    fn below(&self, index: usize, name: &str) -> MappedName {
        let UpstreamSettings { prefix, path, library, .. } = &self.settings.upstreams[index];
        let name = match *library && !name.contains('/') {
            true => format!("library/{name}"),
            false => name.to_owned(),
        };
        let join = |folder: &Option<RepositoryName>| match folder {
            Some(folder) => format!("{folder}/{name}"),
            None => name.clone(),
        };
        MappedName { upstream: index, stored: join(prefix), remote: join(path) }
    }

    /// Whether the configuration allows a repository of the upstream, by its name there without the path.
    pub(crate) fn allows(&self, place: &MappedName) -> bool {
        let UpstreamSettings { path, allowed, .. } = &self.settings.upstreams[place.upstream];
        let name = path.as_ref().and_then(|path| below(&place.remote, path)).unwrap_or(&place.remote);
        allowed(name)
    }
}

/// The rest of a name below a folder.
fn below<'a>(name: &'a str, folder: &RepositoryName) -> Option<&'a str> {
    name.strip_prefix(folder.as_str())?.strip_prefix('/').filter(|rest| !rest.is_empty())
}

/// A registry's name as `ns` has it: in lower case, without the port of https.
fn registry_name(text: &str) -> String {
    let text = text.trim().to_ascii_lowercase();
    text.strip_suffix(":443").map(str::to_owned).unwrap_or(text)
}

/// A host without its port.
fn host_name(text: &str) -> String {
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => text,
    };
    host.trim_end_matches('.').to_ascii_lowercase()
}

impl MappedName {
    /// The names as the engine has them. The grammar allows a prefix and a name to be too long together.
    pub(crate) fn names(&self) -> Result<(RepositoryName, RepositoryName), sampan_engine::oci::InvalidName> {
        Ok((self.stored.parse()?, self.remote.parse()?))
    }
}

/// An upstream by its settings, in the order of the configuration.
pub(crate) type Upstreams = Vec<Arc<crate::upstream::Upstream>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::upstream;

    fn mapping() -> Mapping {
        let hub = UpstreamSettings {
            library: true,
            ns: vec!["docker.io".to_owned(), "registry-1.docker.io".to_owned()],
            hosts: vec!["hub.mirror.example".to_owned()],
            allowed: Arc::new(|name| !name.starts_with("secret/")),
            ..upstream("hub", Some("docker.io"))
        };
        let deep = UpstreamSettings {
            path: Some("group/project".parse().unwrap()),
            ns: vec!["registry.example:5000".to_owned()],
            allowed: Arc::new(|name| name != "x/no"),
            ..upstream("deep", Some("docker.io/deep"))
        };
        Mapping::new(CacheSettings {
            upstreams: vec![hub, deep],
            default: Some("hub".to_owned()),
            local: Arc::new(|name| name == "team" || name.starts_with("team/")),
            offline: false,
        })
    }

    /// Stored and remote name, or what else the mapping says.
    fn place(ns: Option<&str>, host: Option<&str>, name: &str) -> String {
        match mapping().place(RequestedName { ns, host, name }) {
            Ok(Some(place)) => format!("{} {} {}", place.upstream, place.stored, place.remote),
            Ok(None) => "ordinary".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn all_spellings_of_a_repository_share_one_place() {
        for (ns, host, name) in [
            (Some("docker.io"), None, "library/nginx"),
            (Some("docker.io"), None, "nginx"),
            (Some("DOCKER.IO:443"), Some("cache.example"), "nginx"),
            (Some("registry-1.docker.io"), None, "nginx"),
            (None, Some("hub.mirror.example"), "nginx"),
            (None, Some("HUB.mirror.example:5000"), "library/nginx"),
            (None, None, "docker.io/nginx"),
            (None, None, "docker.io/library/nginx"),
            (None, Some("cache.example"), "nginx"),
            (None, None, "library/nginx"),
        ] {
            let expected = "0 docker.io/library/nginx library/nginx";
            assert_eq!(place(ns, host, name), expected, "{ns:?} {host:?} {name}");
        }
    }

    #[test]
    fn the_longest_prefix_wins_and_local_names_are_ordinary() {
        assert_eq!(place(None, None, "docker.io/deep/x"), "1 docker.io/deep/x group/project/x");
        assert_eq!(place(Some("registry.example:5000"), None, "x"), "1 docker.io/deep/x group/project/x");
        // However the name of the other upstream is spelt.
        assert_eq!(place(Some("docker.io"), None, "deep/x"), "1 docker.io/deep/x group/project/x");
        assert_eq!(place(None, Some("hub.mirror.example"), "deep/x"), "1 docker.io/deep/x group/project/x");
        assert_eq!(place(None, None, "deep/x"), "1 docker.io/deep/x group/project/x");
        assert_eq!(place(None, None, "team/app"), "ordinary");
        assert_eq!(place(None, None, "docker.io2/x"), "0 docker.io/docker.io2/x docker.io2/x");
        assert_eq!(place(None, None, "docker.io"), "0 docker.io/library/docker.io library/docker.io");
    }

    #[test]
    fn a_path_with_the_prefix_may_have_ns_as_well() {
        assert_eq!(
            place(Some("docker.io"), None, "docker.io/nginx"),
            "0 docker.io/library/nginx library/nginx"
        );
        assert_eq!(place(Some("docker.io"), None, "docker.io/deep/x"), "1 docker.io/deep/x group/project/x");
        assert_eq!(place(Some("unknown.example"), None, "docker.io/a/b"), "0 docker.io/a/b a/b");
    }

    #[test]
    fn an_unknown_registry_is_an_error_that_names_the_known_ones() {
        let error = place(Some("quay.io"), None, "nginx");
        assert!(
            error.contains("\"quay.io\"") && error.contains("docker.io, registry-1.docker.io"),
            "{error}"
        );
        for hostile in ["http://169.254.169.254/", "docker.io/../x", "", "docker.io\u{0}"] {
            assert!(place(Some(hostile), None, "nginx").starts_with("this registry"), "{hostile}");
        }
    }

    #[test]
    fn a_cache_of_one_registry_has_all_names() {
        let whole = UpstreamSettings { ns: Vec::new(), ..upstream("remote", None) };
        let mapping = Mapping::new(CacheSettings {
            upstreams: vec![whole],
            default: None,
            local: Arc::new(|_| false),
            offline: false,
        });
        for ns in [None, Some("docker.io")] {
            let place = mapping.place(RequestedName { ns, host: None, name: "nginx" }).unwrap().unwrap();
            assert_eq!((place.stored.as_str(), place.remote.as_str()), ("nginx", "nginx"));
        }
    }

    #[test]
    fn the_rule_for_repositories_sees_the_name_without_the_path() {
        let mapping = mapping();
        let allows = |name| mapping.allows(&mapping.of_stored(name).unwrap());
        assert!(allows("docker.io/library/x") && !allows("docker.io/secret/x"));
        assert!(allows("docker.io/deep/x/yes") && !allows("docker.io/deep/x/no"));
    }
}
