//! `ImageName`: a registry, a repository and a reference, as users write images.

use std::fmt;
use std::str::FromStr;

use sampan_engine::oci::{InvalidName, InvalidReference, Reference, RepositoryName};

use crate::address::{InvalidAddress, RegistryAddress};

/// The name of an image: `nginx`, `team/app:1.2`, `registry.example:5000/team/app@sha256:…`.
///
/// A first component with a dot, a colon or a capital letter, or `localhost`, is a host; without one the registry is Docker
/// Hub, where a name of one component is below `library/` (docker's rule, `distribution/reference: normalize.go`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ImageName {
    /// The registry.
    pub registry: RegistryAddress,
    /// The repository.
    pub repository: RepositoryName,
    /// The tag or digest; a digest wins over a tag beside it. `None` if the name has neither.
    pub reference: Option<Reference>,
}

impl FromStr for ImageName {
    type Err = InvalidImageName;

    fn from_str(text: &str) -> Result<Self, InvalidImageName> {
        let (host, rest) = split_host(text);
        let registry = match host {
            Some(host) => host.parse()?,
            None => RegistryAddress::docker_hub(),
        };
        let (rest, digest) = match rest.split_once('@') {
            Some((name, digest)) => {
                (name, Some(Reference::Digest(digest.parse().map_err(InvalidReference::from)?)))
            }
            None => (rest, None),
        };
        let (name, tag) = match rest.split_once(':') {
            Some((name, tag)) => (name, Some(Reference::Tag(tag.parse().map_err(InvalidReference::from)?))),
            None => (rest, None),
        };
        let is_official = registry.is_docker_hub() && !name.contains('/');
        let repository = if is_official { format!("library/{name}").parse()? } else { name.parse()? };
        Ok(Self { registry, repository, reference: digest.or(tag) })
    }
}

/// The host of a name, if its first component is one, and the rest.
fn split_host(text: &str) -> (Option<&str>, &str) {
    match text.split_once('/') {
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.bytes().any(|byte| byte.is_ascii_uppercase()) =>
        {
            (Some(first), rest)
        }
        _ => (None, text),
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry.name(), self.repository)?;
        match &self.reference {
            Some(Reference::Tag(tag)) => write!(f, ":{tag}"),
            Some(Reference::Digest(digest)) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// An error: the text is not the name of an image.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidImageName {
    /// The host is no address.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    /// The repository is no name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The text is no tag or digest.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b";

    #[test]
    fn names_are_read_as_docker_reads_them() {
        for (text, shown) in [
            ("nginx", "docker.io/library/nginx".to_owned()),
            ("nginx:1.2", "docker.io/library/nginx:1.2".to_owned()),
            ("team/app", "docker.io/team/app".to_owned()),
            ("docker.io/nginx", "docker.io/library/nginx".to_owned()),
            ("index.docker.io/library/nginx", "docker.io/library/nginx".to_owned()),
            ("localhost/app", "localhost/app".to_owned()),
            ("localhost:5000/app:1", "localhost:5000/app:1".to_owned()),
            ("registry.example/a/b/c:x_1", "registry.example/a/b/c:x_1".to_owned()),
            (&format!("quay.io/a/b:1@{DIGEST}"), format!("quay.io/a/b@{DIGEST}")),
        ] {
            assert_eq!(text.parse::<ImageName>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "/",
            "host.example/",
            "a:b:c",
            "a@sha256:1",
            "a:",
            "A",
            "a b",
            "https://host/a",
            "host.example/A",
        ] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
    }
}
