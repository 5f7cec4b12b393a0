//! `RetryPolicy`: how long a request is repeated, and `Attempts`: the waits of one request.

use std::time::{Duration, SystemTime};

use rand::Rng;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::clock::Clock;
use crate::error::{ClientError, Problem};

/// How a request is repeated after 408, 425, 429, 5xx, a broken connection or a timeout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    /// The first wait; each further one is twice as long. Up to half of a wait is left out at random.
    pub first: Duration,
    /// The longest wait, unless the server asks for more by `Retry-After`.
    pub longest: Duration,
    /// All attempts and waits together, from the first failure. A transfer that makes progress starts again.
    pub total: Duration,
    /// The same, while the registry has not answered once: it may not exist.
    pub total_before_contact: Duration,
}

impl RetryPolicy {
    /// No request is repeated.
    pub const NONE: Self = Self {
        first: Duration::ZERO,
        longest: Duration::ZERO,
        total: Duration::ZERO,
        total_before_contact: Duration::ZERO,
    };
}

impl Default for RetryPolicy {
    /// From half a second to 30 s, for 10 minutes; for 5 s before the first contact.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            total: Duration::from_secs(600),
            total_before_contact: Duration::from_secs(5),
        }
    }
}

/// The attempts of one request or transfer.
#[derive(Debug)]
pub(crate) struct Attempts {
    policy: RetryPolicy,
    clock: Clock,
    next: Duration,
    /// On the clock, when the request failed first since its last progress.
    failing_since: Option<Duration>,
    /// The answers with status 500 since the last progress.
    internal_errors: u32,
}

/// The most answers with status 500 to one request: that the server cannot do it, rather than that it is overloaded, which is
/// 503 or 429.
const MAX_INTERNAL_ERRORS: u32 = 5;

impl Attempts {
    pub(crate) fn new(policy: RetryPolicy, clock: Clock) -> Self {
        Self { policy, clock, next: policy.first, failing_since: None, internal_errors: 0 }
    }

    /// Notes that the transfer moved on, so the next failure is a first one.
    pub(crate) fn progressed(&mut self) {
        self.next = self.policy.first;
        self.failing_since = None;
        self.internal_errors = 0;
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    ///
    /// Returns `error` if it is final, if no time is left, or if it is one status 500 too many.
    pub(crate) async fn wait(&mut self, error: ClientError, is_known: bool) -> Result<(), ClientError> {
        if !error.is_transient() {
            return Err(error);
        }
        if matches!(error.problem(), Problem::Status { status: 500, retry_after: None, .. }) {
            self.internal_errors += 1;
            if self.internal_errors >= MAX_INTERNAL_ERRORS {
                return Err(error);
            }
        }
        let now = self.clock.elapsed();
        let since = *self.failing_since.get_or_insert(now);
        let total = match is_known || !matches!(error.problem(), Problem::Connect(_) | Problem::Timeout(_)) {
            true => self.policy.total,
            false => self.policy.total_before_contact.min(self.policy.total),
        };
        let jittered = self.next.mul_f64(rand::rng().random_range(0.5..=1.0));
        let pause = error.retry_after().map_or(jittered, |asked| asked.max(jittered));
        self.next = (self.next * 2).min(self.policy.longest);
        let left = total.saturating_sub(now.saturating_sub(since));
        if pause >= left {
            return Err(error);
        }
        tracing::debug!(%error, pause_ms = pause.as_millis() as u64, "a request to a registry failed; trying again");
        self.clock.sleep(pause).await;
        Ok(())
    }
}

/// Parses `Retry-After`: seconds, or a date (RFC 9110, 10.2.3). `None` if it is neither.
pub(crate) fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are still "not now".
        return Some(Duration::from_secs(text.parse::<u64>().unwrap_or(u64::from(u32::MAX))));
    }
    let date = OffsetDateTime::parse(&text.replace("GMT", "+0000"), &Rfc2822).ok()?;
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A clock whose waits take no time, and the waits so far.
    fn clock() -> (Clock, Arc<Mutex<Vec<Duration>>>) {
        let waits = Arc::new(Mutex::new(Vec::new()));
        let (read, write) = (waits.clone(), waits.clone());
        let clock = Clock::new(
            move || read.lock().unwrap().iter().sum(),
            || SystemTime::UNIX_EPOCH,
            move |duration| {
                write.lock().unwrap().push(duration);
                Box::pin(async {})
            },
        );
        (clock, waits)
    }

    fn broken() -> ClientError {
        ClientError::at("https://registry.example/v2/", Problem::Broken("reset".to_owned()))
    }

    #[tokio::test]
    async fn waits_double_up_to_the_longest_and_end_with_the_total() {
        let (clock, waits) = clock();
        let mut attempts = Attempts::new(RetryPolicy::default(), clock);
        while attempts.wait(broken(), true).await.is_ok() {}
        let waits = waits.lock().unwrap();
        let mut expected = 0.5;
        for wait in waits.iter() {
            let seconds = wait.as_secs_f64();
            assert!((expected / 2.0..=expected).contains(&seconds), "{seconds} instead of {expected}");
            expected = (expected * 2.0f64).min(30.0);
        }
        let total: Duration = waits.iter().sum();
        assert!(total <= Duration::from_secs(600) && total >= Duration::from_secs(570), "{total:?}");
    }

    #[tokio::test]
    async fn progress_starts_the_count_anew() {
        let (clock, waits) = clock();
        let policy = RetryPolicy { total: Duration::from_secs(1), ..RetryPolicy::default() };
        let mut attempts = Attempts::new(policy, clock);
        for _ in 0..100 {
            attempts.wait(broken(), true).await.unwrap();
            attempts.progressed();
        }
        assert_eq!(waits.lock().unwrap().len(), 100);
    }

    #[tokio::test]
    async fn an_internal_error_is_repeated_a_few_times() {
        let status = |status, retry_after| {
            let answer = crate::error::ServerAnswer::default();
            ClientError::at("https://x/", Problem::Status { status, answer, retry_after })
        };
        for (status, retry_after, is_few) in [
            (500, None, true),
            (500, Some(Duration::from_secs(1)), false),
            (502, None, false),
            (503, None, false),
        ]
        .map(|(code, retry_after, is_few)| (move || status(code, retry_after), retry_after, is_few))
        {
            let (clock, waits) = clock();
            let mut attempts = Attempts::new(RetryPolicy::default(), clock);
            while attempts.wait(status(), true).await.is_ok() {}
            let waits = waits.lock().unwrap().len();
            assert_eq!(waits <= 5, is_few, "{waits} waits, {retry_after:?}");
            assert!(waits >= 3);
        }
    }

    #[tokio::test]
    async fn a_registry_that_never_answered_is_given_up_early() {
        let (clock, waits) = clock();
        let mut attempts = Attempts::new(RetryPolicy::default(), clock);
        let refused = || ClientError::at("https://x/", Problem::Connect("refused".to_owned()));
        while attempts.wait(refused(), false).await.is_ok() {}
        assert!(waits.lock().unwrap().iter().sum::<Duration>() <= Duration::from_secs(5));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("99999999999999999999999", Some(u64::from(u32::MAX))),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
