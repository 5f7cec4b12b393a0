//! `VersionRange`: a range of versions, as `>=12, <14`.

use std::fmt;
use std::str::FromStr;

use semver::VersionReq;

use super::value_from_text;

/// A range of versions: comparisons with commas between, all of which a version must satisfy.
///
/// Each has an operator or a wildcard: `1.2` alone means 1.2.x to some tools, and anything below 2 to others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VersionRange(VersionReq);

impl VersionRange {
    /// The parsed range.
    pub fn as_req(&self) -> &VersionReq {
        &self.0
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VersionRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let range = VersionReq::parse(text).map_err(|error| {
            format!(
                "expected a range of versions such as `>=12, <14`, found `{}`: {error}",
                text.escape_debug()
            )
        })?;
        let is_bare = |comparison: &&str| {
            comparison.starts_with(|c: char| c.is_ascii_digit()) && !comparison.contains(['*', 'x', 'X'])
        };
        match text.split(',').map(str::trim).find(is_bare) {
            Some(bare) => Err(format!(
                "`{bare}` has no operator: write `={bare}` for its own versions alone, or `^{bare}` for all that are compatible"
            )),
            None => Ok(Self(range)),
        }
    }
}

value_from_text!(VersionRange);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_the_versions_between_their_comparisons() {
        for (text, within, outside) in [
            (">=12, <14", "13.9.1", "14.0.0"),
            (">=12,<14", "12.0.0", "11.9.9"),
            ("=1.2", "1.2.7", "1.3.0"),
            ("1.2.*", "1.2.7", "1.3.0"),
            ("1.x", "1.9.0", "2.0.0"),
            ("~1.2.3", "1.2.4", "1.3.0"),
            ("^1.2", "1.9.0", "2.0.0"),
        ] {
            let range: VersionRange = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(range.as_req().matches(&within.parse().unwrap()), "{text} {within}");
            assert!(!range.as_req().matches(&outside.parse().unwrap()), "{text} {outside}");
        }
        assert!("*".parse::<VersionRange>().is_ok());
    }

    #[test]
    fn other_texts_are_refused_with_the_reason() {
        for (text, expected) in [
            ("", "expected a range of versions such as `>=12, <14`, found ``"),
            ("latest", "found `latest`"),
            (">=12 <14", "expected comma"),
            (">=1 || <3", "expected comma"),
            ("!=1", "found `!=1`"),
            (">=1\n", "found `>=1\\n`"),
            ("12", "`12` has no operator: write `=12`"),
            (">=1, 1.2", "`1.2` has no operator"),
        ] {
            let problem = text.parse::<VersionRange>().expect_err(text);
            assert!(problem.contains(expected), "{text}: {problem}");
        }
    }
}
