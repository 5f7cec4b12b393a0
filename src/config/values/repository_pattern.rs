//! `RepositoryPattern`: a glob for whole names of repositories.
//!
//! `*` and `?` stay within a component, `**` is any number of components, `{a,b}` is either, `${user}` is the name of the user
//! that asks. Everything else is literal, and only characters of repository names may be: a pattern that can match nothing by a
//! slip would take rights away without a word, or, as an exception, leave them there.

use std::fmt;
use std::str::FromStr;

use globset::GlobBuilder;

use super::value_from_text;

/// A glob for whole names of repositories.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RepositoryPattern {
    text: String,
    /// The pattern without braces, one for each combination; [`USER_MARK`] in place of `${user}`.
    alternatives: Vec<String>,
}

/// The name of the user in a pattern.
const USER: &str = "${user}";
/// No other `$` passes the check of characters.
const USER_MARK: char = '$';
/// The characters that make a pattern.
const MARKS: [char; 5] = ['*', '?', '{', '}', '$'];
/// `{a,b}` may be repeated, and each repetition doubles the alternatives.
const MAX_ALTERNATIVES: usize = 64;

impl RepositoryPattern {
    /// The longest pattern, in bytes: no name of a repository is longer.
    pub const MAX_LEN: usize = 255;

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern depends on the user that asks.
    pub fn names_user(&self) -> bool {
        self.text.contains(USER)
    }

    /// Whether it is one name, and no pattern.
    pub fn is_exact(&self) -> bool {
        !self.text.contains(MARKS)
    }

    /// The components before the first one with a pattern, without a slash at the end; an exact one is all of it.
    pub fn fixed(&self) -> &str {
        match self.text.find(MARKS) {
            None => &self.text,
            Some(mark) => self.text[..mark].rsplit_once('/').map_or("", |(fixed, _)| fixed),
        }
    }

    /// The number of globs that the pattern stands for.
    pub fn alternatives(&self) -> usize {
        self.alternatives.len()
    }

    /// The approximate size in memory, in bytes.
    pub fn size_bytes(&self) -> usize {
        let globs = self.alternatives.iter().map(|glob| size_of::<String>() + glob.len());
        size_of::<Self>() + self.text.len() + globs.sum::<usize>()
    }

    /// The globs that the pattern stands for, without braces and with `user` in place of `${user}`: `*`, `?`, and `**` as a
    /// whole component. The caller makes sure that the user's name is one component of a name.
    pub fn globs<'a>(&'a self, user: &'a str) -> impl Iterator<Item = String> + 'a {
        self.alternatives.iter().map(move |alternative| alternative.replace(USER_MARK, user))
    }

    /// Whether the pattern, without a user, matches a name. It is compiled for that: for a check, not for a request.
    pub(crate) fn is_match(&self, name: &str) -> bool {
        let matches = |glob: &str| {
            let glob = GlobBuilder::new(glob).literal_separator(true).build();
            glob.is_ok_and(|glob| glob.compile_matcher().is_match(name))
        };
        self.globs("").any(|glob| matches(&glob))
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for RepositoryPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is empty: write `**` for all repositories".to_owned());
        }
        if text.len() > Self::MAX_LEN {
            let length = text.len();
            return Err(format!("has {length} characters, and no repository name has more than 255"));
        }
        let marked = mark_user(text)?;
        if let Some(problem) = marked.chars().find_map(problem_of) {
            return Err(format!("`{text}`: {problem}"));
        }
        let mut alternatives = Vec::new();
        expand(&marked, &mut alternatives).map_err(|problem| format!("`{text}`: {problem}"))?;
        for alternative in &mut alternatives {
            *alternative = normalize(alternative).map_err(|problem| format!("`{text}`: {problem}"))?;
        }
        Ok(Self { text: text.to_owned(), alternatives })
    }
}

value_from_text!(RepositoryPattern);

/// Replaces `${user}` by its mark; any other `$` is a mistake.
fn mark_user(text: &str) -> Result<String, String> {
    let marked = text.replace(USER, "\0");
    if text.contains('\0') {
        return Err(format!("`{}` has a zero byte", text.escape_debug()));
    }
    match marked.split_once('$') {
        None => Ok(marked.replace('\0', &USER_MARK.to_string())),
        Some((_, rest)) => {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            let found = if rest.starts_with('{') { &rest[..end] } else { "" };
            Err(format!("`{text}`: `${found}` is unknown; the only variable is `{USER}`"))
        }
    }
}

/// The problem of a character that no name of a repository holds and that has no meaning here.
fn problem_of(c: char) -> Option<String> {
    match c {
        'a'..='z' | '0'..='9' | '.' | '_' | '-' | '/' => None,
        '*' | '?' | '{' | '}' | ',' | USER_MARK => None,
        'A'..='Z' => Some(format!("repository names are in lower case, and `{c}` is not")),
        '[' | ']' => Some(format!("`{c}` has no meaning here: write alternatives as `{{a,b}}`")),
        '!' => Some("`!` has no meaning here: write exceptions to the rule as `except`".to_owned()),
        '\\' => Some("`\\` has no meaning here: no character of a name needs it".to_owned()),
        _ => Some(format!("`{}` is in no repository name", c.escape_debug())),
    }
}

/// Writes out the first braces, and the others in turn.
fn expand(pattern: &str, into: &mut Vec<String>) -> Result<(), String> {
    let Some(open) = pattern.find('{') else {
        if pattern.contains('}') {
            return Err("a `}` has no `{` before it".to_owned());
        }
        if into.len() == MAX_ALTERNATIVES {
            return Err(format!("has more than {MAX_ALTERNATIVES} alternatives: write several patterns"));
        }
        into.push(pattern.to_owned());
        return Ok(());
    };
    let (before, inner) = (&pattern[..open], &pattern[open + 1..]);
    if before.contains('}') {
        return Err("a `}` has no `{` before it".to_owned());
    }
    let (branches, rest) = branches(inner).ok_or("a `{` has no `}` after it")?;
    if let [only] = branches.as_slice() {
        return Err(match *only {
            "user" => format!("`{{user}}` is the word `user`; the name of the user is `{USER}`"),
            only => format!("`{{{only}}}` has a single alternative: write it without braces, or add others"),
        });
    }
    for branch in branches {
        expand(&format!("{before}{branch}{rest}"), into)?;
    }
    Ok(())
}

/// The branches up to the brace that closes them, and the text after it.
fn branches(inner: &str) -> Option<(Vec<&str>, &str)> {
    let (mut depth, mut begin) = (0_usize, 0);
    let mut branches = Vec::new();
    for (index, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                branches.push(&inner[begin..index]);
                begin = index + 1;
            }
            '}' if depth == 0 => {
                branches.push(&inner[begin..index]);
                return Some((branches, &inner[index + 1..]));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Checks the components; several `**` in a row are one.
fn normalize(alternative: &str) -> Result<String, String> {
    if alternative.contains(',') {
        return Err("`,` is in no repository name: write alternatives as `{a,b}`".to_owned());
    }
    if alternative.starts_with('/') {
        return Err("repository names begin with no slash".to_owned());
    }
    if let Some(name) = alternative.strip_suffix('/') {
        return Err(format!(
            "repository names end with no slash: write `{}/**` for all that is below",
            shown(name)
        ));
    }
    let mut components: Vec<&str> = Vec::new();
    for component in alternative.split('/') {
        if component.is_empty() {
            return Err("has an empty component, which no repository name has".to_owned());
        }
        if component != "**" && component.contains("**") {
            return Err(format!(
                "`**` must be a component of its own, such as `team/**`; within `{}`, write `*`",
                shown(component)
            ));
        }
        if component != "**" || components.last() != Some(&"**") {
            components.push(component);
        }
    }
    Ok(components.join("/"))
}

fn shown(marked: &str) -> String {
    marked.replace(USER_MARK, USER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_written_out() {
        for (text, expected) in [
            ("**", vec!["**"]),
            ("team/**/**/x", vec!["team/**/x"]),
            ("{a,b}/c", vec!["a/c", "b/c"]),
            ("a{,-b}", vec!["a", "a-b"]),
            ("{a,b{c,d/**}}/e", vec!["a/e", "bc/e", "bd/**/e"]),
            ("{**,x}", vec!["**", "x"]),
            ("home/${user}/{a,${user}-?}*", vec!["home/ann/a*", "home/ann/ann-?*"]),
        ] {
            let pattern: RepositoryPattern = text.parse().unwrap();
            assert_eq!(pattern.globs("ann").collect::<Vec<_>>(), expected, "{text}");
            assert_eq!(pattern.names_user(), text.contains("user"));
        }
    }

    #[test]
    fn a_name_is_matched_component_by_component() {
        for (text, matching, others) in [
            ("a/b", vec!["a/b"], vec!["a", "a/b/c", "xa/b"]),
            ("**", vec!["a", "a/b/c"], vec![]),
            ("a/*", vec!["a/b", "a/b-c.d"], vec!["a", "a/b/c"]),
            ("a/**", vec!["a/b", "a/b/c"], vec!["a", "ab/c"]),
            ("**/b", vec!["b", "a/b", "a/a/b"], vec!["ab", "b/c"]),
            ("a/**/b", vec!["a/b", "a/x/b", "a/x/y/b"], vec!["a/xb", "ab"]),
            ("a.b-?/c*", vec!["a.b-x/c", "a.b-x/cd"], vec!["axb-x/c", "a.b-/c", "a.b-x/d"]),
            ("{a,b}/c", vec!["a/c", "b/c"], vec!["c/c"]),
        ] {
            let pattern: RepositoryPattern = text.parse().unwrap();
            matching.iter().for_each(|name| assert!(pattern.is_match(name), "{text} {name}"));
            others.iter().for_each(|name| assert!(!pattern.is_match(name), "{text} {name}"));
        }
    }

    #[test]
    fn the_components_before_a_pattern_are_fixed() {
        for (text, expected) in [
            ("library/debian", "library/debian"),
            ("library/*", "library"),
            ("library/**", "library"),
            ("a/b/deb*/c", "a/b"),
            ("a/{b,c}/d", "a"),
            ("a?/b", ""),
            ("*/b", ""),
            ("**", ""),
        ] {
            let pattern: RepositoryPattern = text.parse().unwrap();
            assert_eq!((pattern.fixed(), pattern.is_exact()), (expected, text == expected), "{text}");
        }
    }

    #[test]
    fn a_pattern_that_means_something_else_than_it_says_is_refused() {
        for (text, expected) in [
            ("", "is empty"),
            ("/team/**", "begin with no slash"),
            ("team/", "write `team/**` for all"),
            ("a//b", "an empty component"),
            ("Team/**", "in lower case, and `T` is not"),
            ("docker.io:5000/**", "`:` is in no repository name"),
            ("team**", "`**` must be a component of its own"),
            ("team/${user}**", "within `${user}**`, write `*`"),
            ("a/[bc]", "write alternatives as `{a,b}`"),
            ("!a", "write exceptions to the rule as `except`"),
            ("a\\*", "`\\` has no meaning here"),
            ("a,b", "`,` is in no repository name"),
            ("{a,b", "a `{` has no `}` after it"),
            ("a}", "a `}` has no `{` before it"),
            ("a}{b,c}", "a `}` has no `{` before it"),
            ("home/{user}/**", "the name of the user is `${user}`"),
            ("home/$user/**", "`$` is unknown; the only variable is `${user}`"),
            ("home/${name}/**", "`${name}` is unknown; the only variable is `${user}`"),
            ("home/${user", "`${user` is unknown"),
            ("x/{a}", "a single alternative"),
            ("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}", "more than 64 alternatives"),
            ("a\u{1}b", "`\\u{1}` is in no"),
            ("ü", "`ü` is in no repository name"),
        ] {
            let problem = text.parse::<RepositoryPattern>().unwrap_err();
            assert!(problem.contains(expected), "{text}: {problem}");
        }
        assert!("a".repeat(256).parse::<RepositoryPattern>().is_err());
        assert!("{a,b}".repeat(51).parse::<RepositoryPattern>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "([a-z/*?{},$ü.]|\\$\\{user\\}|\\*\\*){0,40}") {
            if let Ok(pattern) = text.parse::<RepositoryPattern>() {
                let count = pattern.globs("ann").filter(|glob| !glob.contains(['{', '}', ',', '$'])).count();
                assert_eq!(count, pattern.globs("ann").count());
                assert!((1..=MAX_ALTERNATIVES).contains(&count));
            }
        }
    }
}
