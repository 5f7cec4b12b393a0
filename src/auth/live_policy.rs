//! `LivePolicy`: the rules in effect, from the configuration or from a file of their own.

use std::sync::Arc;

use sampan_config::AccessConfig;

use super::audit::Audit;
use super::fixed_policy::FixedPolicy;
use super::policy::{Policy, PolicyTooLarge};
use super::policy_file::{PolicyError, PolicyFile};

/// The rules in effect. Cheap to clone; clones share them.
#[derive(Clone, Debug)]
pub enum LivePolicy {
    /// Those of a file, which are read again when it changes.
    File(PolicyFile),
    /// Those of the configuration.
    Fixed(Arc<FixedPolicy>),
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
    /// The rules of `config`. They, and their changes, are recorded.
    ///
    /// # Errors
    ///
    /// Its file is not usable, or the patterns are too large together.
    pub async fn open(config: &AccessConfig, audit: Audit) -> Result<Self, LivePolicyError> {
        match &config.file {
            Some(path) => Ok(Self::File(PolicyFile::open(path.clone(), audit).await?)),
            None => Ok(Self::Fixed(Arc::new(FixedPolicy::new(config.rules_here(), audit)?))),
        }
    }

    /// Checks whether [`open`](Self::open) would succeed.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn check(config: &AccessConfig) -> Result<(), LivePolicyError> {
        match &config.file {
            Some(path) => PolicyFile::check(path.clone()).await?,
            None => Policy::new(config.rules_here()).map(drop)?,
        }
        Ok(())
    }

    /// The rules as they are now.
    pub async fn current(&self) -> Policy {
        match self {
            Self::File(file) => file.current().await,
            Self::Fixed(policy) => policy.current(),
        }
    }

    /// Whether the rules are older than their file, which is not usable.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::File(file) => file.is_stale(),
            Self::Fixed(_) => false,
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
            // Rules that have moved to a file count after a restart.
            Self::Fixed(_) if config.file.is_some() => {}
            Self::Fixed(policy) => policy.replace(config.rules_here())?,
        }
        Ok(())
    }

    /// Records that a changed configuration is not usable, and its rules with it.
    pub fn configuration_refused(&self, error: &str) {
        match self {
            // Its rules do not depend on the configuration.
            Self::File(_) => {}
            Self::Fixed(policy) => policy.refused(error),
        }
    }
}
