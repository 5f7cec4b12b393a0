//! Whether an error concerns one image, or ends the run.

use std::time::Duration;

use sampan_cache::CacheError;
use sampan_driver::{HumanSize, with_causes};
use sampan_engine::oci::Digest;
use sampan_transfer::Error;

/// An error of a run.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Of one image or repository; others may be copied.
    One(String),
    /// Of one image or repository, or of the upstream: the next ones show which.
    Unclear {
        reason: String,
        /// Whether a later run may succeed without a change of the configuration.
        is_passing: bool,
    },
    /// Of the upstream or the store; the rest of the run would fail too.
    All(StopReason),
}

/// Why a run stops before its end.
#[derive(Debug)]
pub(crate) struct StopReason {
    pub(crate) reason: String,
    /// When the upstream may be asked again, if it said so.
    pub(crate) retry_after: Option<Duration>,
}

impl StopReason {
    pub(crate) fn because(reason: &str) -> Self {
        Self { reason: reason.to_owned(), retry_after: None }
    }
}

impl Failed {
    /// The error of one image or repository.
    pub(crate) fn one(error: impl std::error::Error) -> Self {
        Self::One(error.to_string())
    }
}

impl From<StopReason> for Failed {
    fn from(stop: StopReason) -> Self {
        Self::All(stop)
    }
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
                return StopReason::because(&reached.to_string()).into();
            }
        }
        match error {
            Error::Image { image, problem } => Self::One(match image.parse::<Digest>() {
                Ok(content) => format!("{content}: {problem}"),
                // The report names the image.
                Err(_) => problem,
            }),
            Error::Plan(problem) => Self::One(problem.to_string()),
            Error::NoPlatform(_) => Self::One(error.to_string()),
            Error::NoDeletion(_) => Self::One(with_causes(&error)),
            Error::Full { left_bytes, source } => StopReason::because(&format!(
                "the store is full, and up to {} of the image are missing; stored content stays: {}",
                HumanSize(left_bytes),
                with_causes(&source)
            ))
            .into(),
            error if error.is_of_image() => Self::One(with_causes(&error)),
            // A transfer that broke off.
            Error::Registry(error) if error.status() != Some(429) => {
                Self::Unclear { reason: with_causes(&error), is_passing: true }
            }
            error => StopReason::because(&with_causes(&error)).into(),
        }
    }
}

impl From<CacheError> for Failed {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::RateLimited { retry_after, .. } => {
                Self::All(StopReason { reason: error.to_string(), retry_after: Some(retry_after) })
            }
            // Its text is for clients, who want what is cached.
            CacheError::Away { upstream, reason, cause, .. } => {
                let cause = cause.map_or_else(String::new, |cause| format!(": {}", with_causes(&cause)));
                Self::Unclear { reason: format!("upstream {upstream} {reason}{cause}"), is_passing: true }
            }
            CacheError::Offline => StopReason::because("this registry is offline").into(),
            // Docker Hub refuses what does not exist, and others refuse single repositories.
            CacheError::Refused { .. } => Self::Unclear { reason: with_causes(&error), is_passing: false },
            CacheError::Engine(_) | CacheError::NotStored(_) | CacheError::Stopped => {
                StopReason::because(&with_causes(&error)).into()
            }
            CacheError::ManifestUnknown(..)
            | CacheError::BlobUnknown(..)
            | CacheError::RepositoryUnknown(..)
            | CacheError::NotAllowed { .. }
            | CacheError::Wrong { .. } => Self::One(with_causes(&error)),
        }
    }
}

impl From<sampan_engine::Error> for Failed {
    fn from(error: sampan_engine::Error) -> Self {
        Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use sampan_driver::{DriverError, ErrorKind, Operation};

    use super::*;

    #[test]
    fn a_full_store_stops_the_run_and_its_text_is_of_a_copy() {
        let path = "/upload".parse().unwrap();
        let source = DriverError::new(ErrorKind::StorageFull, "filesystem", Operation::Write, &path);
        let failed = Failed::from(Error::Full { left_bytes: 3 << 20, source });
        let Failed::All(StopReason { reason, retry_after: None }) = failed else { panic!("{failed:?}") };
        assert!(reason.starts_with("the store is full, and up to 3 MiB"), "{reason}");
        assert!(reason.contains("no space left") && !reason.contains("bundle"), "{reason}");
    }
}
