//! `AccessTokens`: the access tokens of the store, remembered for a few seconds.
//!
//! A token is asked of the store when it is first met, and again after ten seconds: so it is revoked everywhere
//! within that time, and nothing polls. One request at a time asks for a token; ids that do not exist are
//! remembered as well, so that guesses cost the store one request each in five seconds.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sampan_engine::{AccessTokenFiles, AccessTokenId, Registry};
use tokio::time::Instant;

use super::identity::Robot;
use super::stored_token::StoredToken;
use super::token_record::InvalidRecord;
use super::token_secret::TokenSecret;

/// How long a token that exists is believed.
const HIT_TTL: Duration = Duration::from_secs(10);

/// How long an id without a token is believed to have none.
const MISS_TTL: Duration = Duration::from_secs(5);

/// The expected number of ids that are remembered, with a token and without, and the most bytes that they may take:
/// clients choose the ids of tokens that do not exist.
const USUAL_IDS: usize = 4096;
const MAX_BYTES: u64 = 8 << 20;

/// The estimated size of an entry without its rights and texts.
const ENTRY_BYTES: u64 = 256;

/// The largest record, in bytes.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 10;

/// How often the use of a token is noted.
const USE_NOTE_INTERVAL: Duration = Duration::from_secs(3600);

/// The store cannot be asked; the log has the reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unavailable;

/// The access tokens of a store. Cloning is cheap; clones share what they remember.
#[derive(Clone, Debug)]
pub struct AccessTokens {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    known: Cache<AccessTokenId, CachedToken, ByBytes>,
    /// When the use of a token that exists was last noted.
    noted: Cache<AccessTokenId, Instant>,
}

#[derive(Clone, Debug)]
struct CachedToken {
    asked: Instant,
    token: Option<Arc<ValidToken>>,
}

/// A token of the store.
#[derive(Debug)]
struct ValidToken {
    robot: Arc<Robot>,
    sha256: String,
    ends: Option<SystemTime>,
}

/// Weighs ids by the size of what is known of them in memory.
#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<AccessTokenId, CachedToken> for ByBytes {
    fn weight(&self, _: &AccessTokenId, known: &CachedToken) -> u64 {
        ENTRY_BYTES + known.token.as_ref().map_or(0, |found| found.size_bytes() as u64)
    }
}

impl AccessTokens {
    /// The tokens of the registry's store.
    pub fn new(registry: Registry) -> Self {
        let known = Cache::with_weighter(USUAL_IDS, MAX_BYTES, ByBytes);
        Self { inner: Arc::new(Inner { registry, known, noted: Cache::new(USUAL_IDS) }) }
    }

    /// The robot of the token with this id, as it is in a bearer token; `None` if there is none, or none any
    /// more.
    pub(super) async fn robot(&self, id: &str) -> Result<Option<Arc<Robot>>, Unavailable> {
        let Ok(id) = id.parse() else { return Ok(None) };
        Ok(self.find(id).await?.map(|found| found.robot.clone()))
    }

    /// The robot whose secret this is. Its use is noted.
    pub(super) async fn robot_with(&self, secret: &TokenSecret) -> Result<Option<Arc<Robot>>, Unavailable> {
        let robot = self.robot_of(secret).await?;
        if robot.is_some() {
            self.note_use(secret.id());
        }
        Ok(robot)
    }

    /// The robot whose secret this is.
    pub(super) async fn robot_of(&self, secret: &TokenSecret) -> Result<Option<Arc<Robot>>, Unavailable> {
        let found = self.find(secret.id()).await?.filter(|found| found.has(secret));
        Ok(found.map(|found| found.robot.clone()))
    }

    /// Whether this was the secret of a token when the store was last asked, if that is still known.
    pub(super) fn remembers(&self, secret: &TokenSecret) -> bool {
        let known = self.inner.known.get(&secret.id()).and_then(|known| known.token);
        known.is_some_and(|found| found.has(secret))
    }

    /// Forgets what the store said of a token.
    pub(super) fn forget(&self, id: AccessTokenId) {
        self.inner.known.remove(&id);
    }

    async fn find(&self, id: AccessTokenId) -> Result<Option<Arc<ValidToken>>, Unavailable> {
        let now = Instant::now();
        let is_fresh = |known: &CachedToken| {
            let believed = if known.token.is_some() { HIT_TTL } else { MISS_TTL };
            now.duration_since(known.asked) < believed
        };
        let known = match self.inner.known.get(&id).filter(is_fresh) {
            Some(known) => known,
            None => {
                self.inner.known.remove_if(&id, |known| !is_fresh(known));
                // One request asks, the others wait for its answer.
                self.inner.known.get_or_insert_async(&id, self.ask(id)).await?
            }
        };
        let has_ended = |found: &Arc<ValidToken>| found.ends.is_some_and(|ends| ends <= SystemTime::now());
        Ok(known.token.filter(|found| !has_ended(found)))
    }

    async fn ask(&self, id: AccessTokenId) -> Result<CachedToken, Unavailable> {
        let asked = Instant::now();
        let files = self.inner.registry.access_token(id).await.map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, token = %id, "cannot read an access token");
            Unavailable
        })?;
        let token = files.and_then(|files| match ValidToken::of(id, &files) {
            Ok(found) => Some(Arc::new(found)),
            Err(error) => {
                tracing::error!(
                    token = %id,
                    "an access token is refused, since its record is damaged: {error}; revoke it with `registry token \
                     revoke {id}` and create another one"
                );
                None
            }
        });
        Ok(CachedToken { asked, token })
    }

    /// Notes the use in the background, once an hour for each token.
    fn note_use(&self, id: AccessTokenId) {
        let now = Instant::now();
        if self.inner.noted.get(&id).is_some_and(|noted| now.duration_since(noted) < USE_NOTE_INTERVAL) {
            return;
        }
        self.inner.noted.insert(id, now);
        let registry = self.inner.registry.clone();
        tokio::spawn(async move {
            // A registry that only reads does not note it.
            if let Err(error) = registry.note_access_token_use(id, SystemTime::now()).await {
                tracing::debug!(token = %id, %error, "the use of an access token was not noted");
            }
        });
    }
}

impl ValidToken {
    /// Compares the secret in constant time.
    fn has(&self, secret: &TokenSecret) -> bool {
        let (known, hash) = (self.sha256.as_bytes(), secret.hash());
        aws_lc_rs::constant_time::verify_slices_are_equal(known, hash.as_bytes()).is_ok()
    }

    fn size_bytes(&self) -> usize {
        let Robot { id: _, name, rights, on_behalf_of } = &*self.robot;
        let texts = name.len() + on_behalf_of.as_ref().map_or(0, String::len) + self.sha256.len();
        size_of::<Self>() + size_of::<Robot>() + texts + rights.size_bytes()
    }

    fn of(id: AccessTokenId, files: &AccessTokenFiles) -> Result<Self, InvalidRecord> {
        let record = files.record.slice(..files.record.len().min(MAX_RECORD_BYTES));
        let StoredToken { record, ends, .. } =
            StoredToken::of(id, &AccessTokenFiles { record, ends: files.ends })?;
        let robot =
            Robot { id, rights: record.rights()?, name: record.name, on_behalf_of: record.on_behalf_of };
        Ok(Self { robot: Arc::new(robot), sha256: record.sha256, ends })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_records_stay_within_the_byte_limit() {
        let known = Cache::with_weighter(USUAL_IDS, MAX_BYTES, ByBytes);
        let patterns: Vec<String> = (0..1000).map(|number| format!("team-{number}/**")).collect();
        let record = format!(
            r#"{{"name":"ci","may":["push"],"on":{patterns:?},"created":"","expires":"never","sha256":"{}"}}"#,
            "0".repeat(64)
        );
        let files = AccessTokenFiles { record: record.into(), ends: None };
        assert!(files.record.len() > MAX_RECORD_BYTES - 2048 && files.record.len() <= MAX_RECORD_BYTES);
        let found = Arc::new(ValidToken::of(AccessTokenId::random(), &files).unwrap());
        // The record's length is a lower bound of its size as lists of strings.
        assert!(found.size_bytes() > files.record.len(), "{} bytes", found.size_bytes());
        for _ in 0..USUAL_IDS {
            let token = Some(Arc::clone(&found));
            known.insert(AccessTokenId::random(), CachedToken { asked: Instant::now(), token });
        }
        assert!(known.weight() <= MAX_BYTES && known.len() > 10, "{} tokens", known.len());
    }
}
