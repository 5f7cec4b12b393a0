//! Makes the web page of the configuration.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use sampan_config::{Config, UiLanguage};
use sampan_engine::Registry;
use sampan_ui::{Gate, Language, SessionKey, Ui, UiSettings};
use tokio::sync::watch;

use super::{Access, AppError};
use crate::auth::OwnTokens;
use crate::http::{PageGate, Prefix};
use crate::maintenance::{Collector, Verifier, survey_store};

/// The parts of the registry that the page shows, for each configuration of the page.
pub(super) struct Pages {
    registry: Registry,
    access: Access,
    collector: Arc<Collector>,
    verifier: Arc<Verifier>,
    tokens: Option<Arc<OwnTokens>>,
    /// The key of sessions without a file of signing keys.
    key: SessionKey,
    /// From one survey of the store to the next; `None` without a page.
    survey: watch::Sender<Option<Duration>>,
}

impl Pages {
    /// The parts of a running registry.
    pub(super) fn new(
        config: &Config,
        registry: &Registry,
        access: &Access,
        collector: &Arc<Collector>,
        verifier: &Arc<Verifier>,
    ) -> Self {
        let tokens = access.guard().zip(config.access.as_ref()).map(|(guard, access)| {
            Arc::new(OwnTokens::new(Arc::clone(guard), registry.clone(), access.tokens.longest))
        });
        let (registry, access) = (registry.clone(), access.clone());
        let (collector, verifier) = (Arc::clone(collector), Arc::clone(verifier));
        let survey = watch::Sender::new(None);
        Self { registry, access, collector, verifier, tokens, key: key_without_file(config), survey }
    }

    /// Surveys the store while there is a page, as its present configuration says; never ends.
    pub(super) fn surveys(&self) -> impl Future<Output = ()> + Send + use<> {
        let (registry, mut wanted) = (self.registry.clone(), self.survey.subscribe());
        async move {
            loop {
                let interval = *wanted.borrow_and_update();
                let surveys = async {
                    match interval {
                        Some(interval) => survey_store(registry.clone(), interval).await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    () = surveys => {}
                    changed = wanted.changed() => if changed.is_err() { pending::<()>().await },
                }
            }
        }
    }

    /// Surveys the store as this configuration says, once its page is in use.
    pub(super) fn take_effect(&self, config: &Config, page: Option<&Ui>) {
        if let Some(page) = page {
            tracing::info!("the web page is at {}/", page.base());
        }
        self.survey.send_if_modified(|interval| {
            let before = std::mem::replace(interval, page.map(|_| config.ui.survey));
            before != *interval
        });
    }

    /// The page of this configuration, if it is enabled, with the signing keys of now. It changes nothing. Logins last from one
    /// page to the next.
    ///
    /// # Errors
    ///
    /// `http.prefix` is not a path.
    pub(super) fn page(&self, config: &Config) -> Result<Option<Ui>, AppError> {
        let ui = &config.ui;
        if !ui.enabled {
            return Ok(None);
        }
        let gate = match &self.access {
            Access::Anonymous(_) => PageGate::Open,
            Access::Htpasswd(passwords) => PageGate::Passwords(Arc::clone(passwords)),
            Access::Guard(guard) => PageGate::Rules(Arc::clone(guard)),
            // The configuration was refused.
            Access::Silly(_) | Access::Token(_) => return Ok(None),
        };
        let prefix: Prefix = config.http.prefix.as_str().parse()?;
        let settings = UiSettings {
            base: format!("{prefix}{}", ui.path),
            title: ui.title.trim().to_owned(),
            pull_host: ui.pullhost.clone(),
            language: match ui.language {
                UiLanguage::Auto => None,
                UiLanguage::English => Some(Language::English),
                UiLanguage::TraditionalChinese => Some(Language::TraditionalChinese),
            },
            session: ui.session,
        };
        let gate: Arc<dyn Gate> = Arc::new(gate);
        let ui = Ui::new(self.registry.clone(), gate, settings, self.session_key());
        let ui = ui.with_housekeeping(Arc::clone(&self.collector) as _);
        let ui = ui.with_verifications(Arc::clone(&self.verifier) as _);
        Ok(Some(match &self.tokens {
            Some(tokens) => ui.with_access_tokens(Arc::clone(tokens) as _),
            None => ui,
        }))
    }

    /// The key of sessions: from the signing keys in use, which replicas share and whose removal ends the sessions.
    fn session_key(&self) -> SessionKey {
        let secrets = self.access.guard().and_then(|guard| guard.session_secrets());
        match secrets.as_deref() {
            Some([newest, others @ ..]) => SessionKey::derived_from(newest).opening(others),
            _ => self.key.clone(),
        }
    }
}

/// A key from `http.secret`, which replicas share; else a random one, and sessions end with the process.
fn key_without_file(config: &Config) -> SessionKey {
    match config.http.secret.as_ref().filter(|secret| !secret.expose().is_empty()) {
        Some(secret) => SessionKey::derived_from(secret.expose().as_bytes()),
        None => SessionKey::derived_from(&rand::random::<[u8; 32]>()),
    }
}
