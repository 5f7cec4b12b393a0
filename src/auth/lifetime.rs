//! `Lifetime`: how long an access token is valid.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use sampan_config::GoDuration;

/// A duration of days (`90d`) or as Go writes it, or `never`.
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

    /// Whether `access.tokens.longest` allows it; zero allows every one.
    pub(super) fn is_within(self, longest: Duration) -> bool {
        match self {
            _ if longest.is_zero() => true,
            Self::Never => false,
            Self::For(duration) => duration <= longest,
        }
    }
}

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
        let duration = match days {
            Some(days) => Ok(Duration::from_secs(u64::from(days) * 24 * 3600)),
            None => text.parse().map(|GoDuration(duration)| duration),
        };
        duration.map(Self::For).map_err(|_| "expected a duration such as 12h or 90d, or `never`".to_owned())
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
            ("99999999999d", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
