//! Lays environment variables over the tree.
//!
//! `REGISTRY_HTTP_TLS_CLIENTCAS_0=/ca.pem` sets the first item of `http.tls.clientcas`. Each part of the name, between
//! underscores, is a key in any letter case: its name in the file or the name of Go's field. Keys that hold an underscore
//! themselves are tried first. The value is YAML. Every variable that works with Distribution works the same. Variables that
//! Distribution documents and breaks on (lists of text by index, maps below maps, empty values) work too.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::sync::Arc;

use super::defaults::chooses_nothing;
use super::key::{Choice, Key, Kind};
use super::node::{Content, Entry};
use super::parse::parse;
use super::{Diagnostic, Node, Origin, suggest};

/// The prefix of every variable.
const PREFIX: &str = "REGISTRY_";
/// No key is deeper; free maps could otherwise nest as deep as a name is long.
const MAX_PARTS: usize = 64;
/// Names the configuration file; [`Source::find`](super::Source::find) reads it.
pub(crate) const PATH_VARIABLE: &str = "REGISTRY_CONFIGURATION_PATH";

/// The environment variables that concern the configuration, as data.
#[derive(Clone, Default)]
pub struct Environment {
    /// Sorted, so that `REGISTRY_STORAGE` comes before the variables that refine it.
    variables: Vec<Variable>,
}

#[derive(Clone)]
struct Variable {
    name: Arc<str>,
    value: String,
}

impl Environment {
    /// The variables of this process. A value that is not UTF-8 gets replacement characters.
    pub fn of_process() -> Self {
        let lossy = |text: OsString| text.to_string_lossy().into_owned();
        std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))).collect()
    }

    /// The value of a variable.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|variable| &*variable.name == name).map(|variable| variable.value.as_str())
    }

    /// Lays the variables over `root`, which has the kind `kind`.
    pub(crate) fn apply(&self, root: &mut Node, kind: &Kind) -> Overlay {
        let mut overlay = Overlay::default();
        for variable in &self.variables {
            if &*variable.name == PATH_VARIABLE {
                continue;
            }
            let parts: Vec<&str> = variable.parts().collect();
            let mut assignment = Assignment { variable, parts: &parts, warnings: Vec::new() };
            let result = match parts.len() {
                0..=MAX_PARTS => assignment.assign(root, kind, 0),
                _ => Err(Refusal::Unknown(String::new())),
            };
            overlay.warnings.append(&mut assignment.warnings);
            match result {
                Ok(()) => {}
                Err(Refusal::Unknown(hint)) => {
                    let message = format!("matches no key of the configuration and has no effect{hint}");
                    overlay.warnings.push(Diagnostic::new(&variable.origin(), "", message));
                }
                Err(Refusal::Wrong(message)) => {
                    overlay.mistakes.push(Diagnostic::new(&variable.origin(), "", message));
                }
            }
        }
        overlay
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        let mut variables: Vec<Variable> = pairs
            .into_iter()
            .filter(|(name, _)| name.starts_with(PREFIX))
            .map(|(name, value)| Variable { name: name.into(), value })
            .collect();
        variables.sort_by(|a, b| compare(a.parts(), b.parts()));
        Self { variables }
    }
}

/// The diagnostics about the variables.
#[derive(Default)]
pub(crate) struct Overlay {
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Variable {
    fn origin(&self) -> Origin {
        Origin::Environment(self.name.clone())
    }

    fn parts(&self) -> impl Iterator<Item = &str> {
        self.name[PREFIX.len()..].split('_')
    }
}

/// The variable that sets the key at `path`, such as `http.tls.key` or `notifications.endpoints[0].url`.
pub(crate) fn variable(path: &str) -> String {
    let parts: Vec<_> = path.split(['.', '[', ']']).filter(|part| !part.is_empty()).collect();
    format!("{PREFIX}{}", parts.join("_").to_uppercase())
}

/// Compares part by part, and numbers by value, so that item 10 of a list comes after item 9.
fn compare<'a>(a: impl Iterator<Item = &'a str>, b: impl Iterator<Item = &'a str>) -> Ordering {
    let key = |part: &'a str| (part.parse::<u32>().ok(), part);
    a.map(key).cmp(b.map(key))
}

enum Refusal {
    /// No key has this name; holds a hint.
    Unknown(String),
    /// A key has this name, but the value cannot be set.
    Wrong(String),
}

/// One variable on its way down the tree; `depth` counts the parts that are used.
struct Assignment<'a> {
    variable: &'a Variable,
    parts: &'a [&'a str],
    warnings: Vec<Diagnostic>,
}

impl Assignment<'_> {
    fn assign(&mut self, node: &mut Node, kind: &Kind, depth: usize) -> Result<(), Refusal> {
        if depth == self.parts.len() {
            *node = self.value(node, kind)?;
            return Ok(());
        }
        match kind {
            Kind::Leaf(_) | Kind::Duration => Err(Refusal::Unknown(String::new())),
            Kind::Section(keys) | Kind::Optional(keys) | Kind::Parameters(keys) => {
                if matches!(node.content, Content::Scalar(_) | Content::List(_)) {
                    // The file is wrong here. The variable must not hide the mistake, which is reported elsewhere.
                    return Ok(());
                }
                let (key, used) = self.known(keys, depth).ok_or_else(|| self.unknown(keys.iter(), depth))?;
                if key.yaml.is_empty() {
                    return self.assign(node, kind, depth + used);
                }
                self.descend(node, key.yaml, &key.kind, depth + used)
            }
            Kind::Choice(choice) => self.choose(node, choice, depth),
            Kind::List(item) => self.item(node, item, depth),
            Kind::Map(value) => {
                let (key, used) = self.existing(node, depth).unwrap_or_else(|| self.new_key(value, depth));
                self.descend(node, &key, value, depth + used)
            }
            Kind::Any if matches!(node.content, Content::List(_)) => self.item(node, &Kind::Any, depth),
            Kind::Any => {
                let new = || (self.parts[depth].to_lowercase(), 1);
                let (key, used) = self.existing(node, depth).unwrap_or_else(new);
                self.descend(node, &key, &Kind::Any, depth + used)
            }
        }
    }

    /// Continues below `key`, and leaves no empty key behind on failure.
    fn descend(&mut self, node: &mut Node, key: &str, kind: &Kind, depth: usize) -> Result<(), Refusal> {
        let origin = self.variable.origin();
        let mut parent = Node { origin: node.origin.clone(), content: node.content.clone() };
        let entries = parent.make_map();
        let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            let value = Node::null(&origin);
            entries.push(Entry { key: key.to_owned(), key_origin: origin, value });
            entries.len() - 1
        });
        self.assign(&mut entries[index].value, kind, depth)?;
        *node = parent;
        Ok(())
    }

    fn choose(&mut self, node: &mut Node, choice: &Choice, depth: usize) -> Result<(), Refusal> {
        let known = choice
            .keys()
            .filter_map(|key| self.matches(|part| key.is_called(part), depth).map(|used| (key, used)));
        if let Some((key, used)) = known.max_by_key(|(_, used)| *used) {
            name_choice(node);
            return self.descend(node, key.yaml, &key.kind, depth + used);
        }
        if choice.open {
            name_choice(node);
            if let Some((key, used)) = self.existing(node, depth) {
                return self.descend(node, &key, &Kind::Any, depth + used);
            }
        }
        Err(self.unknown(choice.keys(), depth))
    }

    fn item(&mut self, node: &mut Node, kind: &Kind, depth: usize) -> Result<(), Refusal> {
        let Ok(index) = self.parts[depth].parse::<usize>() else {
            return Err(Refusal::Unknown("; an item of a list is named by its number, from 0".to_owned()));
        };
        if !matches!(node.content, Content::List(_)) {
            let single = std::mem::replace(node, Node::null(&node.origin.clone()));
            node.content = Content::List(if single.is_null() { Vec::new() } else { vec![single] });
        }
        let Content::List(items) = &mut node.content else { return Ok(()) };
        let count = items.len();
        match items.get_mut(index) {
            Some(item) => self.assign(item, kind, depth + 1),
            None if index == count => {
                let mut item = Node::null(&self.variable.origin());
                self.assign(&mut item, kind, depth + 1)?;
                items.push(item);
                Ok(())
            }
            None => {
                Err(Refusal::Wrong(format!("the list has {count} items, so item {count} must be set first")))
            }
        }
    }

    /// No part is left: the value replaces the old one.
    fn value(&mut self, old: &Node, kind: &Kind) -> Result<Node, Refusal> {
        let text = self.variable.value.as_str();
        let origin = self.variable.origin();
        let parsed = parse(text, &|_, _| self.variable.origin()).map(|parsed| parsed.root);
        match kind {
            // A value that is no YAML scalar is taken literally: a password may begin with `@` or hold a `: `.
            Kind::Leaf(_) | Kind::Duration => match parsed {
                Ok(node) if matches!(node.content, Content::Scalar(_)) => Ok(node),
                _ => Ok(Node::text(&origin, text)),
            },
            Kind::Any => match parsed {
                Ok(node) if !text.is_empty() => Ok(node),
                _ => Ok(Node::text(&origin, text)),
            },
            Kind::Section(_) | Kind::Optional(_) | Kind::List(_) | Kind::Map(_) | Kind::Parameters(_) => {
                parsed.map_err(|diagnostics| not_yaml(&diagnostics))
            }
            Kind::Choice(choice) => {
                if parsed.as_ref().is_ok_and(chooses_nothing) {
                    return Err(Refusal::Wrong(
                        "is empty, which would drop the whole section; unset it or give it a value"
                            .to_owned(),
                    ));
                }
                self.warn_of_lost_helpers(old, choice);
                parsed.map_err(|diagnostics| not_yaml(&diagnostics))
            }
        }
    }

    /// Warns that `REGISTRY_STORAGE=s3` replaces the whole section, `delete` and other helpers included, as in Distribution.
    fn warn_of_lost_helpers(&mut self, old: &Node, choice: &Choice) {
        let lost: Vec<String> = old
            .entries()
            .iter()
            .filter(|entry| choice.is_helper(&entry.key))
            .map(|entry| format!("`{}`", entry.key))
            .collect();
        if !lost.is_empty() {
            let message = format!(
                "replaces the whole section, so that {} of the file no longer applies; set it by variables as well",
                lost.join(", ")
            );
            self.warnings.push(Diagnostic::new(&self.variable.origin(), "", message));
        }
    }

    /// The key that matches the most of the next parts.
    fn known<'k>(&self, keys: &'k [Key], depth: usize) -> Option<(&'k Key, usize)> {
        keys.iter()
            .filter_map(|key| self.matches(|part| key.is_called(part), depth).map(|used| (key, used)))
            .max_by_key(|(_, used)| *used)
    }

    /// The existing key of a map that matches the most of the next parts.
    fn existing(&self, node: &Node, depth: usize) -> Option<(String, usize)> {
        node.entries()
            .iter()
            .filter_map(|entry| {
                let used = self.matches(|part| entry.key.eq_ignore_ascii_case(part), depth)?;
                Some((entry.key.clone(), used))
            })
            .max_by_key(|(_, used)| *used)
    }

    /// The key to add to a map: the rest of the name, or one part of it where maps may nest.
    fn new_key(&self, value: &Kind, depth: usize) -> (String, usize) {
        let rest = &self.parts[depth..];
        let used = match value {
            Kind::Leaf(_) | Kind::Duration => rest.len(),
            Kind::List(_) => match rest {
                [_, .., last] if last.bytes().all(|b| b.is_ascii_digit()) && !last.is_empty() => {
                    rest.len() - 1
                }
                _ => rest.len(),
            },
            _ => 1,
        };
        (rest[..used].join("_").to_lowercase(), used)
    }

    /// The largest number of next parts that together satisfy `is_called`.
    fn matches(&self, is_called: impl Fn(&str) -> bool, depth: usize) -> Option<usize> {
        let rest = &self.parts[depth..];
        (1..=rest.len()).rev().find(|used| is_called(&rest[..*used].join("_")))
    }

    fn unknown<'k>(&self, keys: impl Iterator<Item = &'k Key>, depth: usize) -> Refusal {
        let (before, rest) = self.parts.split_at(depth);
        if depth == 0 && matches!(rest[0], "PORT" | "SERVICE") {
            return Refusal::Unknown(
                "; Kubernetes sets it for a service that is called `registry`".to_owned(),
            );
        }
        let names =
            keys.flat_map(|key| [key.yaml].into_iter().chain(key.field)).filter(|name| !name.is_empty());
        let Some(name) = suggest::nearest(rest[0], names) else { return Refusal::Unknown(String::new()) };
        let mut parts: Vec<String> = before.iter().map(|part| (*part).to_owned()).collect();
        parts.push(name.to_uppercase());
        parts.extend(rest[1..].iter().map(|part| (*part).to_owned()));
        Refusal::Unknown(format!("; did you mean `{PREFIX}{}`?", parts.join("_")))
    }
}

/// Turns the string form `storage: s3` into a map, so that a variable can descend into it.
fn name_choice(node: &mut Node) {
    if let Some(name) = node.as_text().map(str::to_owned) {
        let origin = node.origin.clone();
        let value = Node::empty_map(&origin);
        node.content = Content::Map(vec![Entry { key: name, key_origin: origin, value }]);
    }
}

fn not_yaml(diagnostics: &[Diagnostic]) -> Refusal {
    let reason =
        diagnostics.first().map_or("this is not valid YAML", |diagnostic| diagnostic.message.as_str());
    Refusal::Wrong(format!("the value sets a whole section, but {reason}"))
}
