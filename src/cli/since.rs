//! `Since`: a time on the command line.

use std::str::FromStr;
use std::time::SystemTime;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, Time};

/// A time, or the begin of a day in UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Since(pub(super) SystemTime);

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = Date::parse(text, format_description!("[year]-[month]-[day]"));
        let time = match day {
            Ok(day) => day.with_time(Time::MIDNIGHT).assume_utc(),
            Err(_) => OffsetDateTime::parse(text, &Rfc3339).map_err(
                |_| "it must be a time such as 2026-01-31T12:00:00Z, or a day in UTC such as 2026-01-31",
            )?,
        };
        Ok(Self(time.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_day_begins_at_midnight_and_a_time_has_its_offset() {
        for (text, secs) in [
            ("1970-01-02", Some(86_400)),
            ("1970-01-01T01:00:00Z", Some(3_600)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1970-01-01T01:00:00", None),
            ("yesterday", None),
            ("1970-13-01", None),
            ("", None),
        ] {
            let expected = secs.map(|secs| Since(SystemTime::UNIX_EPOCH + Duration::from_secs(secs)));
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
