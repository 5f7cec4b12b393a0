//! `Groups`: users by the names of their groups.

use std::collections::BTreeMap;

use super::key::{Disclosure, Kind};
use super::node::Content;
use super::section::Value;
use super::{Node, NodeError, ValueOrigin};

/// Users by the names of their groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Groups(BTreeMap<String, Group>);

/// The users of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The place of the group's name.
    pub origin: ValueOrigin,
    /// The names of the users.
    pub members: Vec<String>,
}

impl Groups {
    /// The group of this name.
    pub fn get(&self, name: &str) -> Option<&Group> {
        self.0.get(name)
    }

    /// Adds a group, or replaces it.
    pub fn insert(&mut self, name: String, group: Group) {
        self.0.insert(name, group);
    }

    /// The groups with their names, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.0.iter().map(|(name, group)| (name.as_str(), group))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Value for Groups {
    const KIND: Kind = Kind::Map(&Kind::List(&<String as Value>::KIND));
    const SHOWING: Disclosure = Disclosure::Verbatim;
    const IS_REQUIRED: bool = false;

    fn read(node: &Node) -> Result<Self, NodeError> {
        let Content::Map(entries) = &node.content else { return Err(NodeError::mismatch("a map", node)) };
        let mut groups = Self::default();
        for entry in entries {
            let read = read_group(&entry.key, &entry.value);
            let members = read.map_err(|error| error.located(&entry.value.origin).under_key(&entry.key))?;
            groups
                .insert(entry.key.clone(), Group { origin: ValueOrigin(entry.key_origin.clone()), members });
        }
        Ok(groups)
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

fn read_group(name: &str, value: &Node) -> Result<Vec<String>, NodeError> {
    if value.is_null() {
        return Err(NodeError::refusal("has no members; write `[]` for a group of none"));
    }
    if name.is_empty() {
        return Err(NodeError::refusal("a group needs a name"));
    }
    let members = Vec::<String>::read(value)?;
    for (index, member) in members.iter().enumerate() {
        let refuse = |reason: String| {
            let origin = value.items().get(index).map_or(&value.origin, |item| &item.origin);
            NodeError::refusal(reason).located(origin).under_index(index)
        };
        if let Some(group) = member.strip_prefix("group:") {
            return Err(refuse(format!(
                "a group cannot contain a group: list the members of `{group}` instead"
            )));
        }
        if let Some(user) = member.strip_prefix("user:") {
            return Err(refuse(format!("the members of a group are names of users: write `{user}`")));
        }
        check_user(member).map_err(refuse)?;
    }
    Ok(members)
}

/// Refuses a name that no user has, or that means something else elsewhere.
pub(super) fn check_user(name: &str) -> Result<(), String> {
    match name {
        "" => Err("the name of a user is missing".to_owned()),
        "*" => Err("`*` would be a user of that name; a rule for every user that logged in has `who: users`"
            .to_owned()),
        _ => Ok(()),
    }
}
