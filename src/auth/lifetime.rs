//! `Lifetime`: how long an access token is valid.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use sampan_config::GoDuration;

use super::new_token::InvalidToken;

/// A duration of days (`90d`) or as Go writes it, of at most 36,500 days; or `never`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lifetime {
    /// It ends after this time.
    For(Duration),
    /// It has no end.
    Never,
}

impl Lifetime {
    /// The time at which it ends; `None` for never.
    pub fn end(self, now: SystemTime) -> Option<SystemTime> {
        match self {
            Self::For(duration) => now.checked_add(duration),
            Self::Never => None,
        }
    }

    /// Checks that it is at least a second, since ends are whole seconds, and that `access.tokens.longest` allows it; zero is no
    /// limit.
    ///
    /// # Errors
    ///
    /// It is too short or too long.
    pub(super) fn check(self, longest: Duration) -> Result<(), InvalidToken> {
        match self {
            Self::For(duration) if duration < Duration::from_secs(1) => Err(InvalidToken::Ended(self)),
            _ if longest.is_zero() => Ok(()),
            Self::For(duration) if duration <= longest => Ok(()),
            _ => Err(InvalidToken::Lifetime { lifetime: self, longest: GoDuration(longest) }),
        }
    }
}

/// The longest lifetime that has an end, in days: dates of records have four digits for the year.
const MAX_DAYS: u32 = 36_500;

/// The seconds of a day.
const DAY_SECS: u64 = 24 * 3600;

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
        let duration = match days {
            Some(days) => Duration::from_secs(u64::from(days) * DAY_SECS),
            None => match text.parse() {
                Ok(GoDuration(duration)) => duration,
                Err(_) => return Err("expected a duration such as 12h or 90d, or `never`".to_owned()),
            },
        };
        if duration > Duration::from_secs(u64::from(MAX_DAYS) * DAY_SECS) {
            return Err(format!("{text} is longer than {MAX_DAYS}d: for no end write `never`"));
        }
        Ok(Self::For(duration))
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(duration) => GoDuration(*duration).fmt(f),
            Self::Never => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_days_or_a_duration_or_never() {
        let hours = |hours: u64| Some(Lifetime::For(Duration::from_secs(hours * 3600)));
        for (text, expected) in [
            ("90d", hours(90 * 24)),
            ("12h", hours(12)),
            ("60m", hours(1)),
            ("never", Some(Lifetime::Never)),
            ("", None),
            ("90", None),
            ("-1d", None),
            ("1.5d", None),
            ("36500d", hours(36_500 * 24)),
            ("36501d", None),
            ("4000000d", None),
            ("876001h", None),
            ("99999999999d", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
