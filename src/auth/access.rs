//! `Access`: an action on a resource that a request needs permission for.

use std::fmt;

use sampan_engine::oci::RepositoryName;

/// An action on a resource.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Access {
    /// The resource.
    pub resource: Resource,
    /// The action.
    pub action: Action,
}

/// A resource with access control.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Resource {
    /// A repository.
    Repository(RepositoryName),
    /// The list of all repositories.
    Catalog,
}

/// An action on a [`Resource`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Read blobs, manifests, tags and referrers.
    Pull,
    /// Write blobs, manifests and tags.
    Push,
    /// Delete blobs, manifests and tags.
    Delete,
    /// Every action, written `*`: the scope of the catalog.
    All,
}

impl Access {
    /// Pull from `repository`.
    pub fn pull(repository: RepositoryName) -> Self {
        Self { resource: Resource::Repository(repository), action: Action::Pull }
    }

    /// Push to `repository`.
    pub fn push(repository: RepositoryName) -> Self {
        Self { resource: Resource::Repository(repository), action: Action::Push }
    }

    /// Delete from `repository`.
    pub fn delete(repository: RepositoryName) -> Self {
        Self { resource: Resource::Repository(repository), action: Action::Delete }
    }

    /// List all repositories.
    pub fn catalog() -> Self {
        Self { resource: Resource::Catalog, action: Action::All }
    }
}

/// Formats as in the scope of a bearer challenge: `repository:library/alpine:pull`, `registry:catalog:*`.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.resource.kind(), self.resource.name(), self.action)
    }
}

impl Resource {
    /// The resource type on the wire: `repository` or `registry`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Repository(_) => "repository",
            Self::Catalog => "registry",
        }
    }

    /// The resource name on the wire: the repository's name, or `catalog`.
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
    fn an_access_is_formatted_as_a_scope() {
        let name: RepositoryName = "library/alpine".parse().unwrap();
        assert_eq!(Access::pull(name.clone()).to_string(), "repository:library/alpine:pull");
        assert_eq!(Access::push(name.clone()).to_string(), "repository:library/alpine:push");
        assert_eq!(Access::delete(name).to_string(), "repository:library/alpine:delete");
        assert_eq!(Access::catalog().to_string(), "registry:catalog:*");
    }
}
