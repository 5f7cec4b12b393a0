//! What a request wants to do to what.

use std::fmt;

use sampan_engine::oci::RepositoryName;

/// One thing a request needs permission for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Access {
    /// What it is done to.
    pub resource: Resource,
    /// What is done.
    pub action: Action,
}

/// The things access is controlled to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Resource {
    /// One repository.
    Repository(RepositoryName),
    /// The list of all repositories.
    Catalog,
}

/// What can be done to a [`Resource`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Read blobs, manifests, tags and referrers.
    Pull,
    /// Write blobs, manifests and tags.
    Push,
    /// Delete blobs, manifests and tags.
    Delete,
    /// Everything there is, written `*`: what listing the catalog asks for.
    All,
}

impl Access {
    /// Reading from `repository`.
    pub fn pull(repository: RepositoryName) -> Self {
        Self { resource: Resource::Repository(repository), action: Action::Pull }
    }

    /// Writing to `repository`.
    pub fn push(repository: RepositoryName) -> Self {
        Self { resource: Resource::Repository(repository), action: Action::Push }
    }

    /// Deleting from `repository`.
    pub fn delete(repository: RepositoryName) -> Self {
        Self { resource: Resource::Repository(repository), action: Action::Delete }
    }

    /// Listing all repositories.
    pub fn catalog() -> Self {
        Self { resource: Resource::Catalog, action: Action::All }
    }
}

/// As in the scope of a bearer challenge: `repository:library/alpine:pull`, `registry:catalog:*`.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.resource.kind(), self.resource.name(), self.action)
    }
}

impl Resource {
    /// The type of the resource on the wire: `repository` or `registry`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Repository(_) => "repository",
            Self::Catalog => "registry",
        }
    }

    /// The name of the resource on the wire: the repository's name, or `catalog`.
    pub fn name(&self) -> &str {
        match self {
            Self::Repository(name) => name.as_str(),
            Self::Catalog => "catalog",
        }
    }
}

impl Action {
    /// The action on the wire: `pull`, `push`, `delete` or `*`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::All => "*",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_is_written_as_a_scope() {
        let name: RepositoryName = "library/alpine".parse().unwrap();
        assert_eq!(Access::pull(name.clone()).to_string(), "repository:library/alpine:pull");
        assert_eq!(Access::push(name.clone()).to_string(), "repository:library/alpine:push");
        assert_eq!(Access::delete(name).to_string(), "repository:library/alpine:delete");
        assert_eq!(Access::catalog().to_string(), "registry:catalog:*");
    }
}
