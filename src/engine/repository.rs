//! `Repository`: a name bound to a registry.

use std::sync::Arc;

use crate::oci::RepositoryName;
use crate::{
    Event, EventKind, EventSink, ManifestStore, Referrers, Registry, RepositoryBlobs, TagStore, UploadStore,
};

/// A repository of a registry. It need not exist: it comes into being with its first manifest.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(crate) registry: Registry,
    pub(crate) name: RepositoryName,
    /// Who listens; mostly nobody.
    events: Option<Arc<dyn EventSink>>,
}

impl Repository {
    pub(crate) fn new(registry: Registry, name: RepositoryName) -> Self {
        Self { registry, name, events: None }
    }

    /// The same, and `sink` is told what happens to it through this handle and those that it hands out.
    #[must_use]
    pub fn with_events(mut self, sink: Arc<dyn EventSink>) -> Self {
        self.events = Some(sink);
        self
    }

    /// Whether anybody is told what happens.
    pub(crate) fn has_sink(&self) -> bool {
        self.events.is_some()
    }

    /// Tells what has happened, if anybody listens; nothing is made for nobody.
    pub(crate) fn emit(&self, what: impl FnOnce() -> EventKind) {
        if let Some(sink) = &self.events {
            sink.emit(Event { repository: self.name.clone(), what: what() });
        }
    }

    /// Its name.
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// The blobs that can be pulled from it.
    pub fn blobs(&self) -> RepositoryBlobs {
        RepositoryBlobs::new(self.clone())
    }

    /// The manifests that can be pulled from it.
    pub fn manifests(&self) -> ManifestStore {
        ManifestStore::new(self.clone())
    }

    /// The tags in it.
    pub fn tags(&self) -> TagStore {
        TagStore::new(self.clone())
    }

    /// The manifests that are attached to others by `subject`.
    pub fn referrers(&self) -> Referrers {
        Referrers::new(self.clone())
    }

    /// The uploads to it that are in progress.
    pub fn uploads(&self) -> UploadStore {
        UploadStore::new(self.clone())
    }
}
