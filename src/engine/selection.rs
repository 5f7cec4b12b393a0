//! `Selection`: some of the repositories, or all.

use std::fmt;
use std::sync::Arc;

use crate::oci::RepositoryName;

/// Some of the repositories, or all.
#[derive(Clone, Default)]
pub struct Selection {
    selected: Option<Arc<Condition>>,
    excluded: Option<Arc<Condition>>,
    names: Vec<String>,
}

type Condition = dyn Fn(&RepositoryName) -> bool + Send + Sync;

impl Selection {
    /// The repositories for which `is_selected` holds. Nothing is selected that belongs to no repository.
    pub fn new(is_selected: impl Fn(&RepositoryName) -> bool + Send + Sync + 'static) -> Self {
        Self { selected: Some(Arc::new(is_selected)), ..Self::default() }
    }

    /// The same with the words by which a person has selected, in any order.
    #[must_use]
    pub fn named(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.names = names.into_iter().collect();
        self.names.sort_unstable();
        self.names.dedup();
        self
    }

    /// The words by which a person has selected, in order; empty if they are not known.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The same without the repositories for which `is_excluded` holds. What belongs to no repository stays selected.
    pub fn without(self, is_excluded: impl Fn(&RepositoryName) -> bool + Send + Sync + 'static) -> Self {
        Self { excluded: Some(Arc::new(is_excluded)), ..self }
    }

    /// Whether the whole store is selected, but for repositories that are left out.
    pub fn is_everything(&self) -> bool {
        self.selected.is_none()
    }

    /// Whether the repository is selected.
    pub fn has(&self, name: &RepositoryName) -> bool {
        self.selected.as_ref().is_none_or(|is_selected| is_selected(name))
            && !self.excluded.as_ref().is_some_and(|is_excluded| is_excluded(name))
    }
}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_everything() { "Selection(everything)" } else { "Selection(…)" })
    }
}
