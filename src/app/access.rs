//! `Access`: access control, and the parts of it that can be replaced while running.

use std::sync::Arc;

use sampan_config::AuthConfig;

use super::{AppError, token};
use crate::auth::token::Token;
use crate::auth::{AccessController, Anonymous, Htpasswd, Silly, ThrottleOptions};

/// Access control, and the parts of it that can be replaced while running.
#[derive(Clone, Debug)]
pub(super) enum Access {
    Anonymous(Arc<Anonymous>),
    Silly(Arc<Silly>),
    Htpasswd(Arc<Htpasswd>),
    Token(Arc<Token>),
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

    pub(super) fn controller(&self) -> Arc<dyn AccessController> {
        match self {
            Self::Anonymous(controller) => controller.clone(),
            Self::Silly(controller) => controller.clone(),
            Self::Htpasswd(controller) => controller.clone(),
            Self::Token(controller) => controller.clone(),
        }
    }

    /// Follows changes of keys and certificates, for as long as it is polled.
    pub(super) async fn watch(&self) {
        match self {
            Self::Token(token) => token.watch().await,
            // A login checks its file.
            Self::Anonymous(_) | Self::Silly(_) | Self::Htpasswd(_) => std::future::pending().await,
        }
    }
}
