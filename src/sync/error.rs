//! Whether an error concerns one image, or ends the run.

use std::time::Duration;

use sampan_cache::CacheError;
use sampan_transfer::Error;

/// An error of a run.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Of one image or repository; others may be copied.
    One(String),
    /// Of the upstream or the store; the rest of the run would fail too.
    All { reason: String, retry_after: Option<Duration> },
}

/// An error: few pulls are left at the upstream.
#[derive(Clone, Debug, thiserror::Error)]
#[error("upstream {upstream} has {remaining} pulls left, and {reserve} are kept for clients")]
pub(crate) struct ReserveReached {
    pub(crate) upstream: String,
    pub(crate) remaining: u64,
    pub(crate) reserve: u64,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        if let Error::Other(source) = &error {
            if let Some(error) = source.downcast_ref::<CacheError>() {
                return Self::from(error.clone());
            }
            if let Some(reached) = source.downcast_ref::<ReserveReached>() {
                return Self::All { reason: reached.to_string(), retry_after: None };
            }
        }
        match error.is_of_image() {
            true => Self::One(text(&error)),
            false => Self::All { reason: text(&error), retry_after: None },
        }
    }
}

impl From<CacheError> for Failed {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::RateLimited { retry_after, .. } => {
                Self::All { reason: error.to_string(), retry_after: Some(retry_after) }
            }
            // Its text is for clients, who want what is cached.
            CacheError::Away { upstream, reason, .. } => {
                Self::All { reason: format!("upstream {upstream} {reason}"), retry_after: None }
            }
            CacheError::Offline => {
                Self::All { reason: "this registry is offline".to_owned(), retry_after: None }
            }
            CacheError::Refused { .. } | CacheError::Engine(_) | CacheError::Stopped => {
                Self::All { reason: text(&error), retry_after: None }
            }
            CacheError::ManifestUnknown(..)
            | CacheError::BlobUnknown(..)
            | CacheError::RepositoryUnknown(_)
            | CacheError::NotAllowed { .. }
            | CacheError::Wrong { .. } => Self::One(error.to_string()),
        }
    }
}

impl From<sampan_engine::Error> for Failed {
    fn from(error: sampan_engine::Error) -> Self {
        Error::from(error).into()
    }
}

/// The error with its causes.
fn text(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
