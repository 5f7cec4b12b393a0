//! `Scope`: the access that a request needs, in the words of the token protocol (Distribution, `docs/spec/auth/scope.md`).

use std::collections::{BTreeMap, BTreeSet};

use sampan_engine::oci::RepositoryName;

/// Resources with the actions on them.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct Scope {
    /// The repository that the request is about.
    repository: Option<String>,
    resources: BTreeMap<String, BTreeSet<String>>,
}

/// The most resources and the longest text to take over from a challenge.
const MAX_RESOURCES: usize = 64;
const MAX_RESOURCE_BYTES: usize = 1024;

impl Scope {
    /// To read a repository.
    pub(crate) fn pull(repository: &RepositoryName) -> Self {
        Self::of(repository, &["pull"])
    }

    /// To write to a repository; pushes read too.
    pub(crate) fn push(repository: &RepositoryName) -> Self {
        Self::of(repository, &["pull", "push"])
    }

    /// To delete from a repository.
    pub(crate) fn delete(repository: &RepositoryName) -> Self {
        Self::of(repository, &["delete", "pull", "push"])
    }

    /// To list the repositories.
    pub(crate) fn catalog() -> Self {
        let resources = [("registry:catalog".to_owned(), ["*".to_owned()].into())].into();
        Self { repository: None, resources }
    }

    fn of(repository: &RepositoryName, actions: &[&str]) -> Self {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        let resources = [(format!("repository:{repository}"), actions)].into();
        Self { repository: Some(repository.to_string()), resources }
    }

    /// The union with another scope; it stays about the same repository.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (resource, actions) in other.resources {
            if self.resources.len() < MAX_RESOURCES || self.resources.contains_key(&resource) {
                self.resources.entry(resource).or_default().extend(actions);
            }
        }
        self
    }

    /// The scopes of a challenge: separated by blanks, each split at its last colon, since a name may contain a port.
    pub(crate) fn parse(text: &str) -> Self {
        let mut scope = Self::default();
        for part in
            text.split_ascii_whitespace().take(MAX_RESOURCES).filter(|part| part.len() <= MAX_RESOURCE_BYTES)
        {
            let Some((resource, actions)) = part.rsplit_once(':') else { continue };
            let is_named =
                resource.split_once(':').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
            let actions: BTreeSet<_> =
                actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned).collect();
            if is_named && !actions.is_empty() {
                scope.resources.entry(resource.to_owned()).or_default().extend(actions);
            }
        }
        scope
    }

    /// The repository that a request is about; `None` for other scopes.
    pub(crate) fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    /// The values of the `scope` parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = String> {
        self.resources.iter().map(|(resource, actions)| {
            let actions: Vec<_> = actions.iter().map(String::as_str).collect();
            format!("{resource}:{}", actions.join(","))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_written_and_merged() {
        let (app, base) = ("team/app".parse().unwrap(), "base".parse().unwrap());
        let scope = Scope::push(&app).and(Scope::pull(&base)).and(Scope::parse(
            "repository:team/app:pull,delete repository:host:5000/x:pull  rubbish : :: registry:catalog:*",
        ));
        let written: Vec<_> = scope.parameters().collect();
        assert_eq!(
            written,
            [
                "registry:catalog:*",
                "repository:base:pull",
                "repository:host:5000/x:pull",
                "repository:team/app:delete,pull,push",
            ]
        );
    }

    #[test]
    fn a_challenge_cannot_make_a_scope_without_bound() {
        let text: String = (0..1000).map(|n| format!("repository:r{n}:pull ")).collect();
        assert_eq!(Scope::parse(&text).parameters().count(), MAX_RESOURCES);
        assert_eq!(Scope::parse(&format!("repository:{}:pull", "x".repeat(2000))).parameters().count(), 0);
    }
}
