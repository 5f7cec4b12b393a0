//! `Range`: the requested parts of a blob (RFC 9110, 14).

use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;

/// More ranges than any real client requests at once; above it the response is the whole blob.
const MAX_RANGES: usize = 16;

/// The meaning of a `Range` header for content of known size.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::http) enum Ranges {
    /// The whole content: the header is absent or ignored.
    Whole,
    /// These parts, in the requested order; at least one.
    Parts(Vec<Range<u64>>),
    /// Malformed, or entirely outside the content.
    Unsatisfiable,
}

/// Resolves the `Range` header for content of `size` bytes.
///
/// Ignores units other than bytes, any range of empty content, more than [`MAX_RANGES`], and ranges that
/// together exceed the content, which only an attacker would request.
pub(in crate::http) fn ranges(headers: &HeaderMap, size: u64) -> Ranges {
    let Some(value) = headers.get(RANGE) else { return Ranges::Whole };
    let Some(set) = value.to_str().ok().and_then(|text| text.trim().strip_prefix("bytes=")) else {
        return Ranges::Whole;
    };
    if size == 0 {
        return Ranges::Whole;
    }
    let mut parts = Vec::new();
    let mut total = 0_u64;
    for (index, text) in set.split(',').map(str::trim).filter(|text| !text.is_empty()).enumerate() {
        let Some(range) = resolve(text, size) else { return Ranges::Unsatisfiable };
        if range.is_empty() {
            continue;
        }
        total = total.saturating_add(range.end - range.start);
        if index >= MAX_RANGES || total > size {
            return Ranges::Whole;
        }
        parts.push(range);
    }
    if parts.is_empty() { Ranges::Unsatisfiable } else { Ranges::Parts(parts) }
}

/// One range, clamped to the content and empty when outside it; `None` when malformed.
fn resolve(text: &str, size: u64) -> Option<Range<u64>> {
    let (start, end) = text.split_once('-')?;
    let (start, end) = (start.trim(), end.trim());
    match (start, end) {
        ("", suffix) => Some(size.saturating_sub(number(suffix)?)..size),
        (start, "") => Some(number(start)?.min(size)..size),
        (start, end) => {
            let (start, end) = (number(start)?, number(end)?);
            (start <= end).then(|| start.min(size)..end.saturating_add(1).min(size))
        }
    }
}

/// Parses digits. A number that overflows means "beyond the end", as `u64::MAX` does.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, size: u64) -> Ranges {
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, text.parse().unwrap());
        ranges(&headers, size)
    }

    fn one(part: Range<u64>) -> Ranges {
        Ranges::Parts(vec![part])
    }

    fn two(first: Range<u64>, second: Range<u64>) -> Ranges {
        Ranges::Parts(vec![first, second])
    }

    #[test]
    fn every_form_resolves() {
        assert_eq!(ranges(&HeaderMap::new(), 10), Ranges::Whole);
        for (text, expected) in [
            ("bytes=0-0", one(0..1)),
            ("bytes=2-5", one(2..6)),
            ("bytes=2-", one(2..10)),
            ("bytes=-3", one(7..10)),
            ("bytes=-30", one(0..10)),
            ("bytes=5-99999999999999999999999", one(5..10)),
            ("bytes=0-1,8-", two(0..2, 8..10)),
            ("bytes= 8-9 , 0-1 ", two(8..10, 0..2)),
            ("bytes=0-1,20-30", one(0..2)),
            ("bytes=10-", Ranges::Unsatisfiable),
            ("bytes=10-12,20-", Ranges::Unsatisfiable),
            ("bytes=-0", Ranges::Unsatisfiable),
            ("bytes=99999999999999999999999-", Ranges::Unsatisfiable),
            ("bytes=5-2", Ranges::Unsatisfiable),
            ("bytes=", Ranges::Unsatisfiable),
            ("bytes=-", Ranges::Unsatisfiable),
            ("bytes=a-b", Ranges::Unsatisfiable),
            ("bytes=+1-2", Ranges::Unsatisfiable),
            ("bytes=1", Ranges::Unsatisfiable),
            ("items=0-1", Ranges::Whole),
            ("nonsense", Ranges::Whole),
            ("bytes=0-9,0-9", Ranges::Whole),
        ] {
            assert_eq!(of(text, 10), expected, "{text}");
        }
    }

    #[test]
    fn empty_content_has_no_ranges() {
        assert_eq!(of("bytes=0-", 0), Ranges::Whole);
    }

    #[test]
    fn too_many_ranges_get_the_whole_content() {
        let many: Vec<String> = (0..17).map(|at| format!("{at}-{at}")).collect();
        assert_eq!(of(&format!("bytes={}", many.join(",")), 1000), Ranges::Whole);
        assert!(matches!(of(&format!("bytes={}", many[..16].join(",")), 1000), Ranges::Parts(_)));
    }

    proptest! {
        #[test]
        fn parts_lie_inside_the_content_and_are_no_more_than_it(
            text in "bytes=([0-9]{0,3}-[0-9]{0,3}){1}(,[0-9]{0,3}-[0-9]{0,3}){0,4}",
            size in 0_u64..500,
        ) {
            if let Ranges::Parts(parts) = of(&text, size) {
                prop_assert!(!parts.is_empty());
                prop_assert!(parts.iter().all(|range| range.start < range.end && range.end <= size));
                prop_assert!(parts.iter().map(|range| range.end - range.start).sum::<u64>() <= size);
            }
        }
    }
}
