//! zot's configuration, as far as it says who may do what (zot's `pkg/api/config/config.go`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The reason why a configuration of zot cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ZotError {
    /// It is no JSON.
    #[error("it is not JSON; zot prints a configuration in YAML or TOML as JSON, or yq does")]
    Json(#[from] serde_json::Error),
    /// It has no access control.
    #[error("it has no `http.accessControl`, without which zot lets every user do everything")]
    Missing,
    /// A value has another kind than zot expects.
    #[error("{path}: expected {expected}")]
    Kind {
        /// The keys to the value.
        path: String,
        /// The kind.
        expected: &'static str,
    },
    /// A pattern cannot be written as one of ours, so the longer or shorter ones cannot be right either.
    #[error("the pattern `{pattern}` {problem}: replace it in zot's configuration first")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The reason.
        problem: String,
    },
}

/// `accessControl`.
#[derive(Debug, Default)]
pub(super) struct AccessControl {
    pub(super) groups: BTreeMap<String, Vec<String>>,
    pub(super) repositories: BTreeMap<String, PolicyGroup>,
    pub(super) admin: Policy,
    /// Keys that are not read.
    pub(super) unread: Vec<String>,
}

/// The policies of a pattern.
#[derive(Debug, Default)]
pub(super) struct PolicyGroup {
    pub(super) policies: Vec<Policy>,
    /// The actions of each user that logged in.
    pub(super) default: Vec<String>,
    /// The actions of clients without a login.
    pub(super) anonymous: Vec<String>,
}

/// Actions of users and groups.
#[derive(Debug, Default)]
pub(super) struct Policy {
    pub(super) users: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) actions: Vec<String>,
    pub(super) has_conditions: bool,
}

impl AccessControl {
    /// Reads the whole configuration, its section `http`, or `accessControl` alone.
    pub(super) fn parse(text: &str) -> Result<Self, ZotError> {
        let root: Value = serde_json::from_str(text)?;
        let http = entry(&root, "http").unwrap_or(&root);
        let control = entry(http, "accessControl").unwrap_or(http);
        if entry(control, "repositories").is_none() && entry(control, "adminPolicy").is_none() {
            return Err(ZotError::Missing);
        }
        let mut found = Self::default();
        for (key, value) in map(control, "accessControl")? {
            match key.to_ascii_lowercase().as_str() {
                "groups" => found.groups = groups(value)?,
                "repositories" => {
                    for (pattern, value) in map(value, "repositories")? {
                        let group = policy_group(value, pattern, &mut found.unread)?;
                        found.repositories.insert(pattern.clone(), group);
                    }
                }
                "adminpolicy" => found.admin = policy(value, "adminPolicy", &mut found.unread)?,
                _ => found.unread.push(key.clone()),
            }
        }
        Ok(found)
    }
}

fn groups(value: &Value) -> Result<BTreeMap<String, Vec<String>>, ZotError> {
    let mut groups = BTreeMap::new();
    for (name, group) in map(value, "groups")? {
        let users = entry(group, "users").map(|users| texts(users, name)).transpose()?;
        groups.insert(name.clone(), users.unwrap_or_default());
    }
    Ok(groups)
}

fn policy_group(value: &Value, pattern: &str, unread: &mut Vec<String>) -> Result<PolicyGroup, ZotError> {
    let mut group = PolicyGroup::default();
    for (key, value) in map(value, pattern)? {
        match key.to_ascii_lowercase().as_str() {
            "policies" => {
                let items =
                    value.as_array().ok_or_else(|| wrong(&format!("{pattern}.policies"), "a list"))?;
                for item in items {
                    group.policies.push(policy(item, pattern, unread)?);
                }
            }
            "defaultpolicy" => group.default = texts(value, pattern)?,
            "anonymouspolicy" => group.anonymous = texts(value, pattern)?,
            _ => unread.push(format!("{pattern}.{key}")),
        }
    }
    Ok(group)
}

fn policy(value: &Value, path: &str, unread: &mut Vec<String>) -> Result<Policy, ZotError> {
    let mut policy = Policy::default();
    for (key, value) in map(value, path)? {
        match key.to_ascii_lowercase().as_str() {
            "users" => policy.users = texts(value, path)?,
            "groups" => policy.groups = texts(value, path)?,
            "actions" => policy.actions = texts(value, path)?,
            "conditions" => policy.has_conditions = value.as_array().is_none_or(|list| !list.is_empty()),
            _ => unread.push(format!("{path}.{key}")),
        }
    }
    Ok(policy)
}

/// A value by its key, in any letter case, as zot reads it.
fn entry<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let entries = value.as_object()?.iter();
    let mut found = entries.filter(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value);
    found.next()
}

fn map<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>, ZotError> {
    value.as_object().ok_or_else(|| wrong(path, "an object"))
}

fn texts(value: &Value, path: &str) -> Result<Vec<String>, ZotError> {
    let wrong = || wrong(path, "a list of texts");
    let items = value.as_array().ok_or_else(wrong)?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

fn wrong(path: &str, expected: &'static str) -> ZotError {
    ZotError::Kind { path: path.to_owned(), expected }
}
