//! `SuccessCache`: recently matched passwords, so that a push costs one bcrypt and not one per request.
//!
//! It keeps neither passwords nor plain hashes of them: an entry is an HMAC under a key that never leaves the
//! process. An entry lives for [`SuccessCache::LIFETIME`] from the comparison; a hit does not prolong it.

use std::collections::HashMap;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::time::Instant;

use super::basic::BasicCredentials;
use super::password_list::BcryptHash;

/// Identifies a user, a password and the hash they matched, within this process only.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Fingerprint([u8; 32]);

/// Computes fingerprints.
#[derive(Clone)]
pub(super) struct FingerprintKey(Hmac<Sha256>);

/// The fingerprints that matched. Belongs to one state of the password file and is dropped with it.
#[derive(Debug, Default)]
pub(super) struct SuccessCache {
    /// A blocking mutex: held for a few instructions, never across an await.
    until: Mutex<HashMap<Fingerprint, Instant>>,
}

impl FingerprintKey {
    pub(super) fn random() -> Self {
        let key: [u8; 32] = rand::random();
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        Self(Hmac::new_from_slice(&key).expect("invariant: any key length is valid"))
    }

    pub(super) fn fingerprint(&self, basic: &BasicCredentials, stored: &BcryptHash) -> Fingerprint {
        let mut mac = self.0.clone();
        // The lengths distinguish (`a`, `bc`) from (`ab`, `c`).
        mac.update(&(basic.user.len() as u64).to_le_bytes());
        mac.update(&basic.user);
        mac.update(&(basic.password.len() as u64).to_le_bytes());
        mac.update(&basic.password);
        mac.update(stored.as_str().as_bytes());
        Fingerprint(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
impl Fingerprint {
    /// A fingerprint unique to `number`.
    pub(super) fn for_test(number: u8) -> Self {
        Self([number; 32])
    }
}

impl SuccessCache {
    /// How long a matched password is not compared again. A changed password file ends it at once.
    pub(super) const LIFETIME: Duration = Duration::from_secs(60);

    const CAPACITY: usize = 4096;

    pub(super) fn contains(&self, fingerprint: &Fingerprint) -> bool {
        let until = self.until.lock();
        until.get(fingerprint).is_some_and(|until| Instant::now() < *until)
    }

    pub(super) fn insert(&self, fingerprint: Fingerprint) {
        let now = Instant::now();
        let mut until = self.until.lock();
        if until.len() >= Self::CAPACITY {
            until.retain(|_, until| now < *until);
        }
        if until.len() >= Self::CAPACITY
            && let Some(oldest) = until.iter().min_by_key(|(_, until)| **until).map(|(key, _)| *key)
        {
            until.remove(&oldest);
        }
        until.insert(fingerprint, now + Self::LIFETIME);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: usize) -> Fingerprint {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Fingerprint(bytes)
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_lives_sixty_seconds_and_a_hit_does_not_prolong_it() {
        let cache = SuccessCache::default();
        cache.insert(numbered(1));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(cache.contains(&numbered(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!cache.contains(&numbered(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_cache_evicts_the_oldest() {
        let cache = SuccessCache::default();
        for number in 0..=SuccessCache::CAPACITY {
            cache.insert(numbered(number));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(!cache.contains(&numbered(0)));
        assert!(cache.contains(&numbered(1)));
        assert!(cache.contains(&numbered(SuccessCache::CAPACITY)));
    }

    #[test]
    fn a_fingerprint_depends_on_user_password_hash_and_key() {
        let hash = |text: &str| BcryptHash::parse(text.as_bytes()).unwrap();
        let one = hash("$2y$05$9il6tvYuMB9vRAzRj0Xlru8CmYvU50rF.n2VSwcSyDyMlsLNhWaa2");
        let two = hash("$2y$04$qwC6e4eaUiShqVh8kV/cCeBy62G2/aTBIQF0qza9C6zXyjAJxQajm");
        let basic = |user: &str, password: &str| BasicCredentials {
            user: user.as_bytes().to_vec(),
            password: password.as_bytes().to_vec(),
        };
        let key = FingerprintKey::random();
        let reference = key.fingerprint(&basic("ab", "c"), &one);
        assert_eq!(reference, key.fingerprint(&basic("ab", "c"), &one));
        assert_ne!(reference, key.fingerprint(&basic("a", "bc"), &one));
        assert_ne!(reference, key.fingerprint(&basic("ab", "d"), &one));
        assert_ne!(reference, key.fingerprint(&basic("ab", "c"), &two));
        assert_ne!(reference, FingerprintKey::random().fingerprint(&basic("ab", "c"), &one));
    }
}
