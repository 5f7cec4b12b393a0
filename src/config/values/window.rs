//! `DailyWindow`: a part of each day, as `02:00-05:00`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::value_from_text;

/// A part of each day, in UTC; `22:00-04:00` passes midnight.
///
/// Local time is unsuitable: most containers do not know it, and it jumps twice a year.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DailyWindow {
    /// Minutes after midnight.
    begin: u64,
    end: u64,
}

const MINUTES_A_DAY: u64 = 24 * 60;

const DAY: Duration = Duration::from_secs(MINUTES_A_DAY * 60);

impl DailyWindow {
    /// The time until the window closes; `None` if it is not open at `now`.
    pub fn open_for(&self, now: SystemTime) -> Option<Duration> {
        let (since, length) = (self.since_begin(now), self.length());
        (since < length).then(|| length - since)
    }

    /// The time until the window next opens; zero if it is open.
    pub fn opens_in(&self, now: SystemTime) -> Duration {
        match self.open_for(now) {
            Some(_) => Duration::ZERO,
            None => DAY - self.since_begin(now),
        }
    }

    /// The time from opening to close.
    pub fn length(&self) -> Duration {
        Duration::from_secs((self.end + MINUTES_A_DAY - self.begin) % MINUTES_A_DAY * 60)
    }

    fn since_begin(&self, now: SystemTime) -> Duration {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let today = Duration::new(since.as_secs() % DAY.as_secs(), since.subsec_nanos());
        let begin = Duration::from_secs(self.begin * 60);
        if today >= begin { today - begin } else { today + DAY - begin }
    }
}

impl fmt::Display for DailyWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |minutes: u64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        write!(f, "{}-{} UTC", time(self.begin), time(self.end))
    }
}

impl FromStr for DailyWindow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('-').and_then(|(begin, end)| minutes(begin).zip(minutes(end)));
        match parsed {
            Some((begin, end)) if begin == end => Err(format!(
                "a window must not be empty, found `{text}`; leave it out to allow the whole day"
            )),
            Some((begin, end)) => Ok(Self { begin, end }),
            None => Err(format!("expected two times of the day (UTC) such as 02:00-05:00, found `{text}`")),
        }
    }
}

fn minutes(text: &str) -> Option<u64> {
    let (hours, minutes) = text.trim().split_once(':')?;
    if minutes.len() != 2 {
        return None;
    }
    Some(number_below(24, hours)? * 60 + number_below(60, minutes)?)
}

fn number_below(limit: u64, digits: &str) -> Option<u64> {
    let is_plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| is_plain && *number < limit)
}

value_from_text!(DailyWindow);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: u64, minutes: u64) -> SystemTime {
        UNIX_EPOCH + 20_000 * DAY + Duration::from_secs(hours * 3600 + minutes * 60)
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_window_is_open_from_its_beginning_until_its_end() {
        let window: DailyWindow = "02:00-05:00".parse().unwrap();
        assert_eq!((window.open_for(at(1, 0)), window.opens_in(at(1, 0))), (None, HOUR));
        assert_eq!((window.open_for(at(2, 0)), window.opens_in(at(2, 0))), (Some(3 * HOUR), Duration::ZERO));
        assert_eq!(window.open_for(at(4, 30)), Some(HOUR / 2));
        assert_eq!((window.open_for(at(5, 0)), window.opens_in(at(5, 0))), (None, 21 * HOUR));
        assert_eq!(window.to_string(), "02:00-05:00 UTC");
    }

    #[test]
    fn a_window_may_pass_midnight() {
        let window: DailyWindow = "22:00 - 4:30".parse().unwrap();
        assert_eq!(window.length(), 6 * HOUR + HOUR / 2);
        assert_eq!(window.open_for(at(23, 0)), Some(5 * HOUR + HOUR / 2));
        assert_eq!(window.open_for(at(1, 0)), Some(3 * HOUR + HOUR / 2));
        assert_eq!((window.open_for(at(12, 0)), window.opens_in(at(12, 0))), (None, 10 * HOUR));
    }

    #[test]
    fn malformed_windows_are_refused() {
        for text in
            ["", "02:00", "2-5", "02:00-24:00", "02:60-05:00", "02:00-02:00", "02:0-05:00", "a:00-b:00"]
        {
            assert!(text.parse::<DailyWindow>().is_err(), "{text}");
        }
    }
}
