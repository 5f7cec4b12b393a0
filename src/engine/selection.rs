//! `Selection`: some of the repositories, or all.

use std::fmt;
use std::sync::Arc;

use crate::oci::RepositoryName;

/// Some of the repositories, or all.
#[derive(Clone, Default)]
pub struct Selection(Option<Arc<Condition>>);

type Condition = dyn Fn(&RepositoryName) -> bool + Send + Sync;

impl Selection {
    /// The repositories for which `is_selected` holds. Nothing is selected that belongs to no repository.
    pub fn new(is_selected: impl Fn(&RepositoryName) -> bool + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(is_selected)))
    }

    /// Whether the whole store is selected.
    pub fn is_everything(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the repository is selected.
    pub fn has(&self, name: &RepositoryName) -> bool {
        self.0.as_ref().is_none_or(|is_selected| is_selected(name))
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_everything() { "Selection(everything)" } else { "Selection(…)" })
    }
}
