//! `Scope`: the access that a request needs, in the words of the token protocol (Distribution, `docs/spec/auth/scope.md`).

use std::collections::{BTreeMap, BTreeSet};

use sampan_engine::oci::RepositoryName;

/// Resources with the actions on them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    /// The repository that the request is about.
    repository: Option<String>,
    resources: BTreeMap<String, BTreeSet<String>>,
}

/// The longest text of a scope: a registry's challenges cannot make one that token servers refuse, or that fills memory.
const MAX_BYTES: usize = 4 << 10;

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

    /// The union with another scope, as far as it fits; it stays about the same repository.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (resource, actions) in other.resources {
            self.add(resource, actions);
        }
        self
    }

    /// Adds actions on a resource, if they fit.
    fn add(&mut self, resource: String, actions: BTreeSet<String>) {
        let is_known =
            |action: &&String| self.resources.get(&resource).is_some_and(|known| known.contains(*action));
        let new: usize =
            actions.iter().filter(|action| !is_known(action)).map(|action| action.len() + 1).sum();
        let name = if self.resources.contains_key(&resource) { 0 } else { resource.len() + 1 };
        if self.to_text().len() + name + new <= MAX_BYTES {
            self.resources.entry(resource).or_default().extend(actions);
        }
    }

    /// The scopes of a challenge: separated by blanks, each split at its last colon, since a name may contain a port.
    pub(crate) fn parse(text: &str) -> Self {
        let mut scope = Self::default();
        for part in text.split_ascii_whitespace() {
            let Some((resource, actions)) = part.rsplit_once(':') else { continue };
            let is_named =
                resource.split_once(':').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
            let actions: BTreeSet<_> =
                actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned).collect();
            if is_named && !actions.is_empty() {
                scope.add(resource.to_owned(), actions);
            }
        }
        scope
    }

    /// All scopes in one text, as a challenge has them.
    pub(crate) fn to_text(&self) -> String {
        self.parameters().collect::<Vec<_>>().join(" ")
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
    fn challenges_cannot_make_a_scope_without_bound() {
        let text: String = (0..1000).map(|n| format!("repository:r{n}:pull ")).collect();
        let many = Scope::parse(&text);
        assert!(many.to_text().len() <= MAX_BYTES && many.parameters().count() > 100);
        assert_eq!(Scope::parse(&format!("repository:{}:pull", "x".repeat(5000))).parameters().count(), 0);
        // One resource whose actions differ from challenge to challenge.
        let mut scope = Scope::pull(&"a".parse().unwrap());
        for n in 0..10_000 {
            scope = scope.and(Scope::parse(&format!("repository:a:action{n}")));
        }
        assert!(scope.to_text().len() <= MAX_BYTES);
    }
}
