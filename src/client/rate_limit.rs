//! `RateLimit`: how many pulls a registry still allows (Docker Hub, "Docker Hub pull usage and limits").

use std::fmt;

use parking_lot::Mutex;

use crate::transport::Answer;

/// How many pulls a registry still allows in its present window, as it said last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimit {
    /// The pulls of a whole window.
    pub limit: u64,
    /// Those that are left.
    pub remaining: u64,
}

/// The last word of a registry.
#[derive(Default)]
pub(crate) struct LastRateLimit(Mutex<Option<RateLimit>>);

impl LastRateLimit {
    /// Takes over what an answer says; nothing if it says nothing.
    pub(crate) fn note(&self, answer: &Answer) {
        let value = |name: &'static str| parse(answer.header(http::HeaderName::from_static(name))?);
        if let (Some(limit), Some(remaining)) = (value("ratelimit-limit"), value("ratelimit-remaining")) {
            *self.0.lock() = Some(RateLimit { limit, remaining });
        }
    }

    pub(crate) fn get(&self) -> Option<RateLimit> {
        *self.0.lock()
    }
}

impl fmt::Debug for LastRateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// `100;w=21600`: the number before the window.
fn parse(text: &str) -> Option<u64> {
    text.split(';').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_left_out() {
        for (text, expected) in [
            ("100;w=21600", Some(100)),
            ("76", Some(76)),
            (" 5 ; w=1", Some(5)),
            ("", None),
            ("many", None),
            ("-1", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
