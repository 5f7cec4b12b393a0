//! `ImageName`: the repository and the tag that a name such as `registry.example:5000/team/app:1.2` gives an image here.

use std::fmt;

use sampan_engine::oci::{Digest, RepositoryName, Tag};

/// Whether the host of a name becomes a part of the repository.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum HostPolicy {
    /// It is cut off.
    #[default]
    Cut,
    /// It is the first component, without its port, which no repository can have.
    Keep,
}

/// A repository, and a tag unless the image is named by its digest.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct ImageName {
    pub(crate) repository: RepositoryName,
    pub(crate) tag: Option<Tag>,
}

impl ImageName {
    /// The name that a full reference gives: `[HOST/]REPOSITORY:TAG` or `[HOST/]REPOSITORY@DIGEST`.
    ///
    /// # Errors
    ///
    /// The problem, when the text is not a full reference.
    pub(crate) fn parse(text: &str, hosts: HostPolicy) -> Result<Self, String> {
        let (name, digest) = match text.rsplit_once('@') {
            Some((name, digest)) => {
                digest.parse::<Digest>().map_err(|error| error.to_string())?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        let (host, rest) = split_host(name);
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None if digest.is_some() => (rest, None),
            None => return Err("it has no tag".to_owned()),
        };
        let repository = match (host, hosts) {
            (Some(host), HostPolicy::Keep) => {
                let host = host.split_once(':').map_or(host, |(host, _)| host);
                format!("{}/{repository}", host.to_ascii_lowercase())
            }
            _ => repository.to_owned(),
        };
        Ok(Self {
            repository: repository.parse().map_err(|error| format!("{error}"))?,
            tag: tag.map(|tag| tag.parse().map_err(|error| format!("{error}"))).transpose()?,
        })
    }

    /// The name that docker means by one of `RepoTags`: a name without a host is one of docker.io, and there a name without a
    /// slash is below `library`.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub(crate) fn parse_docker(text: &str, hosts: HostPolicy) -> Result<Self, String> {
        match (split_host(text).0, text.contains('/')) {
            (Some(_), _) => Self::parse(text, hosts),
            (None, true) => Self::parse(&format!("docker.io/{text}"), hosts),
            (None, false) => Self::parse(&format!("docker.io/library/{text}"), hosts),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tag {
            Some(tag) => write!(f, "{}:{tag}", self.repository),
            None => write!(f, "{}", self.repository),
        }
    }
}

/// Splits the host off, by docker's rule (distribution/reference, `splitDockerDomain`): the first of several components, if it
/// has a dot, a port or upper case, or is `localhost`.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((host, rest))
            if host.contains(['.', ':'])
                || host == "localhost"
                || host.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(host), rest)
        }
        _ => (None, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_cut_off_or_kept_without_its_port() {
        let digest = Digest::sha256_of(b"x");
        for (text, cut, kept) in [
            ("docker.io/library/alpine:3", "library/alpine:3", "docker.io/library/alpine:3"),
            ("localhost:5000/app:1", "app:1", "localhost/app:1"),
            ("localhost/app:1", "app:1", "localhost/app:1"),
            ("Registry.Example/team/app:1", "team/app:1", "registry.example/team/app:1"),
            ("team/app:1.2", "team/app:1.2", "team/app:1.2"),
            ("app:1", "app:1", "app:1"),
            (&format!("quay.io/a/b@{digest}"), "a/b", "quay.io/a/b"),
            (&format!("quay.io/a/b:1@{digest}"), "a/b:1", "quay.io/a/b:1"),
        ] {
            for (hosts, expected) in [(HostPolicy::Cut, cut), (HostPolicy::Keep, kept)] {
                assert_eq!(ImageName::parse(text, hosts).unwrap().to_string(), expected, "{text}");
            }
        }
        for text in ["", "app", "a/b", "host.example/App:1", "app:", "a@sha256:12", "app:a/b", ":1"] {
            assert!(ImageName::parse(text, HostPolicy::Cut).is_err(), "{text}");
        }
    }

    #[test]
    fn docker_means_its_own_registry_by_a_short_name() {
        for (text, expected) in [
            ("alpine:3", "docker.io/library/alpine:3"),
            ("team/app:1", "docker.io/team/app:1"),
            ("localhost/app:1", "localhost/app:1"),
        ] {
            assert_eq!(ImageName::parse_docker(text, HostPolicy::Keep).unwrap().to_string(), expected);
        }
    }
}
