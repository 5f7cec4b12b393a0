//! The TLS configuration in force, and its exchange while connections go on.
//!
//! The files are looked at every two seconds, through symlinks, so that both an `mv` and the symlink swap of
//! Kubernetes are seen. A new configuration serves new connections; those there are keep theirs.
//! Certificate and key are often written one after the other: for a few seconds a pair that does not fit is
//! taken for one that is being exchanged. After that it is an error in the log, once for each state of the files,
//! and the old pair stays in force.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use super::certificates::{Files, Identity, Validity, date};
use super::cipher_suites;
use super::client_auth;
use super::error::TlsError;
use super::settings::TlsSettings;
use crate::files::{FileStamp, on_blocking_pool};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long files that cannot be used are taken for files that are being exchanged.
const EXCHANGE: Duration = Duration::from_secs(6);

/// How often a certificate that ends soon is warned of.
const WARN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Protocols offered by ALPN, best first.
const HTTP2_AND_HTTP1: [&[u8]; 2] = [b"h2", b"http/1.1"];
const HTTP1_ONLY: [&[u8]; 1] = [b"http/1.1"];

/// A TLS section of the configuration, in force.
pub struct TlsReloader(Arc<Inner>);

struct Inner {
    settings: TlsSettings,
    current: ArcSwap<Loaded>,
    /// Held, on the blocking pool only, while the files are read: an older state never replaces a newer one.
    watch: Mutex<WatchState>,
}

/// One state of the files, and what was made of it.
struct Loaded {
    config: Arc<ServerConfig>,
    validity: Validity,
    stamps: Stamps,
    digest: [u8; 32],
}

/// A stamp of each file; `None` for one that cannot be looked at.
type Stamps = Vec<Option<FileStamp>>;

#[derive(Default)]
struct WatchState {
    /// Since when the files have been such that they cannot be used.
    broken_since: Option<Instant>,
    /// The state of the files whose error has been logged.
    logged: Option<Stamps>,
}

impl TlsReloader {
    /// Reads the files of `settings`.
    ///
    /// # Errors
    ///
    /// When the section cannot be served exactly as written. See [`TlsError`].
    pub async fn load(settings: TlsSettings) -> Result<Arc<Self>, TlsError> {
        on_blocking_pool(move || {
            let loaded = Loaded::load(&settings)?;
            let not_after = date(loaded.validity.not_after);
            tracing::info!(not_after, "the certificate in {} was read", settings.certificate.display());
            loaded.validity.warn(&settings.certificate, OffsetDateTime::now_utc());
            let current = ArcSwap::from_pointee(loaded);
            Ok(Arc::new(Self(Arc::new(Inner { settings, current, watch: Mutex::default() }))))
        })
        .await
    }

    /// The configuration for a connection that begins now.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current.load().config)
    }

    /// When the certificate in force expires.
    pub fn expires_at(&self) -> OffsetDateTime {
        self.0.current.load().validity.not_after
    }

    /// Reads the files again at once, as on SIGHUP. The caller logs the error.
    ///
    /// # Errors
    ///
    /// When the section cannot be served any more as written; what was in force stays so.
    pub async fn reload(&self) -> Result<(), TlsError> {
        let inner = Arc::clone(&self.0);
        on_blocking_pool(move || inner.reload()).await
    }

    /// Follows the files for as long as it is polled. `Server::run` does so.
    pub async fn watch(&self) {
        let mut warned = Instant::now();
        loop {
            sleep(LOOK_EVERY).await;
            let inner = Arc::clone(&self.0);
            on_blocking_pool(move || inner.look()).await;
            if warned.elapsed() >= WARN_EVERY {
                warned = Instant::now();
                let validity = self.0.current.load().validity;
                validity.warn(&self.0.settings.certificate, OffsetDateTime::now_utc());
            }
        }
    }
}

impl fmt::Debug for TlsReloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsReloader").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Inner {
    fn reload(&self) -> Result<(), TlsError> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.settings);
        match Loaded::load(&self.settings) {
            Ok(loaded) => {
                *watch = WatchState::default();
                self.put_in_force(loaded);
                Ok(())
            }
            Err(error) => {
                watch.logged = Some(stamps);
                Err(error)
            }
        }
    }

    /// Looks whether the files have changed, and does what is to be done about it.
    fn look(&self) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = stamps(&self.settings);
        if are_surely(&stamps, &self.current.load().stamps) {
            *watch = WatchState::default();
            return;
        }
        if watch.logged.as_ref().is_some_and(|logged| are_surely(&stamps, logged)) {
            return;
        }
        let error = match Loaded::load(&self.settings) {
            Ok(loaded) => {
                *watch = WatchState::default();
                return self.put_in_force(loaded);
            }
            Err(error) => error,
        };
        let broken_since = *watch.broken_since.get_or_insert_with(Instant::now);
        if broken_since.elapsed() >= EXCHANGE {
            let not_after = date(self.expires_at());
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            // Stamps of files just written are never sure, so the same state may come here twice.
            if watch.logged.as_ref().is_none_or(|logged| !look_alike(&stamps, logged)) {
                tracing::error!(
                    %error, cause, not_after,
                    "the new TLS files cannot be used, the old certificate stays in force"
                );
            }
            watch.logged = Some(stamps);
        }
    }

    fn put_in_force(&self, loaded: Loaded) {
        if loaded.digest == self.current.load().digest {
            // The same files under another date. Sessions to resume live in the configuration, so it stays.
            let old = self.current.load_full();
            let (config, validity) = (Arc::clone(&old.config), old.validity);
            self.current.store(Arc::new(Loaded { config, validity, ..loaded }));
            return;
        }
        let not_after = date(loaded.validity.not_after);
        tracing::info!(not_after, "TLS files changed, new connections get the new certificate");
        loaded.validity.warn(&self.settings.certificate, OffsetDateTime::now_utc());
        self.current.store(Arc::new(loaded));
    }

    fn expires_at(&self) -> OffsetDateTime {
        self.current.load().validity.not_after
    }
}

impl Loaded {
    fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let stamps = stamps(settings);
        let (provider, versions) = cipher_suites::choose(settings)?;
        let provider = Arc::new(provider);
        let files = Files::read(settings)?;
        let identity = Identity::from_pem(settings, &files, &provider)?;
        let verifier = client_auth::verifier(settings, &files, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(Always(identity.certified_key)));
        let protocols: &[&[u8]] = if settings.http2 { &HTTP2_AND_HTTP1 } else { &HTTP1_ONLY };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self { config: Arc::new(config), validity: identity.validity, stamps, digest: digest(&files) })
    }
}

/// Shows one certificate, whatever name the client asks for.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn stamps(settings: &TlsSettings) -> Stamps {
    let stamp = |path: &Path| FileStamp::of(path).ok();
    let authorities = settings.client_cas.iter().map(|path| stamp(path));
    [stamp(&settings.certificate), stamp(&settings.key)].into_iter().chain(authorities).collect()
}

fn are_surely(now: &Stamps, earlier: &Stamps) -> bool {
    now.iter().zip(earlier).all(|pair| match pair {
        (Some(now), Some(earlier)) => now.is_surely(earlier),
        (None, None) => true,
        _ => false,
    })
}

fn look_alike(now: &Stamps, earlier: &Stamps) -> bool {
    now.iter().zip(earlier).all(|pair| match pair {
        (Some(now), Some(earlier)) => now.looks_like(earlier),
        (None, None) => true,
        _ => false,
    })
}

fn digest(files: &Files) -> [u8; 32] {
    let mut hash = Sha256::new();
    for file in [&files.certificate, &files.key].into_iter().chain(&files.client_cas) {
        hash.update((file.len() as u64).to_le_bytes());
        hash.update(file);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::files::Existing;
    use crate::serve::certificate::{CertificateRequest, create};
    use crate::test_log::TestLog;

    struct Fixture {
        dir: tempfile::TempDir,
        inner: Inner,
        log: TestLog,
    }

    fn certify(folder: &Path) {
        let (names, folder) = (vec!["localhost".to_owned()], folder.to_owned());
        create(&CertificateRequest { names, folder, days: 30, existing: Existing::Replace }).unwrap();
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            certify(dir.path());
            let settings = TlsSettings::new(dir.path().join("domain.crt"), dir.path().join("domain.key"));
            let current = ArcSwap::from_pointee(Loaded::load(&settings).unwrap());
            Self { dir, inner: Inner { settings, current, watch: Mutex::default() }, log: TestLog::default() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn config(&self) -> Arc<ServerConfig> {
            Arc::clone(&self.inner.current.load().config)
        }

        /// Looks as often as the watch would in so many seconds, and gives what was logged in the meantime.
        async fn watch_for(&self, seconds: u64) -> String {
            let before = self.log.text().len();
            let _guard = self.log.capture();
            for _ in 0..seconds / LOOK_EVERY.as_secs() {
                tokio::time::advance(LOOK_EVERY).await;
                self.inner.look();
            }
            self.log.text().split_off(before)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn files_replaced_one_after_the_other_are_no_error() {
        let fixture = Fixture::new();
        let other = Fixture::new();
        let before = fixture.config();
        std::fs::copy(other.path("domain.crt"), fixture.path("domain.crt")).unwrap();
        assert_eq!(fixture.watch_for(4).await, "");
        assert!(Arc::ptr_eq(&before, &fixture.config()));
        std::fs::copy(other.path("domain.key"), fixture.path("domain.key")).unwrap();
        let log = fixture.watch_for(10).await;
        assert_eq!(log.matches("new connections get the new certificate").count(), 1, "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(!Arc::ptr_eq(&before, &fixture.config()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_file_is_an_error_once_for_each_change() {
        let fixture = Fixture::new();
        let before = fixture.config();
        std::fs::write(fixture.path("domain.key"), "nonsense").unwrap();
        let log = fixture.watch_for(60).await;
        assert_eq!(log.matches("the old certificate stays in force").count(), 1, "{log}");
        assert!(log.contains("ERROR") && log.contains("domain.key"), "{log}");
        std::fs::remove_file(fixture.path("domain.key")).unwrap();
        let log = fixture.watch_for(60).await;
        assert_eq!(log.matches("cannot read http.tls.key").count(), 1, "{log}");
        assert!(Arc::ptr_eq(&before, &fixture.config()));
        certify(fixture.dir.path());
        let log = fixture.watch_for(10).await;
        assert!(log.contains("new connections get the new certificate"), "{log}");
    }

    #[tokio::test(start_paused = true)]
    async fn files_that_say_the_same_change_nothing() {
        let fixture = Fixture::new();
        let before = fixture.config();
        let certificate = std::fs::read(fixture.path("domain.crt")).unwrap();
        std::fs::write(fixture.path("domain.crt"), certificate).unwrap();
        assert_eq!(fixture.watch_for(10).await, "");
        assert!(Arc::ptr_eq(&before, &fixture.config()));
    }
}
