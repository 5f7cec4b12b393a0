//! `NamePattern`: a pattern that is matched without being compiled.
//!
//! A compiled set is fast, and takes some 20 KiB. So it is for the rules, which are one for all; the patterns of each access
//! token, and those with `${user}`, which differ for each user, stay as they are. Of them there are few, and most names differ
//! from a pattern in their first component.

use std::slice;

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

    /// Whether the pattern matches a name, with `user` for `${user}`. It allocates nothing: requests wait for it.
    pub(super) fn is_match(&self, name: &str, user: &str) -> bool {
        let is_any = |component: &&Component| matches!(component, Component::Any);
        matches(self.0.iter(), name.split('/'), is_any, |component, text| component.is_match(text, user))
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
            Self::Glob(glob) => is_match(glob, component, user),
        }
    }
}

/// Whether a glob of `*`, `?` and the mark matches a text; the user's name has none of them.
fn is_match(glob: &str, text: &str, user: &str) -> bool {
    let is_mark = |byte: &u8| [*byte] == *USER_MARK.as_bytes();
    let glob = glob.as_bytes().iter();
    let glob = glob.flat_map(|byte| if is_mark(byte) { user.as_bytes() } else { slice::from_ref(byte) });
    matches(glob, text.bytes(), |byte| **byte == b'*', |pattern, byte| *pattern == b'?' || *pattern == byte)
}

/// Whether a pattern matches a list: `is_any` of its parts take any number of items, and each other part one that `fits`.
fn matches<P: Iterator<Item: Copy> + Clone, T: Iterator<Item: Copy> + Clone>(
    mut pattern: P,
    mut items: T,
    is_any: impl Fn(&P::Item) -> bool,
    fits: impl Fn(P::Item, T::Item) -> bool,
) -> bool {
    // Where to continue if the last part that takes any number takes one item more.
    let mut retry: Option<(P, T)> = None;
    loop {
        let (mut parts, mut rest) = (pattern.clone(), items.clone());
        let Some(item) = rest.next() else { return pattern.all(|part| is_any(&part)) };
        match parts.next() {
            Some(part) if is_any(&part) => {
                pattern = parts;
                retry = Some((pattern.clone(), items.clone()));
            }
            Some(part) if fits(part, item) => (pattern, items) = (parts, rest),
            _ => {
                let Some((after, taken)) = &mut retry else { return false };
                taken.next();
                (pattern, items) = (after.clone(), taken.clone());
            }
        }
    }
}
