//! `Keys`: the current keys, reloaded while the registry runs.
//!
//! Files are checked every two seconds, through symlinks. A URL is fetched periodically, and when a token
//! names an unknown key, but then not again for a while: unauthenticated clients must not make us fetch. If
//! new keys are unusable, the old ones remain in use and the log has an error, once for each such state.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::pki_types::UnixTime;
use sampan_config::read_regular_file;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::error::TokenError;
use super::jwk::KeySet;
use super::keyring::{Keyring, TrustedKey};
use super::remote::{Fetcher, RemoteKeys};
use super::root::{Bundle, Root};
use crate::blocking::on_blocking_pool;
use crate::file_watch::FileStamp;

/// How often to check the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How long after a fetch an unknown key does not cause another.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

const BUNDLE: &str = "rootcertbundle";
const JWKS: &str = "jwks";

/// The sources of keys.
#[derive(Clone, Debug, Default)]
pub struct KeySettings {
    /// A PEM file of certificates.
    pub bundle: Option<PathBuf>,
    /// A JSON file of keys.
    pub jwks: Option<PathBuf>,
    /// Keys to fetch.
    pub remote: Option<RemoteKeys>,
    /// Whether shared secrets in files are accepted as keys; in fetched sets they never are.
    pub secrets: bool,
}

/// The current keys.
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    settings: KeySettings,
    fetcher: Option<Fetcher>,
    current: ArcSwap<Keyring>,
    /// Held, on the blocking pool or for short work, while a source is read, so that an older state never
    /// replaces a newer one.
    sources: Mutex<Sources>,
    /// Held during a fetch, across awaits on purpose: a second caller needs the outcome, not another fetch.
    fetching: tokio::sync::Mutex<Option<Instant>>,
}

/// The last state of each source.
#[derive(Default)]
struct Sources {
    bundle: Source,
    jwks: Source,
}

#[derive(Default)]
struct Source {
    stamp: Option<FileStamp>,
    digest: [u8; 32],
    keys: Vec<(Vec<String>, TrustedKey)>,
    roots: Vec<Arc<Root>>,
    /// The problem logged last.
    trouble: Option<String>,
}

impl Keys {
    /// Reads the files. An unreachable URL is not an error: the token server may start after us.
    pub(super) async fn open(settings: KeySettings) -> Result<Self, TokenError> {
        let inner = on_blocking_pool(move || Inner::open(settings)).await?;
        let keys = Self(Arc::new(inner));
        if let Err(error) = keys.fetch().await {
            keys.0.log_fetch_trouble(&error);
        }
        Ok(keys)
    }

    /// Reads only the files.
    pub(super) async fn check(settings: KeySettings) -> Result<(), TokenError> {
        on_blocking_pool(move || Inner::open(settings)).await.map(drop)
    }

    pub(super) fn current(&self) -> Arc<Keyring> {
        self.0.current.load_full()
    }

    /// Whether a URL is configured that has never responded.
    pub(super) fn are_missing(&self) -> bool {
        self.0.fetcher.is_some() && self.lock().jwks.digest == [0; 32]
    }

    /// Reads all sources again at once.
    pub(super) async fn reload(&self) -> Result<(), TokenError> {
        let inner = Arc::clone(&self.0);
        on_blocking_pool(move || inner.read_files(Unchanged::Read)).await?;
        self.fetch().await
    }

    /// Fetches the URL, if there is one and the last fetch was not just now.
    pub(super) async fn ask_about_an_unknown_key(&self) {
        if self.0.fetcher.is_none() {
            return;
        }
        let fetching = self.0.fetching.lock().await;
        if fetching.is_some_and(|at| at.elapsed() < ASK_AGAIN_AFTER) {
            return;
        }
        if let Err(error) = self.fetch_now(fetching).await {
            self.0.log_fetch_trouble(&error);
        }
    }

    /// Watches the sources while it is polled. A URL that has never responded is tried every few seconds.
    pub(super) async fn watch(&self) {
        loop {
            sleep(CHECK_INTERVAL).await;
            let inner = Arc::clone(&self.0);
            on_blocking_pool(move || inner.reload_if_changed()).await;
            let Some(fetcher) = &self.0.fetcher else { continue };
            let fetching = self.0.fetching.lock().await;
            let is_due = fetching.is_none_or(|at| at.elapsed() >= fetcher.remote.refresh);
            if (is_due || self.are_missing())
                && let Err(error) = self.fetch_now(fetching).await
            {
                self.0.log_fetch_trouble(&error);
            }
        }
    }

    async fn fetch(&self) -> Result<(), TokenError> {
        self.fetch_now(self.0.fetching.lock().await).await
    }

    async fn fetch_now(
        &self,
        mut fetching: tokio::sync::MutexGuard<'_, Option<Instant>>,
    ) -> Result<(), TokenError> {
        let Some(fetcher) = &self.0.fetcher else { return Ok(()) };
        let fetched = fetcher.fetch().await;
        // Also after a failure: frequent requests do not help a token server in trouble.
        *fetching = Some(Instant::now());
        let place = sampan_shown_url::ShownUrl::from(&fetcher.remote.url).to_string();
        let (text, mut sources) = (fetched?, self.lock());
        let read = Source::of_jwks(&text, &place, Secrets::Refused)?;
        self.0.take(&mut sources, |sources| &mut sources.jwks, read, &place);
        Ok(())
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Sources> {
        self.0.sources.lock()
    }
}

/// How to treat a file with an unchanged stamp.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Unchanged {
    Skip,
    Read,
}

/// Whether a set may contain secrets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Secrets {
    Taken,
    Refused,
}

impl Inner {
    fn open(settings: KeySettings) -> Result<Self, TokenError> {
        let fetcher = settings.remote.clone().map(Fetcher::new).transpose()?;
        let inner = Self {
            settings,
            fetcher,
            current: ArcSwap::default(),
            sources: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        };
        inner.read_files(Unchanged::Read)?;
        Ok(inner)
    }

    fn read_files(&self, unchanged: Unchanged) -> Result<(), TokenError> {
        self.read_bundle(unchanged)?;
        self.read_jwks(unchanged)
    }

    fn reload_if_changed(&self) {
        for read in [Self::read_bundle, Self::read_jwks] {
            let Err(error) = read(self, Unchanged::Skip) else { continue };
            let key = match &error {
                TokenError::Read { key, .. } | TokenError::Unusable { key, .. } => key,
                _ => "",
            };
            let chain = describe(&error);
            let mut sources = self.sources.lock();
            let source = if key == BUNDLE { &mut sources.bundle } else { &mut sources.jwks };
            if source.trouble.as_ref() != Some(&chain) {
                tracing::error!(
                    "the changed keys for tokens are not usable, the old ones remain in use: {chain}"
                );
                source.trouble = Some(chain);
            }
        }
    }

    fn log_fetch_trouble(&self, error: &TokenError) {
        let chain = describe(error);
        let mut sources = self.sources.lock();
        if sources.jwks.trouble.as_ref() == Some(&chain) {
            return;
        }
        match sources.jwks.digest == [0; 32] {
            true => tracing::error!("tokens cannot be verified until their keys are available: {chain}"),
            false => tracing::error!("the old keys for tokens remain in use: {chain}"),
        }
        sources.jwks.trouble = Some(chain);
    }

    fn read_bundle(&self, unchanged: Unchanged) -> Result<(), TokenError> {
        let Some(path) = &self.settings.bundle else { return Ok(()) };
        let mut sources = self.sources.lock();
        let Some((stamp, pem)) = read(BUNDLE, path, sources.bundle.stamp, unchanged)? else { return Ok(()) };
        let read = Source { stamp: Some(stamp), ..Source::of_bundle(&pem, &path.display().to_string())? };
        self.take(&mut sources, |sources| &mut sources.bundle, read, &path.display().to_string());
        Ok(())
    }

    fn read_jwks(&self, unchanged: Unchanged) -> Result<(), TokenError> {
        let Some(path) = &self.settings.jwks else { return Ok(()) };
        let mut sources = self.sources.lock();
        let Some((stamp, text)) = read(JWKS, path, sources.jwks.stamp, unchanged)? else { return Ok(()) };
        let secrets = if self.settings.secrets { Secrets::Taken } else { Secrets::Refused };
        let read =
            Source { stamp: Some(stamp), ..Source::of_jwks(&text, &path.display().to_string(), secrets)? };
        self.take(&mut sources, |sources| &mut sources.jwks, read, &path.display().to_string());
        Ok(())
    }

    /// Replaces the keys of a source if they have changed.
    fn take(&self, sources: &mut Sources, which: fn(&mut Sources) -> &mut Source, read: Source, place: &str) {
        let source = which(sources);
        let had_trouble = source.trouble.is_some();
        let before = std::mem::replace(source, read);
        if before.digest == source.digest {
            if had_trouble {
                tracing::info!("the keys for tokens in {place} are usable again and unchanged");
            }
            return;
        }
        let keys: Vec<_> = sources.bundle.keys.iter().chain(&sources.jwks.keys).cloned().collect();
        let keyring = Keyring::new(keys, sources.bundle.roots.clone());
        let names = keyring.len();
        self.current.store(Arc::new(keyring));
        match before.digest == [0; 32] {
            true => tracing::info!(names, "read keys for tokens from {place}"),
            false => tracing::info!(names, "the keys for tokens in {place} have changed and are in use"),
        }
    }
}

impl Source {
    fn of_bundle(pem: &[u8], place: &str) -> Result<Self, TokenError> {
        let unusable =
            |problem: String| TokenError::Unusable { key: BUNDLE, place: place.to_owned(), problem };
        let Bundle { roots, keys, remarks } = Bundle::parse(pem, UnixTime::now()).map_err(unusable)?;
        if roots.is_empty() {
            return Err(unusable(
                "it has no certificate in PEM format (`-----BEGIN CERTIFICATE-----`)".to_owned(),
            ));
        }
        remark(BUNDLE, place, &remarks);
        let roots = roots.into_iter().map(Arc::new).collect();
        Ok(Self { digest: Sha256::digest(pem).into(), keys, roots, ..Self::default() })
    }

    fn of_jwks(text: &[u8], place: &str, secrets: Secrets) -> Result<Self, TokenError> {
        let unusable = |problem: String| TokenError::Unusable { key: JWKS, place: place.to_owned(), problem };
        let KeySet { mut keys, mut remarks } = KeySet::parse(text).map_err(unusable)?;
        let before = keys.len();
        keys.retain(|(_, trusted)| secrets == Secrets::Taken || !trusted.key.is_secret());
        if keys.len() < before {
            remarks.push(
                "secrets (`oct`) are left out: they count only in a file, and only when \
                 auth.token.signingalgorithms has one of HS256, HS384, HS512"
                    .to_owned(),
            );
        }
        if keys.is_empty() {
            let why = if remarks.is_empty() { String::new() } else { format!(": {}", remarks.join("; ")) };
            return Err(unusable(format!("it has no key that verifies signatures{why}")));
        }
        remark(JWKS, place, &remarks);
        Ok(Self { digest: Sha256::digest(text).into(), keys, ..Self::default() })
    }
}

/// The largest file of keys or certificates, in bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The stamp and content of a file; `None` if the stamp proves it unchanged.
fn read(
    key: &'static str,
    path: &Path,
    before: Option<FileStamp>,
    unchanged: Unchanged,
) -> Result<Option<(FileStamp, Vec<u8>)>, TokenError> {
    let unreadable = |source| TokenError::Read { key, path: path.to_owned(), source };
    let stamp = FileStamp::of(path).map_err(unreadable)?;
    if unchanged == Unchanged::Skip && before.is_some_and(|before| stamp.is_surely(&before)) {
        return Ok(None);
    }
    let content = read_regular_file(path, MAX_FILE_BYTES).map_err(|error| unreadable(error.into()))?;
    Ok(Some((stamp, content)))
}

fn remark(key: &str, place: &str, remarks: &[String]) {
    for remark in remarks {
        tracing::warn!("auth.token.{key}, {place}: {remark}");
    }
}

fn describe(error: &TokenError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
