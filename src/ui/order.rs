//! The order of tags by version: semantic versions first, the newest first, numbers as numbers.

use std::cmp::Ordering;

use sampan_engine::oci::version_of;
use semver::Version;

/// How a tag sorts by version. The order is total: equal keys are equal tags.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct VersionKey<'a> {
    version: Option<Version>,
    tag: &'a str,
}

impl<'a> VersionKey<'a> {
    pub(crate) fn of(tag: &'a str) -> Self {
        Self { version: version_of(tag), tag }
    }
}

impl Ord for VersionKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.version, &other.version) {
            (Some(own), Some(others)) => others.cmp(own),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => natural(other.tag, self.tag),
        }
        .then_with(|| self.tag.cmp(other.tag))
    }
}

impl PartialOrd for VersionKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares text with its numbers as numbers: `build-9` before `build-10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (a.first(), b.first()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let ((left, rest_a), (right, rest_b)) = (number(a), number(b));
                let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
                if order.is_ne() {
                    return order;
                }
                (a, b) = (rest_a, rest_b);
            }
            (Some(x), Some(y)) if x == y => (a, b) = (&a[1..], &b[1..]),
            (x, y) => return x.cmp(&y),
        }
    }
}

/// The digits at the beginning, without leading zeros, and the rest.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let zeros = text[..end].iter().take_while(|byte| **byte == b'0').count();
    (&text[zeros..end], &text[end..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sorted<'a>(tags: &[&'a str]) -> Vec<&'a str> {
        let mut tags = tags.to_vec();
        tags.sort_by(|a, b| VersionKey::of(a).cmp(&VersionKey::of(b)));
        tags
    }

    #[test]
    fn the_newest_version_is_first_and_other_names_are_last() {
        assert_eq!(
            sorted(&[
                "latest",
                "v1.2.0",
                "v1.10.0",
                "1.10.0-rc.1",
                "build-9",
                "build-10",
                "2",
                "v1.10",
                "1.2.3.4"
            ]),
            ["2", "v1.10", "v1.10.0", "1.10.0-rc.1", "v1.2.0", "latest", "build-10", "build-9", "1.2.3.4"]
        );
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in "[v0-9a-c.+-]{1,9}", b in "[v0-9a-c.+-]{1,9}", c in "[v0-9a-c.+-]{1,9}") {
            let key = |tag| VersionKey::of(tag);
            let (x, y, z) = (key(a.as_str()), key(b.as_str()), key(c.as_str()));
            prop_assert_eq!(x.cmp(&y), y.cmp(&x).reverse());
            prop_assert_eq!(x.cmp(&y).is_eq(), a == b);
            if x.cmp(&y).is_le() && y.cmp(&z).is_le() {
                prop_assert!(x.cmp(&z).is_le());
            }
        }
    }
}
