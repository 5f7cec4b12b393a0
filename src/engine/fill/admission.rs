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

    /// Why the store must not take so many bytes for the repository.
    pub(super) fn refusal(&self, repository: &Repository, bytes: u64) -> Option<UnstoredReason> {
        if self.is_refused.as_ref().is_some_and(|is_refused| is_refused()) {
            return Some(UnstoredReason::Refused);
        }
        let (stored, bounds) = (repository.registry.cache_bytes(), self.bounds.as_ref()?);
        (!stored.has_room(repository.name(), bytes, bounds)).then_some(UnstoredReason::Bound)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}
