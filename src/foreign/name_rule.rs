//! `NameRule`: the name of an image for which a file has none.

use std::fmt;
use std::str::FromStr;

use sampan_engine::oci::{Digest, RepositoryName, Tag};

use crate::image_name::ImageName;

/// A rule `:TAG=REPOSITORY[:TAG]`, `:=REPOSITORY` for all tags, or `@DIGEST=REPOSITORY[:TAG]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NameRule {
    from: RuleSource,
    to: ImageName,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum RuleSource {
    AnyTag,
    Tag(Tag),
    Digest(Digest),
}

/// An error: the text is no rule.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "invalid rule {text:?}: {problem}; it must be :TAG=REPOSITORY:TAG, :=REPOSITORY for all tags, or @DIGEST=REPOSITORY:TAG"
)]
pub struct InvalidNameRule {
    text: String,
    problem: String,
}

impl NameRule {
    /// Whether a text begins like a rule.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with([':', '@'])
    }

    /// The name of the image with this digest.
    pub(crate) fn for_digest(&self, digest: &Digest) -> Option<ImageName> {
        match &self.from {
            RuleSource::Digest(named) if named == digest => Some(self.to.clone()),
            _ => None,
        }
    }

    /// The name of an image of which only the tag is known.
    pub(crate) fn for_tag(&self, tag: &Tag) -> Option<ImageName> {
        let kept = || ImageName { tag: self.to.tag.clone().or(Some(tag.clone())), ..self.to.clone() };
        match &self.from {
            RuleSource::AnyTag => Some(kept()),
            RuleSource::Tag(named) if named == tag => Some(kept()),
            _ => None,
        }
    }
}

impl fmt::Display for NameRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            RuleSource::AnyTag => write!(f, ":={}", self.to),
            RuleSource::Tag(tag) => write!(f, ":{tag}={}", self.to),
            RuleSource::Digest(digest) => write!(f, "@{digest}={}", self.to),
        }
    }
}

impl FromStr for NameRule {
    type Err = InvalidNameRule;

    fn from_str(text: &str) -> Result<Self, InvalidNameRule> {
        let invalid = |problem: String| InvalidNameRule { text: text.to_owned(), problem };
        let (from, to) = text.split_once('=').ok_or_else(|| invalid("it has no `=`".to_owned()))?;
        let from = match (from, from.strip_prefix(':'), from.strip_prefix('@')) {
            (":", ..) => RuleSource::AnyTag,
            (_, Some(tag), _) => RuleSource::Tag(tag.parse().map_err(|error| invalid(format!("{error}")))?),
            (_, _, Some(digest)) => {
                RuleSource::Digest(digest.parse().map_err(|error| invalid(format!("{error}")))?)
            }
            _ => return Err(invalid("it begins with neither `:` nor `@`".to_owned())),
        };
        let (repository, tag) = match to.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (to, None),
        };
        let repository: RepositoryName = repository.parse().map_err(|error| invalid(format!("{error}")))?;
        let tag = tag.map(|tag| tag.parse().map_err(|error| invalid(format!("{error}")))).transpose()?;
        if from == RuleSource::AnyTag && tag.is_some() {
            return Err(invalid("one tag cannot name all images".to_owned()));
        }
        Ok(Self { from, to: ImageName { repository, tag } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_tags_and_digests() {
        let digest = Digest::sha256_of(b"x");
        let tag: Tag = "1.2".parse().unwrap();
        let by_digest = format!("@{digest}=team/app:9");
        for (rule, for_tag, for_digest) in [
            (":1.2=team/app:3", Some("team/app:3"), None),
            (":1.2=team/app", Some("team/app:1.2"), None),
            (":1.3=team/app:3", None, None),
            (":=team/app", Some("team/app:1.2"), None),
            (&by_digest, None, Some("team/app:9")),
        ] {
            let parsed: NameRule = rule.parse().unwrap();
            assert_eq!(parsed.to_string(), rule);
            assert_eq!(parsed.for_tag(&tag).map(|name| name.to_string()).as_deref(), for_tag, "{rule}");
            let found = parsed.for_digest(&digest).map(|name| name.to_string());
            assert_eq!(found.as_deref(), for_digest, "{rule}");
        }
        for bad in ["a=b", ":1", ":=a:b", ":=", ":1=A", ":a/b=c", "@sha256:1=a:b", "@=a"] {
            assert!(bad.parse::<NameRule>().is_err(), "{bad}");
        }
    }
}
