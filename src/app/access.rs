//! `Access`: access control, and the parts of it that can be replaced while running.

use std::path::PathBuf;
use std::sync::Arc;

use sampan_config::{AccessConfig, AuditConfig, AuthConfig, CertificateName, Config};
use sampan_engine::Registry;

use super::{AppError, token};
use crate::atomic_write::folder_of;
use crate::auth::token::Token;
use crate::auth::{
    AccessController, AccessTokens, Anonymous, Audit, AuditFile, Guard, GuardError, GuardSettings, Htpasswd,
    LivePolicy, Silly, ThrottleOptions,
};
use crate::blocking::on_blocking_pool;

/// Access control, and the parts of it that can be replaced while running.
#[derive(Clone, Debug)]
pub(super) enum Access {
    Anonymous(Arc<Anonymous>),
    Silly(Arc<Silly>),
    Htpasswd(Arc<Htpasswd>),
    Token(Arc<Token>),
    Guard(Arc<Guard>),
}

impl Access {
    pub(super) async fn open(config: &AuthConfig) -> Result<Self, AppError> {
        match config {
            AuthConfig::Silly(silly) => Ok(Self::Silly(Arc::new(Silly::new(&silly.realm, &silly.service)?))),
            AuthConfig::Htpasswd(htpasswd) => {
                let throttle = ThrottleOptions::default();
                let path = htpasswd.path.display();
                let htpasswd = Htpasswd::open(&htpasswd.realm, htpasswd.path.clone(), throttle).await?;
                tracing::info!(users = htpasswd.users(), "users and passwords were read from {path}");
                Ok(Self::Htpasswd(Arc::new(htpasswd)))
            }
            AuthConfig::Token(token) => Ok(Self::Token(Arc::new(Token::open(token::settings(token)).await?))),
            AuthConfig::None => Ok(Self::Anonymous(Arc::new(Anonymous))),
        }
    }

    /// Checks that [`open`](Self::open) would succeed. Creates nothing, and sends no request.
    pub(super) async fn check(config: &AuthConfig) -> Result<(), AppError> {
        match config {
            AuthConfig::Silly(silly) => Silly::new(&silly.realm, &silly.service).map(drop)?,
            AuthConfig::Htpasswd(htpasswd) => Htpasswd::check(&htpasswd.realm, htpasswd.path.clone()).await?,
            AuthConfig::Token(token) => Token::check(token::settings(token)).await?,
            AuthConfig::None => {}
        }
        Ok(())
    }

    /// Adds the rules of `access`, if there are any.
    ///
    /// # Errors
    ///
    /// A file that the section names is not usable.
    pub(super) async fn with_rules(self, config: &Config, registry: &Registry) -> Result<Self, AppError> {
        let Some(access) = &config.access else { return Ok(self) };
        let passwords = match self {
            Self::Htpasswd(htpasswd) => Some(htpasswd),
            // The configuration was refused with the others.
            _ => None,
        };
        let signing_key = signing_key(config);
        if signing_key.is_none() {
            tracing::warn!(
                "access.tokens.signingkey is not set, so tokens are valid until the registry restarts, and only at this replica"
            );
        }
        let audit = match &config.audit {
            None => Audit::default(),
            Some(AuditConfig { file: None }) => Audit::to_log(),
            Some(AuditConfig { file: Some(path) }) => Audit::to_file(path.clone())
                .map_err(|source| AppError::Audit { path: path.clone(), source })?,
        };
        let policy = LivePolicy::open(access, audit.clone()).await.map_err(GuardError::from)?;
        let guard = Guard::open(GuardSettings {
            policy,
            passwords,
            tokens: AccessTokens::new(registry.clone()),
            service: service(config),
            lifetime: access.tokens.lifetime,
            signing_key,
            audit,
            certificates: certificate_names(access),
        });
        Ok(Self::Guard(Arc::new(guard.await?)))
    }

    /// Checks that [`with_rules`](Self::with_rules) would succeed. Creates nothing.
    pub(super) async fn check_rules(config: &Config) -> Result<(), AppError> {
        let Some(access) = &config.access else { return Ok(()) };
        LivePolicy::check(access).await.map_err(GuardError::from)?;
        if let Some(path) = config.audit.as_ref().and_then(|audit| audit.file.clone()) {
            let checked = path.clone();
            let checked = on_blocking_pool(move || AuditFile::check(&checked)).await;
            checked.map_err(|source| AppError::Audit { path, source })?;
        }
        if let Some(path) = signing_key(config).filter(|path| path.exists()) {
            Guard::check_keys(path).await?;
        }
        Ok(())
    }

    /// The passwords, if users have them.
    pub(super) fn passwords(&self) -> Option<&Htpasswd> {
        match self {
            Self::Htpasswd(htpasswd) => Some(htpasswd),
            Self::Guard(guard) => guard.passwords(),
            Self::Anonymous(_) | Self::Silly(_) | Self::Token(_) => None,
        }
    }

    /// The rules and the token server, if there are any.
    pub(super) fn guard(&self) -> Option<&Arc<Guard>> {
        match self {
            Self::Guard(guard) => Some(guard),
            _ => None,
        }
    }

    pub(super) fn controller(&self) -> Arc<dyn AccessController> {
        match self {
            Self::Anonymous(controller) => controller.clone(),
            Self::Silly(controller) => controller.clone(),
            Self::Htpasswd(controller) => controller.clone(),
            Self::Token(controller) => controller.clone(),
            Self::Guard(controller) => controller.clone(),
        }
    }

    /// Follows changes of keys and certificates, for as long as it is polled.
    pub(super) async fn watch(&self) {
        match self {
            Self::Token(token) => token.watch().await,
            // A login checks its file.
            Self::Anonymous(_) | Self::Silly(_) | Self::Htpasswd(_) | Self::Guard(_) => {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The rules, users, keys and access tokens of `config`, for a command beside a running registry. Creates and records
/// nothing; `None` without a section `access`.
///
/// # Errors
///
/// A file that the configuration names is not usable.
pub async fn guard_for_command(config: &Config, registry: Registry) -> Result<Option<Guard>, AppError> {
    let Some(access) = &config.access else { return Ok(None) };
    let passwords = match &config.auth {
        AuthConfig::Htpasswd(htpasswd) if htpasswd.path.exists() => {
            let throttle = ThrottleOptions::default();
            Some(Arc::new(Htpasswd::open(&htpasswd.realm, htpasswd.path.clone(), throttle).await?))
        }
        _ => None,
    };
    let guard = Guard::open(GuardSettings {
        policy: LivePolicy::open(access, Audit::default()).await.map_err(GuardError::from)?,
        passwords,
        tokens: AccessTokens::new(registry),
        service: service(config),
        lifetime: access.tokens.lifetime,
        signing_key: signing_key(config).filter(|path| path.exists()),
        audit: Audit::default(),
        certificates: certificate_names(access),
    });
    Ok(Some(guard.await?))
}

/// The names of a client certificate that may be a user.
fn certificate_names(access: &AccessConfig) -> Vec<CertificateName> {
    access.certificates.as_ref().map(|it| it.identity.to_vec()).unwrap_or_default()
}

/// The name of this registry in challenges and tokens: it must be the same at all replicas, which clients may call
/// by several names.
fn service(config: &Config) -> String {
    let chosen = config.access.as_ref().and_then(|access| access.tokens.service.clone());
    let host = || config.http.host.as_ref().and_then(|host| host.as_url().host_str().map(str::to_owned));
    chosen.or_else(host).unwrap_or_else(|| "sampan".to_owned())
}

/// The file of the signing key: as configured, else beside the password file if its folder is writable.
pub fn signing_key(config: &Config) -> Option<PathBuf> {
    let chosen = config.access.as_ref().and_then(|access| access.tokens.signingkey.clone());
    chosen.or_else(|| match &config.auth {
        AuthConfig::Htpasswd(htpasswd) => {
            let path = htpasswd.path.with_file_name("signing.pem");
            let is_writable = rustix::fs::access(folder_of(&path), rustix::fs::Access::WRITE_OK).is_ok();
            (path.exists() || is_writable).then_some(path)
        }
        _ => None,
    })
}
