//! Sessions: a login in a cookie, with a MAC and no table, so that replicas with one key share them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::gate::Login;

/// The longest cookie that is looked at, in bytes.
const MAX_BYTES: usize = 4096;

/// The secrets behind sessions and forms. No `Debug`, so that they cannot be logged.
#[derive(Clone)]
pub struct SessionKey {
    /// Seals.
    newest: Secret,
    /// Open what they sealed before.
    others: Vec<Secret>,
}

type Secret = [u8; 32];

impl SessionKey {
    /// A key derived from a secret that only the registry's replicas know.
    pub fn derived_from(secret: &[u8]) -> Self {
        Self { newest: derived(secret), others: Vec::new() }
    }

    /// The same, which also opens what keys derived from these secrets have sealed.
    #[must_use]
    pub fn opening(self, others: impl IntoIterator<Item: AsRef<[u8]>>) -> Self {
        Self { others: others.into_iter().map(|secret| derived(secret.as_ref())).collect(), ..self }
    }

    fn all(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.newest).chain(&self.others)
    }

    /// The value of a session's cookie.
    pub(crate) fn seal(&self, login: &Login, now: SystemTime, lifetime: Duration) -> String {
        let expires = unix_seconds(now).saturating_add(lifetime.as_secs());
        let body =
            format!("{}.{}.{expires}", encode(login.user.as_bytes()), encode(login.credential.as_bytes()));
        let mac = session_mac(&self.newest, &body).finish();
        format!("{body}.{mac}")
    }

    /// The login of a cookie's value; `None` if it is not ours, or expired.
    pub(crate) fn open(&self, value: &str, now: SystemTime) -> Option<Login> {
        if value.len() > MAX_BYTES {
            return None;
        }
        let (body, mac) = value.rsplit_once('.')?;
        self.all().find_map(|secret| session_mac(secret, body).verify(mac))?;
        let mut parts = body.split('.');
        let (user, credential, expires) = (parts.next()?, parts.next()?, parts.next()?);
        let expires: u64 = expires.parse().ok()?;
        (parts.next().is_none() && unix_seconds(now) < expires).then_some(())?;
        Some(Login { user: decode(user)?, credential: decode(credential)? })
    }

    /// The token of a form: only this session can send it, and only to this path.
    pub(crate) fn form_token(&self, session: &str, path: &str) -> String {
        form_mac(&self.newest, session, path).finish()
    }

    /// Whether a form has the token of this session and path.
    pub(crate) fn is_form_token(&self, session: &str, path: &str, token: &str) -> bool {
        self.all().any(|secret| form_mac(secret, session, path).verify(token).is_some())
    }
}

fn derived(secret: &[u8]) -> Secret {
    let mut mac = Mac256::new(b"sampan: sessions of the web page");
    mac.add(secret);
    mac.0.finalize().into_bytes().into()
}

fn session_mac(secret: &Secret, body: &str) -> Mac256 {
    let mut mac = Mac256::new(secret);
    mac.add(b"session");
    mac.add(body.as_bytes());
    mac
}

fn form_mac(secret: &Secret, session: &str, path: &str) -> Mac256 {
    let mut mac = Mac256::new(secret);
    mac.add(b"form");
    mac.add(session.as_bytes());
    mac.add(path.as_bytes());
    mac
}

/// HMAC-SHA256 over parts, each with its length before it.
struct Mac256(Hmac<Sha256>);

impl Mac256 {
    fn new(key: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC has keys of every length (RFC 2104)")]
        Self(Hmac::new_from_slice(key).expect("invariant: HMAC takes keys of every length"))
    }

    fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn finish(self) -> String {
        encode(&self.0.finalize().into_bytes())
    }

    /// Compares in constant time.
    fn verify(self, encoded: &str) -> Option<()> {
        self.0.verify_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn login() -> Login {
        Login { user: "王小明.x".to_owned(), credential: "password:abc".to_owned() }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_session_lasts_for_its_time() {
        let key = SessionKey::derived_from(b"secret");
        let now = UNIX_EPOCH + 1000 * HOUR;
        let value = key.seal(&login(), now, HOUR);
        assert_eq!(key.open(&value, now), Some(login()));
        assert_eq!(key.open(&value, now + HOUR - Duration::from_secs(1)), Some(login()));
        assert_eq!(key.open(&value, now + HOUR), None);
        assert_eq!(SessionKey::derived_from(b"other").open(&value, now), None);
        assert!(value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{value}");
    }

    #[test]
    fn the_newest_key_seals_and_the_others_still_open() {
        let (old, new) = (SessionKey::derived_from(b"old"), SessionKey::derived_from(b"new"));
        let both = new.clone().opening([b"old"]);
        let value = old.seal(&login(), UNIX_EPOCH, HOUR);
        assert_eq!((both.open(&value, UNIX_EPOCH), new.open(&value, UNIX_EPOCH)), (Some(login()), None));
        let token = old.form_token("one", "/delete");
        assert!(both.is_form_token("one", "/delete", &token) && !new.is_form_token("one", "/delete", &token));
        let value = both.seal(&login(), UNIX_EPOCH, HOUR);
        assert_eq!((new.open(&value, UNIX_EPOCH), old.open(&value, UNIX_EPOCH)), (Some(login()), None));
    }

    #[test]
    fn a_token_is_for_one_session_and_one_path() {
        let key = SessionKey::derived_from(b"secret");
        let token = key.form_token("one", "/delete");
        assert!(key.is_form_token("one", "/delete", &token));
        assert!(!key.is_form_token("two", "/delete", &token));
        assert!(!key.is_form_token("one", "/logout", &token));
        assert!(!key.is_form_token("one/", "delete", &token));
        assert!(!key.is_form_token("one", "/delete", ""));
        // A session's MAC is no form's.
        let sealed = key.seal(&login(), UNIX_EPOCH, HOUR);
        let (body, mac) = sealed.rsplit_once('.').unwrap();
        assert!(!key.is_form_token(body, "", mac));
    }

    proptest! {
        #[test]
        fn a_changed_cookie_is_not_ours(at in 0usize..200, to in "[A-Za-z0-9._-]") {
            let key = SessionKey::derived_from(b"secret");
            let now = UNIX_EPOCH + 1000 * HOUR;
            let value = key.seal(&login(), now, HOUR);
            let at = at % value.len();
            let changed = format!("{}{to}{}", &value[..at], &value[at + 1..]);
            prop_assume!(changed != value);
            prop_assert_eq!(key.open(&changed, now), None);
        }

        #[test]
        fn garbage_is_no_session(value in "\\PC{0,60}") {
            prop_assert_eq!(SessionKey::derived_from(b"secret").open(&value, UNIX_EPOCH), None);
        }
    }
}
