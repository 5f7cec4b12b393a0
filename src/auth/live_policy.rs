//! `LivePolicy`: the rules in effect, from the configuration or from a file of their own.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sampan_config::{AccessConfig, AccessRules};

use super::policy::{Policy, PolicyTooLarge};
use super::policy_file::{PolicyError, PolicyFile};

/// The rules in effect. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub enum LivePolicy {
    /// Those of a file, which are read again when it changes.
    File(PolicyFile),
    /// Those of the configuration.
    Fixed(Arc<ArcSwap<Policy>>),
}

/// Rules that are not usable.
#[derive(Debug, thiserror::Error)]
pub enum LivePolicyError {
    /// Those of a file.
    #[error("access.file")]
    File(#[from] PolicyError),
    /// Those of the configuration.
    #[error("access.rules")]
    Fixed(#[from] PolicyTooLarge),
}

impl LivePolicy {
    /// The rules of `config`.
    ///
    /// # Errors
    ///
    /// Its file is not usable, or the patterns are too large together.
    pub async fn open(config: &AccessConfig) -> Result<Self, LivePolicyError> {
        match (&config.file, config.rules_here()) {
            (_, Some(rules)) => Ok(Self::fixed(Policy::new(rules)?)),
            (Some(path), None) => Ok(Self::File(PolicyFile::open(path.clone()).await?)),
            (None, None) => Ok(Self::fixed(Policy::new(AccessRules::default())?)),
        }
    }

    /// Checks whether [`open`](Self::open) would succeed.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn check(config: &AccessConfig) -> Result<(), LivePolicyError> {
        match (&config.file, config.rules_here()) {
            (_, Some(rules)) => Policy::new(rules).map(drop)?,
            (Some(path), None) => PolicyFile::check(path.clone()).await?,
            (None, None) => {}
        }
        Ok(())
    }

    fn fixed(policy: Policy) -> Self {
        Self::Fixed(Arc::new(ArcSwap::from_pointee(policy)))
    }

    /// The rules as they are now.
    pub async fn current(&self) -> Policy {
        match self {
            Self::File(file) => file.current().await,
            Self::Fixed(policy) => Policy::clone(&policy.load()),
        }
    }

    /// Takes over the rules of a changed configuration, or reads the file again. The caller logs the error.
    ///
    /// # Errors
    ///
    /// The rules are not usable; the old ones remain in effect.
    pub async fn reload(&self, config: &AccessConfig) -> Result<(), LivePolicyError> {
        match self {
            Self::File(file) => file.reload().await?,
            Self::Fixed(policy) => {
                if let Some(rules) = config.rules_here() {
                    policy.store(Arc::new(Policy::new(rules)?));
                }
            }
        }
        Ok(())
    }
}
