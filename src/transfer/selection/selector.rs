//! `Selector`: `REPOSITORY[:TAG][@DIGEST]`, where both names are patterns.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use sampan_engine::oci::{Digest, RepositoryName, Tag, version_of};
use semver::VersionReq;

/// Selects images.
///
/// - `team/*` is every repository directly below `team`, `team/**` every one at any depth, `**` all;
/// - without a tag all tags are selected; `:1.*` and `:{1.2,1.3}` are patterns;
/// - `:>=1.2,<2` is a range of versions: a leading `v` of a tag does not count, and other tags do not match;
/// - `:~^v[0-9]+$` is a regular expression, which must match the whole tag;
/// - `@sha256:…` is one manifest, tagged or not.
#[derive(Clone, Debug)]
pub struct Selector {
    text: String,
    repository: GlobMatcher,
    tags: Tags,
    digest: Option<Digest>,
}

#[derive(Clone, Debug)]
enum Tags {
    Any,
    Glob(GlobMatcher),
    Regex(Regex),
    Versions(VersionReq),
}

/// An error: the text is not a selector.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid selector {text:?}: {problem}")]
pub struct InvalidSelector {
    text: String,
    problem: String,
}

impl Selector {
    /// Whether the selector concerns the repository.
    pub fn has_repository(&self, name: &RepositoryName) -> bool {
        self.repository.is_match(name.as_str())
    }

    /// The repository, if the selector names one without a pattern.
    pub fn exact_repository(&self) -> Option<RepositoryName> {
        self.text.split([':', '@']).next()?.parse().ok()
    }

    /// Whether the selector has the tag of a repository that it [has](Self::has_repository).
    pub fn has_tag(&self, tag: &Tag) -> bool {
        if self.digest.is_some() && matches!(self.tags, Tags::Any) {
            return false;
        }
        match &self.tags {
            Tags::Any => true,
            Tags::Glob(glob) => glob.is_match(tag.as_str()),
            Tags::Regex(regex) => regex.is_match(tag.as_str()),
            Tags::Versions(range) => version_of(tag.as_str()).is_some_and(|version| range.matches(&version)),
        }
    }

    /// Whether the selector names repositories only, so that one without tags matches too.
    pub fn names_repositories(&self) -> bool {
        self.digest.is_none() && matches!(self.tags, Tags::Any)
    }

    /// Whether the selector names no tag, but a repository or a digest.
    pub(crate) fn has_no_tag(&self) -> bool {
        matches!(self.tags, Tags::Any)
    }

    /// The manifest that the selector names by its digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Selector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, InvalidSelector> {
        let invalid = |problem: String| InvalidSelector { text: text.to_owned(), problem };
        let (repository, rest) = match text.find([':', '@']) {
            Some(place) => text.split_at(place),
            None => (text, ""),
        };
        if repository.is_empty() {
            return Err(invalid("it names no repository".to_owned()));
        }
        // A regular expression may have any character, so nothing follows it.
        let (tag, digest) = match rest.rsplit_once('@') {
            Some((tag, digest)) if !tag.starts_with(":~") => (tag, Some(digest)),
            _ => (rest, None),
        };
        let tag = tag.strip_prefix(':');
        if let Some((port, _)) = tag.and_then(|tag| tag.split_once('/'))
            && !port.is_empty()
            && port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(invalid(format!("leave out the host `{repository}:{port}`")));
        }
        let digest =
            digest.map(|digest| digest.parse().map_err(|error| invalid(format!("{error}")))).transpose()?;
        let tags = match tag {
            None => Tags::Any,
            Some("") => return Err(invalid("the tag is empty".to_owned())),
            Some(tag) => tags(tag).map_err(invalid)?,
        };
        Ok(Self { text: text.to_owned(), repository: glob(repository).map_err(invalid)?, tags, digest })
    }
}

fn tags(text: &str) -> Result<Tags, String> {
    if let Some(regex) = text.strip_prefix('~') {
        let regex = Regex::new(&format!("^(?:{regex})$"));
        return regex.map(Tags::Regex).map_err(|error| format!("the regular expression is invalid: {error}"));
    }
    match text.starts_with(['<', '>', '=', '^']) {
        true => text
            .parse()
            .map(Tags::Versions)
            .map_err(|error| format!("the range of versions is invalid: {error}")),
        false => glob(text).map(Tags::Glob),
    }
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher())
        .map_err(|error| format!("the pattern is invalid: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, repository: &str, tag: &str) -> bool {
        let selector: Selector = selector.parse().unwrap();
        selector.has_repository(&repository.parse().unwrap()) && selector.has_tag(&tag.parse().unwrap())
    }

    #[test]
    fn selectors_match_repositories_and_tags() {
        for (selector, repository, tag, expected) in [
            ("team/app", "team/app", "any", true),
            ("team/app", "team/app/sub", "any", false),
            ("team/*", "team/app", "x", true),
            ("team/*", "team/app/sub", "x", false),
            ("team/**", "team/app/sub", "x", true),
            ("team/**", "teams/app", "x", false),
            ("**", "a/b/c", "x", true),
            ("*", "a", "x", true),
            ("*", "a/b", "x", false),
            ("{a,b}", "b", "x", true),
            ("a:1.*", "a", "1.2", true),
            ("a:1.*", "a", "2.1", false),
            ("a:{1.2,1.3}", "a", "1.3", true),
            ("a:~v[0-9]+", "a", "v12", true),
            ("a:~v[0-9]+", "a", "v12-rc", false),
            ("a:>=1.2,<2", "a", "v1.10", true),
            ("a:>=1.2,<2", "a", "2.0", false),
            ("a:>=1.2,<2", "a", "1.3.0-rc.1", false),
            ("a:>=1.2,<2", "a", "latest", false),
        ] {
            assert_eq!(matches(selector, repository, tag), expected, "{selector} {repository}:{tag}");
        }
    }

    #[test]
    fn a_digest_selects_no_tag() {
        let text = format!("a@{}", Digest::sha256_of(b""));
        let selector: Selector = text.parse().unwrap();
        assert_eq!(selector.digest(), Some(&Digest::sha256_of(b"")));
        assert!(!selector.has_tag(&"latest".parse().unwrap()));
        assert_eq!(selector.to_string(), text);
    }

    #[test]
    fn bad_selectors_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "names no repository"),
            (":1.0", "names no repository"),
            ("a:", "tag is empty"),
            ("a:~(", "regular expression"),
            ("a:>=x", "range of versions"),
            ("a:{b", "pattern"),
            ("a@sha256:12", "64 hexadecimal"),
            ("localhost:5000/a:1", "leave out the host `localhost:5000`"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
