//! `AccessRules`: who may do what to which repositories.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use super::access_groups::check_user;
use super::findings::Findings;
use super::key::{Disclosure, Kind};
use super::section::{Value, keys, section};
use super::show::quote_text;
use super::values::{value_from_text, words};
use super::{Groups, Node, NodeError, RepositoryPattern, ValueOrigin, suggest};

section! {
    /// Rules, and the groups that they name: the whole of a policy file, or part of the section `access`.
    #[derive(Default)]
    pub struct AccessRules {
        /// Lists of users by the names of their groups.
        pub groups: Groups,
        /// The rules. Each allows something; what any rule allows is allowed, in whatever order they are.
        pub rules: Vec<AccessRule>,
    }
}

keys! {
    /// A rule: it allows something, and takes nothing away that another rule allows.
    pub struct AccessRule {
        besides
        /// The place of the rule.
        pub origin: ValueOrigin,
        /// `anonymous` or `everyone` (every client, logged in or not), `users` (all that logged in), `user:NAME`,
        /// `group:NAME`; one or a list.
        pub who: OneOrMore<Who>,
        /// `pull`, `push`, `delete` or `*`; one or a list. `push` and `delete` include `pull`.
        pub may: OneOrMore<Permission>,
        /// Patterns of repository names, see [access.md](access.md#patterns); one or a list.
        pub on: OneOrMore<RepositoryPattern>,
        /// Patterns of names that the rule leaves out; one or a list.
        pub except: Vec<RepositoryPattern>,
    }
}

impl Value for AccessRule {
    const KIND: Kind = Kind::Section(Self::KEYS);
    const SHOWING: Disclosure = Disclosure::Verbatim;
    const IS_REQUIRED: bool = true;

    fn read(node: &Node) -> Result<Self, NodeError> {
        Ok(Self { origin: ValueOrigin(node.origin.clone()), ..Self::read_keys(node)? })
    }

    fn absent() -> Option<Self> {
        None
    }
}

/// The clients that a rule is for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Who {
    /// Every client: credentials can be left out, so that nothing could be for clients without a login alone.
    Anonymous,
    /// The same.
    Everyone,
    /// Every user that logged in, and no robot.
    Users,
    /// A user.
    User(String),
    /// The members of a group.
    Group(String),
}

impl Who {
    /// Whether the rule is for every client.
    pub fn is_everyone(&self) -> bool {
        matches!(self, Self::Anonymous | Self::Everyone)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::Everyone => f.write_str("everyone"),
            Self::Users => f.write_str("users"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const WORDS: [&str; 5] = ["anonymous", "everyone", "users", "user:NAME", "group:NAME"];
        match text {
            "anonymous" => return Ok(Self::Anonymous),
            "everyone" => return Ok(Self::Everyone),
            "users" => return Ok(Self::Users),
            _ => {}
        }
        if let Some(name) = text.strip_prefix("user:") {
            return check_user(name).map(|()| Self::User(name.to_owned()));
        }
        if let Some(name) = text.strip_prefix("group:") {
            return match name {
                "" => Err("the name of a group is missing".to_owned()),
                _ => Ok(Self::Group(name.to_owned())),
            };
        }
        let near = suggest::nearest(text, ["anonymous", "everyone", "users"]);
        let near = near.map(str::to_owned).or_else(|| {
            let (kind, name) = text.split_once(':')?;
            let kind = suggest::nearest(kind, ["user", "group"])?;
            Some(format!("{kind}:{name}"))
        });
        match near {
            Some(near) => Err(format!("`{text}` is unknown; did you mean `{near}`?")),
            None if text.contains(':') => {
                Err(format!("`{text}` is unknown; known here: {}", WORDS.join(", ")))
            }
            None => Err(format!(
                "`{text}` is unknown; a user is `user:{text}`, a group `group:{text}`; known here: {}",
                WORDS.join(", ")
            )),
        }
    }
}

value_from_text!(Who);

words! {
    /// The permissions of a rule.
    pub enum Permission {
        /// Read blobs, manifests, tags and referrers.
        Pull = "pull",
        /// Write blobs, manifests and tags, and read.
        Push = "push",
        /// Delete blobs, manifests and tags, and read.
        Delete = "delete",
        /// All of it.
        All = "*",
    }
}

/// A list that is not empty; a single value in the file is a list of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OneOrMore<T>(Vec<T>);

impl<T> OneOrMore<T> {
    /// The list, unless it is empty.
    pub fn new(list: Vec<T>) -> Option<Self> {
        (!list.is_empty()).then_some(Self(list))
    }
}

impl<T> Deref for OneOrMore<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Value> Value for OneOrMore<T> {
    const KIND: Kind = Kind::List(&T::KIND);
    const SHOWING: Disclosure = T::SHOWING;
    const IS_REQUIRED: bool = true;

    fn read(node: &Node) -> Result<Self, NodeError> {
        Self::new(Vec::read(node)?).ok_or_else(|| NodeError::refusal("is an empty list"))
    }

    fn absent() -> Option<Self> {
        None
    }
}

impl AccessRules {
    /// Checks what no single key can say; `path` is the section of the rules, with its dot, or empty for a policy file.
    pub(crate) fn check(&self, path: &str, found: &mut Findings<'_>) {
        let mut seen = HashMap::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let place = format!("{path}rules[{index}]");
            for (item, who) in rule.who.iter().enumerate() {
                if let Who::Group(name) = who
                    && self.groups.get(name).is_none()
                {
                    let hint = match self.groups.is_empty() {
                        true => format!(": add it to `{path}groups`"),
                        false => suggest::hint(name, self.groups.iter().map(|(name, _)| name)),
                    };
                    found.mistake(
                        &format!("{place}.who[{item}]"),
                        format!("there is no group `{name}`{hint}"),
                    );
                }
            }
            let names_user = rule.on.iter().all(RepositoryPattern::names_user);
            if names_user && rule.who.iter().any(Who::is_everyone) {
                let message = "gives nothing to clients without a login, which have no name for `${user}`";
                found.warning(&format!("{place}.on"), message);
            }
            if let Some(first) = seen.insert(rule.to_string(), &rule.origin) {
                found.warning(&place, format!("is the same rule as in {}; remove one", first.note()));
            }
        }
        if self.rules.is_empty() {
            found.warning(&format!("{path}rules"), "there is no rule, so no client may do anything");
        }
    }

    /// The text of a policy file with these rules, which [`parse_policy`](super::parse_policy) reads.
    pub fn to_policy_file(&self) -> String {
        let mut text = String::new();
        if !self.groups.is_empty() {
            text.push_str("groups:\n");
            for (name, group) in self.groups.iter() {
                text.push_str(&format!("  {}: {}\n", quote_text(name), list(&group.members)));
            }
        }
        match self.rules.is_empty() {
            true => text.push_str("rules: []\n"),
            false => text.push_str("rules:\n"),
        }
        for rule in &self.rules {
            text.push_str(&format!("  - {rule}\n"));
        }
        text
    }
}

/// Formats as it would be written in the file: `{who: group:dev, may: push, on: team/**}`.
impl fmt::Display for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who: Vec<String> = self.who.iter().map(ToString::to_string).collect();
        let may: Vec<&str> = self.may.iter().map(|permission| permission.as_str()).collect();
        let on: Vec<&str> = self.on.iter().map(RepositoryPattern::as_str).collect();
        write!(f, "{{who: {}, may: {}, on: {}", one_or_list(&who), one_or_list(&may), one_or_list(&on))?;
        if !self.except.is_empty() {
            let except: Vec<&str> = self.except.iter().map(RepositoryPattern::as_str).collect();
            write!(f, ", except: {}", one_or_list(&except))?;
        }
        f.write_str("}")
    }
}

fn one_or_list(texts: &[impl AsRef<str>]) -> String {
    match texts {
        [only] => quote_text(only.as_ref()),
        several => list(several),
    }
}

fn list(texts: &[impl AsRef<str>]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quote_text(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}
