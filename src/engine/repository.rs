//! `Repository`: a name bound to a registry.

use std::sync::Arc;

use crate::oci::{Digest, RepositoryName};
use crate::{
    Event, EventKind, EventSink, ManifestStore, Referrers, Registry, Remover, RepositoryBlobs, TagStore,
    UploadStore,
};

/// A repository of a registry. It need not exist: the first manifest creates it.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(crate) registry: Registry,
    pub(crate) name: RepositoryName,
    /// The sink of events; usually none.
    events: Option<Arc<dyn EventSink>>,
    /// In whose name tags are removed.
    pub(crate) remover: Remover,
}

impl Repository {
    pub(crate) fn new(registry: Registry, name: RepositoryName) -> Self {
        Self { registry, name, events: None, remover: Remover::default() }
    }

    /// The same repository, whose handles emit events to `sink`.
    #[must_use]
    pub fn with_events(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.events = Some(sink);
        self
    }

    /// The same repository without a sink.
    #[must_use]
    pub fn without_events(&self) -> Self {
        Self { events: None, ..self.clone() }
    }

    /// Whether the repository has a sink.
    pub(crate) fn has_sink(&self) -> bool {
        self.events.is_some()
    }

    /// Emits an event if the repository has a sink; otherwise creates none.
    pub(crate) fn emit(&self, what: impl FnOnce() -> EventKind) {
        if let Some(sink) = &self.events {
            sink.emit(Event { repository: self.name.clone(), what: what() });
        }
    }

    /// Records that a client was given a manifest of the repository; the collector forgets those of caches that were not used
    /// for long. Nothing for a repository that is no cache.
    pub fn note_used(&self, digest: &Digest) {
        if self.registry.caches().contains(&self.name) {
            self.registry.cache_uses().note_used(&self.name, digest);
        }
    }

    /// The name of the repository.
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// The blobs of the repository.
    pub fn blobs(&self) -> RepositoryBlobs {
        RepositoryBlobs::new(self.clone())
    }

    /// The manifests of the repository.
    pub fn manifests(&self) -> ManifestStore {
        ManifestStore::new(self.clone())
    }

    /// The tags of the repository.
    pub fn tags(&self) -> TagStore {
        TagStore::new(self.clone())
    }

    /// The manifests that are attached to others by `subject`.
    pub fn referrers(&self) -> Referrers {
        Referrers::new(self.clone())
    }

    /// The uploads in progress to the repository.
    pub fn uploads(&self) -> UploadStore {
        UploadStore::new(self.clone())
    }
}
