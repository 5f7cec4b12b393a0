//! Tags as versions.

use semver::Version;

/// The version that a tag names: a leading `v` does not count, and missing numbers are 0. `None` for other tags.
pub fn version_of(tag: &str) -> Option<Version> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let end = text.find(['-', '+', '_']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let missing = 3usize.checked_sub(numbers.split('.').count())?;
    // A tag cannot have a `+`, so tools write `_` for it.
    let rest = rest.replace('_', "+");
    Version::parse(&format!("{numbers}{}{rest}", ".0".repeat(missing))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_with_numbers_are_versions() {
        for (tag, expected) in [
            ("1", Some("1.0.0")),
            ("v1.2", Some("1.2.0")),
            ("1.2.3", Some("1.2.3")),
            ("1.2-alpine", Some("1.2.0-alpine")),
            ("1.2.3-rc.1_build.5", Some("1.2.3-rc.1+build.5")),
            ("latest", None),
            ("v", None),
            ("1.2.3.4", None),
            ("", None),
        ] {
            assert_eq!(version_of(tag), expected.map(|text| text.parse().unwrap()), "{tag}");
        }
    }
}
