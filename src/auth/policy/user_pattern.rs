//! `UserPattern`: a pattern with `${user}`, matched without being compiled.
//!
//! A compiled set for each user would take memory for all users, and time for each that asks again. Of such rules there are few,
//! and most names differ from a pattern in their first component.

use sampan_config::RepositoryPattern;

/// Stands for the user in globs: no name and no pattern has this character.
const USER_MARK: &str = "\u{1}";

/// A pattern with `${user}`, without braces.
pub(super) struct UserPattern(Vec<Component>);

enum Component {
    /// `**`: any number of components.
    Any,
    /// Literal text.
    Literal(String),
    /// Text with `*`, `?` or the mark.
    Glob(String),
}

impl UserPattern {
    /// The alternatives of a pattern.
    pub(super) fn alternatives(pattern: &RepositoryPattern) -> impl Iterator<Item = Self> {
        pattern.globs(USER_MARK).map(|glob| {
            let mut components: Vec<Component> = glob.split('/').map(Component::new).collect();
            // At the end, `**` is at least one component.
            if let Some(Component::Any) = components.last() {
                components.push(Component::Glob("*".to_owned()));
            }
            Self(components)
        })
    }

    /// Whether the pattern matches the components of a name, with `user` for `${user}`.
    pub(super) fn is_match(&self, name: &[&str], user: &str) -> bool {
        let (mut at, mut next) = (0, 0);
        // Where to go on if the last `**` takes one component more.
        let mut retry: Option<(usize, usize)> = None;
        while let Some(component) = name.get(next) {
            match self.0.get(at) {
                Some(Component::Any) => {
                    at += 1;
                    retry = Some((at, next));
                }
                Some(pattern) if pattern.is_match(component, user) => {
                    at += 1;
                    next += 1;
                }
                _ => {
                    let Some((after, taken)) = retry else { return false };
                    (at, next) = (after, taken + 1);
                    retry = Some((after, next));
                }
            }
        }
        self.0[at..].iter().all(|component| matches!(component, Component::Any))
    }
}

impl Component {
    fn new(text: &str) -> Self {
        match text {
            "**" => Self::Any,
            _ if text.contains(['*', '?']) || text.contains(USER_MARK) => Self::Glob(text.to_owned()),
            _ => Self::Literal(text.to_owned()),
        }
    }

    fn is_match(&self, component: &str, user: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(text) => text == component,
            Self::Glob(glob) if glob == USER_MARK => user == component,
            Self::Glob(glob) => is_match(glob.replace(USER_MARK, user).as_bytes(), component.as_bytes()),
        }
    }
}

/// Whether a glob of `*` and `?` matches a text; the user's name has neither.
fn is_match(glob: &[u8], text: &[u8]) -> bool {
    let (mut at, mut next) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(next) {
        match glob.get(at) {
            Some(b'*') => {
                at += 1;
                retry = Some((at, next));
            }
            Some(pattern) if *pattern == b'?' || pattern == byte => {
                at += 1;
                next += 1;
            }
            _ => {
                let Some((after, taken)) = retry else { return false };
                (at, next) = (after, taken + 1);
                retry = Some((after, next));
            }
        }
    }
    glob[at..].iter().all(|byte| *byte == b'*')
}
