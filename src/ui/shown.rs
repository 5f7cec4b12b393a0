//! How values are shown: sizes, times, and text from strangers.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use sampan_engine::oci::Digest;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use super::language::Language;

/// The longest text of a stranger that a page shows, in characters.
const MAX_CHARACTERS: usize = 400;

/// A size with a unit, such as `31.4 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // A size has three digits; more say nothing.
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 9.995 {
        2
    } else if value < 99.95 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A time: as machines read it, and as a reader without a script does, in UTC.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Moment {
    pub(crate) machine: String,
    pub(crate) human: String,
}

impl Moment {
    /// The same for milliseconds since 1970.
    pub(crate) fn of_millis(millis: u64) -> Option<Self> {
        Self::of(SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))?)
    }

    /// `None` for a time that no calendar has.
    pub(crate) fn of(time: SystemTime) -> Option<Self> {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let time = OffsetDateTime::from_unix_timestamp(i64::try_from(since.as_secs()).ok()?).ok()?;
        const HUMAN: &[time::format_description::BorrowedFormatItem<'_>] =
            format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
        Some(Self { machine: time.format(&Rfc3339).ok()?, human: time.format(HUMAN).ok()? })
    }
}

/// A duration in its two largest units.
pub(crate) fn duration(t: Language, duration: Duration) -> String {
    let seconds = duration.as_secs();
    let units =
        [(86_400, t.unit_days()), (3600, t.unit_hours()), (60, t.unit_minutes()), (1, t.unit_seconds())];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, name) in units {
        if rest >= size && parts.len() < 2 {
            parts.push(format!("{} {name}", rest / size));
            rest %= size;
        }
    }
    if parts.is_empty() { format!("0 {}", t.unit_seconds()) } else { parts.join(" ") }
}

/// A stranger's text, shortened, whose invisible characters can be seen: control characters as their symbols, what changes the
/// direction of text and other format characters as their code points.
pub(crate) fn text(text: &str) -> String {
    brief(text, MAX_CHARACTERS)
}

/// The same of any length.
pub(crate) fn line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => shown.push(' '),
            '\u{0}'..='\u{1f}' => shown.push(char::from_u32(0x2400 + u32::from(character)).unwrap_or('�')),
            '\u{7f}' => shown.push('␡'),
            '\u{80}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}' => {
                let _ = write!(shown, "⟨U+{:04X}⟩", u32::from(character));
            }
            _ => shown.push(character),
        }
    }
    shown
}

/// The same, cut to a number of characters: for a cell of a long list.
pub(crate) fn brief(text: &str, max_characters: usize) -> String {
    match text.char_indices().nth(max_characters) {
        Some((end, _)) => line(&text[..end]) + "…",
        None => line(text),
    }
}

/// The length of a text in HTML, in bytes: marks are escaped with five characters each.
pub(crate) fn escaped_length(text: &str) -> usize {
    text.len() + 4 * text.bytes().filter(|byte| b"<>&\"'".contains(byte)).count()
}

/// The beginning of a digest, long enough to tell images apart.
pub(crate) fn short(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("{}:{}", digest.algorithm().as_str(), hex.get(..12).unwrap_or(hex))
}

/// A link of an annotation that may be followed: `https`, without credentials or characters that change what is seen.
pub(crate) fn link(text: &str) -> Option<&str> {
    let url = url::Url::parse(text).ok()?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\`".contains(&byte));
    (url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && is_plain
        && text.len() <= 2048)
        .then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_three_digits() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10_240, "10.0 KiB"),
            (1_023_000, "999 KiB"),
            (1_023_999, "0.98 MiB"),
            (33_000_000, "31.5 MiB"),
            (1 << 40, "1.00 TiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), shown, "{bytes}");
        }
    }

    #[test]
    fn a_time_is_for_machines_and_readers() {
        let moment = Moment::of(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
        assert_eq!(
            (moment.machine.as_str(), moment.human.as_str()),
            ("2023-11-14T22:13:20Z", "2023-11-14 22:13 UTC")
        );
        assert_eq!(Moment::of(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), None);
    }

    #[test]
    fn what_cannot_be_seen_is_made_visible() {
        assert_eq!(text("a\u{0}b\u{1b}[31m\u{7f}\u{85}"), "a␀b␛[31m␡⟨U+0085⟩");
        assert_eq!(text("exe.\u{202e}gnp\u{2066}"), "exe.⟨U+202E⟩gnp⟨U+2066⟩");
        assert_eq!(text("香港 <b>"), "香港 <b>");
        assert_eq!(text(&"x".repeat(1 << 20)).chars().count(), MAX_CHARACTERS + 1);
    }

    #[test]
    fn only_plain_https_is_a_link() {
        assert!(link("https://example.com/a?b=c#d").is_some());
        for odd in [
            "http://example.com",
            "javascript:alert(1)",
            "https://user@example.com",
            "https://:pw@example.com",
            "//example.com",
            "https://example.com/\u{202e}",
            "https://example.com/\"",
            " https://example.com",
            "https://example.com/a b",
        ] {
            assert_eq!(link(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_duration_has_its_two_largest_units() {
        let shown = |seconds| duration(Language::English, Duration::from_secs(seconds));
        assert_eq!(shown(0), "0 s");
        assert_eq!(shown(59), "59 s");
        assert_eq!(shown(86_400), "1 d");
        assert_eq!(shown(90_061), "1 d 1 h");
        assert_eq!(shown(3_661), "1 h 1 min");
    }
}
