//! `NamePattern`: a pattern that is matched without being compiled.
//!
//! A compiled set is fast, and takes some 20 KiB. So it is for the rules, which are one for all; the patterns of each access
//! token, and those with `${user}`, which differ for each user, stay as they are. Of them there are few, and most names differ
//! from a pattern in their first component.

use sampan_config::RepositoryPattern;

/// Stands for the user in globs: no name and no pattern has this character.
const USER_MARK: &str = "\u{1}";

/// A pattern without braces.
pub(super) struct NamePattern(Vec<Component>);

enum Component {
    /// `**`: any number of components.
    Any,
    /// Literal text.
    Literal(String),
    /// Text with `*`, `?` or the mark.
    Glob(String),
}

impl NamePattern {
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
        let is_any = |component: &Component| matches!(component, Component::Any);
        matches(&self.0, name, is_any, |component, text| component.is_match(text, user))
    }

    /// The approximate size in memory, in bytes.
    pub(super) fn size_bytes(&self) -> usize {
        let text = |component: &Component| match component {
            Component::Any => 0,
            Component::Literal(text) | Component::Glob(text) => text.len(),
        };
        self.0.iter().map(|component| size_of::<Component>() + text(component)).sum()
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
    matches(glob, text, |byte| *byte == b'*', |pattern, byte| *pattern == b'?' || pattern == byte)
}

/// Whether a pattern matches a list: `is_any` of its parts take any number of items, and each other part one that `fits`.
fn matches<P, T>(
    pattern: &[P],
    items: &[T],
    is_any: impl Fn(&P) -> bool,
    fits: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut at, mut next) = (0, 0);
    // Where to go on if the last part that takes any number takes one item more.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(item) = items.get(next) {
        match pattern.get(at) {
            Some(part) if is_any(part) => {
                at += 1;
                retry = Some((at, next));
            }
            Some(part) if fits(part, item) => {
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
    pattern[at..].iter().all(is_any)
}
