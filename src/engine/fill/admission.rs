//! `Admission`: when the store must not store fetched content. Clients get the content nevertheless.

use std::fmt;
use std::sync::Arc;

use super::UnstoredReason;
use crate::Repository;
use crate::gc::Eviction;

/// When the store must not store fetched content.
#[derive(Clone, Default)]
pub struct Admission {
    is_refused: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
    bounds: Option<Eviction>,
}

impl Admission {
    /// Takes nothing while the caches would have more than 105 % of their bounds: a collection frees nothing that is young.
    #[must_use]
    pub fn bounds(self, bounds: Option<Eviction>) -> Self {
        Self { bounds, ..self }
    }

    /// Takes nothing while `is_refused`, such as below a floor of free space.
    #[must_use]
    pub fn unless(self, is_refused: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { is_refused: Some(Arc::new(is_refused)), ..self }
    }

    /// Reserves so many bytes for the repository; or says why the store must not take them.
    pub(super) fn reserve(
        &self,
        repository: &Repository,
        bytes: u64,
    ) -> Result<Option<Reservation>, UnstoredReason> {
        if self.is_refused.as_ref().is_some_and(|is_refused| is_refused()) {
            return Err(UnstoredReason::Refused);
        }
        let Some(bounds) = &self.bounds else { return Ok(None) };
        match repository.registry.cache_bytes().reserve(repository.name(), bytes, bounds) {
            true => Ok(Some(Reservation { repository: repository.clone(), bytes })),
            false => Err(UnstoredReason::Bound),
        }
    }
}

/// Bytes that are reserved until it is dropped: then they are stored, and count as such, or never will be.
#[derive(Debug)]
pub(super) struct Reservation {
    repository: Repository,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.repository.registry.cache_bytes().release(self.repository.name(), self.bytes);
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
