//! `Repository`: a name bound to a registry.

use std::sync::Arc;
use std::time::Duration;

use crate::oci::{Digest, RepositoryName, Tag};
use crate::{
    Event, EventKind, EventSink, ManifestStore, Referrers, Registry, Remover, RepositoryBlobs, Result,
    TagStore, UploadStore,
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

    /// Records that a tag of a cache is what its upstream says.
    pub fn note_compared(&self, tag: &Tag) {
        if self.registry.caches().contains(&self.name) {
            self.registry.compared_tags().note_compared(&self.name, tag);
        }
    }

    /// How long ago a tag of a cache was last known to be what its upstream says: when it was written, or compared by this
    /// process or an earlier one. Zero for a tag that does not exist.
    ///
    /// # Errors
    ///
    /// Any error of the store.
    pub async fn age_of_comparison(&self, tag: &Tag) -> Result<Duration> {
        let written = self.tags().pushed_at(tag).await?;
        let compared = self.registry.compared_tags();
        if let Err(error) = compared.load(self.registry.driver()).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot read when tags were last compared with their upstreams");
        }
        let last = written.max(compared.last_compared(&self.name, tag));
        let now = self.registry.clock().now();
        Ok(last.and_then(|last| now.duration_since(last).ok()).unwrap_or_default())
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
