//! `TokenRecord`: what the store keeps of an access token.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::policy::Rights;

/// The record of an access token, as JSON. It is written once.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenRecord {
    /// The name, under which a client logs in and the log shows it.
    pub name: String,
    /// Why it exists.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The actions that it grants, as in a rule.
    pub may: Vec<String>,
    /// The patterns of the repositories.
    pub on: Vec<String>,
    /// The patterns of repositories that `on` does not mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// The user whose rights bound those of the token.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// When it was created, as in RFC 3339.
    pub created: String,
    /// The user who created it: of the machine by the command, of the registry on the web page.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// When it ends, as in RFC 3339, or `never`.
    pub expires: String,
    /// The hash of the secret.
    pub sha256: String,
}

/// Why a record is not usable.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    /// It is not the JSON of a record.
    #[error("it is not the record of a token: {0}")]
    Json(#[from] serde_json::Error),
    /// Its end is not a date.
    #[error("its end `{0}` is not a date")]
    Expires(String),
    /// Its rights are not valid.
    #[error("its rights are not valid: {0}")]
    Rights(String),
}

impl TokenRecord {
    /// Parses a record.
    ///
    /// # Errors
    ///
    /// It is not the JSON of a record.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidRecord> {
        Ok(serde_json::from_slice(json)?)
    }

    /// The rights of the token.
    ///
    /// # Errors
    ///
    /// The record does not say it as a rule would.
    pub fn rights(&self) -> Result<Rights, InvalidRecord> {
        let rights = Rights::new(parsed(&self.may)?, parsed(&self.on)?, parsed(&self.except)?);
        rights.map_err(|error| InvalidRecord::Rights(error.to_string()))
    }

    /// When the token ends; `None` if never.
    ///
    /// # Errors
    ///
    /// The date is not one: such a token must not count.
    pub fn expires(&self) -> Result<Option<SystemTime>, InvalidRecord> {
        if self.expires == "never" {
            return Ok(None);
        }
        match OffsetDateTime::parse(&self.expires, &Rfc3339) {
            Ok(time) => Ok(Some(time.into())),
            Err(_) => Err(InvalidRecord::Expires(self.expires.clone())),
        }
    }

    /// When it was created; `None` if the record does not say it as a date.
    pub fn created(&self) -> Option<SystemTime> {
        OffsetDateTime::parse(&self.created, &Rfc3339).ok().map(SystemTime::from)
    }
}

fn parsed<T: FromStr>(texts: &[String]) -> Result<Vec<T>, InvalidRecord>
where
    T::Err: ToString,
{
    texts
        .iter()
        .map(|text| text.parse().map_err(|error: T::Err| InvalidRecord::Rights(error.to_string())))
        .collect()
}

/// A time as in RFC 3339, in whole seconds; `never` for `None`. It has years from 0000 to 9999; a time before or after them is
/// the first or last second of these.
pub fn rfc3339(time: Option<SystemTime>) -> String {
    let Some(time) = time else { return "never".to_owned() };
    let (since, sign) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (since, 1),
        // A part of a second before the epoch belongs to the second before it.
        Err(before) => (before.duration() + Duration::from_nanos(999_999_999), -1),
    };
    let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
    let time = OffsetDateTime::from_unix_timestamp(sign * seconds).ok();
    let outside = if sign < 0 { "0000-01-01T00:00:00Z" } else { "9999-12-31T23:59:59Z" };
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| outside.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(expires: &str) -> String {
        format!(
            r#"{{"name":"ci","may":["push"],"on":["team/**"],"created":"2026-11-28T10:00:00Z","expires":"{expires}","sha256":"00"}}"#
        )
    }

    #[test]
    fn every_time_has_a_text() {
        let epoch = SystemTime::UNIX_EPOCH;
        let year = |years: u64| Duration::from_secs(years * 31_556_952);
        for (time, expected) in [
            (Some(epoch), "1970-01-01T00:00:00Z"),
            (Some(epoch + Duration::from_millis(1999)), "1970-01-01T00:00:01Z"),
            (Some(epoch - Duration::from_millis(1)), "1969-12-31T23:59:59Z"),
            (Some(epoch - Duration::from_secs(1)), "1969-12-31T23:59:59Z"),
            (epoch.checked_add(year(9_000)), "9999-12-31T23:59:59Z"),
            (epoch.checked_add(Duration::from_secs(i64::MAX as u64)), "9999-12-31T23:59:59Z"),
            (epoch.checked_sub(year(2_000)), "0000-01-01T00:00:00Z"),
            (epoch.checked_sub(year(20_000)), "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Some(time.unwrap())), expected);
        }
        assert_eq!(rfc3339(None), "never");
    }

    #[test]
    fn a_record_without_an_end_is_refused() {
        let never = TokenRecord::parse(record("never").as_bytes()).unwrap();
        assert_eq!(never.expires().unwrap(), None);
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let dated = TokenRecord::parse(record(&rfc3339(Some(then))).as_bytes()).unwrap();
        assert_eq!(dated.expires().unwrap(), Some(then));
        for odd in ["", "tomorrow", "2026-11-28"] {
            assert!(TokenRecord::parse(record(odd).as_bytes()).unwrap().expires().is_err(), "{odd}");
        }
        let without = record("never").replace(r#""expires":"never","#, "");
        assert!(TokenRecord::parse(without.as_bytes()).is_err());
        assert!(TokenRecord::parse(b"{}").is_err() && TokenRecord::parse(b"\xff").is_err());
    }
}
