//! `TlsReloader`: the current TLS configuration, replaced while connections continue.
//!
//! It checks the files every two seconds, through symlinks, so it notices both an `mv` and the symlink swap
//! of Kubernetes. A new configuration applies to new connections.
//!
//! Certificate and key are often written one after the other, so a pair that does not match is tolerated for
//! a few seconds. After that it is logged as an error, once for each state of the files, and the old pair
//! remains in use.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sampan_config::{Http2Config, TlsConfig};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use super::authorities::Authorities;
use super::certificates::{Files, Identity, Validity, date};
use super::cipher_suites;
use super::client_auth;
use super::error::TlsError;
use sampan_host::blocking::on_blocking_pool;
use sampan_host::file_watch::FileStamp;

/// How often to check the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How long unusable files count as being replaced.
const REPLACEMENT_TIME: Duration = Duration::from_secs(6);

/// How often to warn of a certificate that expires soon.
const WARN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Protocols offered by ALPN, the preferred first.
const HTTP2_AND_HTTP1: [&[u8]; 2] = [b"h2", b"http/1.1"];
const HTTP1_ONLY: [&[u8]; 1] = [b"http/1.1"];

/// A TLS section with its current configuration.
pub struct TlsReloader(Arc<Inner>);

struct Inner {
    settings: TlsConfig,
    http2: Http2Config,
    current: ArcSwap<Loaded>,
    /// Held, on the blocking pool only, while the files are read, so that an older state never replaces a
    /// newer one.
    watch: Mutex<WatchState>,
}

/// A state of the files and its configuration.
struct Loaded {
    config: Arc<ServerConfig>,
    validity: Validity,
    authorities: Arc<Authorities>,
    stamps: Stamps,
    digest: [u8; 32],
}

/// The stamp of each file; `None` for an inaccessible one.
type Stamps = Vec<Option<FileStamp>>;

#[derive(Default)]
struct WatchState {
    /// Since when the files have been unusable.
    broken_since: Option<Instant>,
    /// The state of the files whose error was logged.
    logged: Option<Stamps>,
}

impl TlsReloader {
    /// Reads the files of `settings`, and offers HTTP/2 unless it is disabled.
    ///
    /// # Errors
    ///
    /// The section cannot be served exactly as written. See [`TlsError`].
    pub async fn load(settings: TlsConfig, http2: Http2Config) -> Result<Arc<Self>, TlsError> {
        on_blocking_pool(move || {
            let loaded = Loaded::load(&settings, &http2)?;
            let not_after = date(loaded.validity.not_after);
            tracing::info!(not_after, "read the certificate in {}", settings.certificate.display());
            loaded.warn(&settings, OffsetDateTime::now_utc());
            let current = ArcSwap::from_pointee(loaded);
            Ok(Arc::new(Self(Arc::new(Inner { settings, http2, current, watch: Mutex::default() }))))
        })
        .await
    }

    /// The configuration for a new connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current.load().config)
    }

    /// Whether a certificate that a client presents leads to `http.tls.clientcas`.
    pub fn verifies_clients(&self) -> bool {
        self.0.settings.verifies_clients()
    }

    /// When the current certificate expires.
    pub fn expires_at(&self) -> OffsetDateTime {
        self.0.current.load().validity.not_after
    }

    /// Reads the files again at once, as on SIGHUP. The caller logs the error.
    ///
    /// # Errors
    ///
    /// The section can no longer be served as written; the old configuration remains in use.
    pub async fn reload(&self) -> Result<(), TlsError> {
        let inner = Arc::clone(&self.0);
        on_blocking_pool(move || inner.reload()).await
    }

    /// Watches the files while it is polled, which `Server::run` does.
    pub async fn watch(&self) {
        let mut warned = Instant::now();
        loop {
            sleep(CHECK_INTERVAL).await;
            let inner = Arc::clone(&self.0);
            on_blocking_pool(move || inner.reload_if_changed()).await;
            if warned.elapsed() >= WARN_EVERY {
                warned = Instant::now();
                self.0.current.load().warn(&self.0.settings, OffsetDateTime::now_utc());
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
        let mut watch = self.watch.lock();
        let stamps = stamps(&self.settings);
        match Loaded::load(&self.settings, &self.http2) {
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

    /// Checks whether the files have changed, and reloads them.
    fn reload_if_changed(&self) {
        let mut watch = self.watch.lock();
        let stamps = stamps(&self.settings);
        if are_surely(&stamps, &self.current.load().stamps) {
            *watch = WatchState::default();
            return;
        }
        if watch.logged.as_ref().is_some_and(|logged| are_surely(&stamps, logged)) {
            return;
        }
        let error = match Loaded::load(&self.settings, &self.http2) {
            Ok(loaded) => {
                *watch = WatchState::default();
                return self.put_in_force(loaded);
            }
            Err(error) => error,
        };
        let broken_since = *watch.broken_since.get_or_insert_with(Instant::now);
        if broken_since.elapsed() >= REPLACEMENT_TIME {
            let not_after = date(self.expires_at());
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            // Stamps of recently written files never count as equal, so one state may get here twice.
            if watch.logged.as_ref().is_none_or(|logged| !seem_equal(&stamps, logged)) {
                tracing::error!(
                    %error, cause, not_after,
                    "the new TLS files are not usable, the old certificate remains in use"
                );
            }
            watch.logged = Some(stamps);
        }
    }

    fn put_in_force(&self, loaded: Loaded) {
        if loaded.digest == self.current.load().digest {
            // The same content under a new date. Keep the configuration, which holds the sessions to resume.
            let old = self.current.load_full();
            self.current.store(Arc::new(Loaded { config: Arc::clone(&old.config), ..loaded }));
            return;
        }
        let not_after = date(loaded.validity.not_after);
        tracing::info!(not_after, "TLS files changed, new connections get the new certificate");
        loaded.warn(&self.settings, OffsetDateTime::now_utc());
        self.current.store(Arc::new(loaded));
    }

    fn expires_at(&self) -> OffsetDateTime {
        self.current.load().validity.not_after
    }
}

impl Loaded {
    fn load(settings: &TlsConfig, http2: &Http2Config) -> Result<Self, TlsError> {
        let stamps = stamps(settings);
        let (provider, versions) = cipher_suites::choose(settings)?;
        let provider = Arc::new(provider);
        let files = Files::read(settings)?;
        let identity = Identity::from_pem(settings, &files, &provider)?;
        let authorities = Arc::new(Authorities::from_pem(settings, &files)?);
        let verifier = client_auth::verifier(settings, &authorities, &provider);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(Always(identity.certified_key)));
        let protocols: &[&[u8]] = if http2.disabled { &HTTP1_ONLY } else { &HTTP2_AND_HTTP1 };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        if !settings.clientcas.is_empty() {
            // A resumed session has the client's certificate of its first handshake, which is not verified again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        let (config, digest) = (Arc::new(config), digest(&files));
        Ok(Self { config, validity: identity.validity, authorities, stamps, digest })
    }

    /// Logs a warning of each certificate that is not valid now, or will soon not be.
    fn warn(&self, settings: &TlsConfig, now: OffsetDateTime) {
        self.validity.warn(&settings.certificate, now);
        if settings.verifies_clients() {
            self.authorities.warn(now);
        }
    }
}

/// Presents one certificate for every server name.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn stamps(settings: &TlsConfig) -> Stamps {
    let stamp = |path: &Path| FileStamp::of(path).ok();
    let authorities = settings.clientcas.iter().map(|path| stamp(path));
    [stamp(&settings.certificate), stamp(&settings.key)].into_iter().chain(authorities).collect()
}

fn are_surely(now: &Stamps, earlier: &Stamps) -> bool {
    now.iter().zip(earlier).all(|pair| match pair {
        (Some(now), Some(earlier)) => now.is_surely(earlier),
        (None, None) => true,
        _ => false,
    })
}

fn seem_equal(now: &Stamps, earlier: &Stamps) -> bool {
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
    use crate::certificate::{CertificateRequest, create};
    use crate::test_log::TestLog;
    use crate::tls::tests::section;
    use sampan_host::atomic_write::Existing;

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
            let settings = section(&dir.path().join("domain.crt"), &dir.path().join("domain.key"));
            let http2 = Http2Config { disabled: false };
            let current = ArcSwap::from_pointee(Loaded::load(&settings, &http2).unwrap());
            let inner = Inner { settings, http2, current, watch: Mutex::default() };
            Self { dir, inner, log: TestLog::default() }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn config(&self) -> Arc<ServerConfig> {
            Arc::clone(&self.inner.current.load().config)
        }

        /// Checks as often as `watch` would in `seconds`, and returns the new log lines.
        async fn watch_for(&self, seconds: u64) -> String {
            let before = self.log.text().len();
            let _guard = self.log.capture();
            for _ in 0..seconds / CHECK_INTERVAL.as_secs() {
                tokio::time::advance(CHECK_INTERVAL).await;
                self.inner.reload_if_changed();
            }
            self.log.text().split_off(before)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn replacing_files_one_after_the_other_is_not_an_error() {
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
    async fn a_broken_file_is_logged_once_for_each_change() {
        let fixture = Fixture::new();
        let before = fixture.config();
        std::fs::write(fixture.path("domain.key"), "nonsense").unwrap();
        let log = fixture.watch_for(60).await;
        assert_eq!(log.matches("the old certificate remains in use").count(), 1, "{log}");
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
    async fn rewriting_the_same_content_changes_nothing() {
        let fixture = Fixture::new();
        let before = fixture.config();
        let certificate = std::fs::read(fixture.path("domain.crt")).unwrap();
        std::fs::write(fixture.path("domain.crt"), certificate).unwrap();
        assert_eq!(fixture.watch_for(10).await, "");
        assert!(Arc::ptr_eq(&before, &fixture.config()));
    }
}
