//! Durations as Go writes them: `168h`, `1h30m`, `250ms`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

/// A duration in Go's syntax. A bare whole number is nanoseconds, as in yaml.v2.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GoDuration(pub Duration);

/// Writes whole hours, minutes and seconds, without the zero ones, and milliseconds below a second.
impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        if secs == 0 {
            return write!(f, "{}ms", self.0.as_millis());
        }
        for (count, unit) in [(secs / 3600, "h"), (secs / 60 % 60, "m"), (secs % 60, "s")] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a duration such as 30s, 1h30m or 168h, found `{text}`");
        let mut rest = text.strip_prefix('+').unwrap_or(text);
        if rest.starts_with('-') {
            return Err(format!("a duration cannot be negative here, found `{text}`"));
        }
        if rest == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let (number, tail) = rest.split_at(end);
            let (unit, nanos_per_unit) =
                UNITS.iter().find(|(unit, _)| tail.starts_with(unit)).ok_or_else(wrong)?;
            let part = nanoseconds(number, *nanos_per_unit).ok_or_else(wrong)?;
            total = total.checked_add(Duration::from_nanos(part)).ok_or_else(wrong)?;
            rest = &tail[unit.len()..];
        }
        if text.is_empty() || total.as_nanos() > i64::MAX as u128 {
            return Err(wrong());
        }
        Ok(Self(total))
    }
}

/// Units and their nanoseconds; `ms` precedes `m`, which is its prefix.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

fn nanoseconds(number: &str, per_unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut total = whole.checked_mul(per_unit)?;
    let mut scale = per_unit;
    for digit in fraction.bytes() {
        scale /= 10;
        total = total.checked_add(u64::from(digit - b'0') * scale)?;
    }
    Some(total)
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl Visitor<'_> for DurationVisitor {
    type Value = GoDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as 30s, 1h30m or 168h")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, nanoseconds: u64) -> Result<GoDuration, E> {
        Ok(GoDuration(Duration::from_nanos(nanoseconds)))
    }

    fn visit_i64<E: de::Error>(self, nanoseconds: i64) -> Result<GoDuration, E> {
        u64::try_from(nanoseconds)
            .map(|nanoseconds| GoDuration(Duration::from_nanos(nanoseconds)))
            .map_err(|_| E::custom(format!("a duration cannot be negative here, found `{nanoseconds}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_without_zero_units() {
        for text in ["24h", "1h30m", "30m", "1m30s", "250ms"] {
            assert_eq!(text.parse::<GoDuration>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("10s", 10_000_000_000),
            ("168h", 604_800_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("100ms", 100_000_000),
            ("5us", 5_000),
            ("5µs", 5_000),
            ("7ns", 7),
            ("+1m", 60_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(GoDuration(Duration::from_nanos(nanos))), "{text}");
        }
        for text in ["", "10", "10 s", "s", ".s", "1d", "-1s", "1..5s", "9999999h", "1s2"] {
            assert!(text.parse::<GoDuration>().is_err(), "{text}");
        }
    }
}
