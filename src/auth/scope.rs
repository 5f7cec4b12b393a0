//! `Scope`: what a client asks a token for (Distribution, `docs/content/spec/auth/scope.md`).

use sampan_engine::oci::RepositoryName;

use super::access::{Action, Resource};

/// A resource and the actions on it that a client asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Scope {
    resource: Resource,
    actions: Vec<String>,
}

/// The longest scope that is read, in bytes: a name has 255, and a host with its port may be before it.
const MAX_BYTES: usize = 1024;

impl Scope {
    /// Parses `repository:NAME:ACTION,ACTION` or `registry:catalog:*`; `None` for others, which grant nothing.
    ///
    /// A name may have a host and its port, so the text is split at its first and last colon.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let resource = match (kind, name) {
            ("repository" | "repository(plugin)", _) => Resource::Repository(repository(name)?),
            ("registry", "catalog") => Resource::Catalog,
            _ => return None,
        };
        let actions = actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned).collect();
        Some(Self { resource, actions })
    }

    /// The resource.
    pub(super) fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Those of `possible` that it asks for; `*` asks for all.
    pub(super) fn asks_for(&self, possible: &[Action]) -> Vec<Action> {
        let asks =
            |action: &Action| self.actions.iter().any(|asked| asked == "*" || asked == action.as_str());
        possible.iter().copied().filter(asks).collect()
    }

    /// The scope with these actions only.
    pub(super) fn with(&self, actions: &[Action]) -> String {
        let actions: Vec<&str> = actions.iter().map(|action| action.as_str()).collect();
        format!("{}:{}:{}", self.resource.kind(), self.resource.name(), actions.join(","))
    }
}

/// The name without a host, which some clients write before it.
fn repository(name: &str) -> Option<RepositoryName> {
    match name.split_once('/') {
        Some((host, rest)) if host.contains(':') => rest.parse().ok(),
        _ => name.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scope_is_read_as_clients_write_it() {
        use Action::{Delete, Pull, Push};
        let all = [Pull, Push, Delete];
        for (text, name, actions) in [
            ("repository:team/app:pull", "team/app", &[Pull][..]),
            ("repository:team/app:push,pull", "team/app", &[Pull, Push]),
            ("repository(plugin):team/app:pull", "team/app", &[Pull]),
            ("repository:host:5000/team/app:pull", "team/app", &[Pull]),
            ("repository:a:pull,,*", "a", &all),
            ("repository:a:*", "a", &all),
            ("repository:a:fly", "a", &[]),
            ("repository:a:", "a", &[]),
        ] {
            let scope = Scope::parse(text).unwrap();
            assert_eq!((scope.resource().name(), scope.asks_for(&all).as_slice()), (name, actions), "{text}");
        }
        assert_eq!(Scope::parse("registry:catalog:*").unwrap().resource(), &Resource::Catalog);
    }

    #[test]
    fn what_is_no_scope_asks_for_nothing() {
        let long = format!("repository:{}:pull", "a".repeat(2000));
        for text in [
            "",
            "repository:",
            "repository:a",
            "repository::pull",
            "repository:A:pull",
            "repository:../a:pull",
            "repository:a b:pull",
            "registry:other:*",
            "Repository:a:pull",
            "team/app",
            &long,
        ] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
    }
    proptest! {
        #[test]
        fn what_a_scope_asks_for_is_written_in_it_and_is_read_again(
            kind in "repository|repository\\(plugin\\)|registry|\\PC{0,4}",
            name in "([a-z0-9.:]{1,5}/)?(catalog|[a-z*./:-]{0,8}|\\PC{0,6})",
            asked in "((pull|push|delete|\\*|Pull|\\PC{0,3}),){0,3}(pull|\\*)?",
        ) {
            let text = format!("{kind}:{name}:{asked}");
            let all = [Action::Pull, Action::Push, Action::Delete, Action::All];
            if let Some(scope) = Scope::parse(&text) {
                let actions = scope.asks_for(&all);
                let (_, written) = text.rsplit_once(':').unwrap();
                let written: Vec<&str> = written.split(',').collect();
                for action in &actions {
                    prop_assert!(written.contains(&action.as_str()) || written.contains(&"*"), "{}", text);
                }
                prop_assert!(name.ends_with(scope.resource().name()), "{}", text);
                let again = Scope::parse(&scope.with(&actions)).unwrap();
                prop_assert_eq!(again.resource(), scope.resource());
                prop_assert_eq!(again.asks_for(&all), actions, "{}", text);
            }
        }
    }
}
