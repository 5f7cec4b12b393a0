//! `Caches`: all caches of a registry.

use std::sync::Arc;
use std::time::Duration;

use sampan_client::http_client::HttpClientError;
use sampan_engine::fill::Fills;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};
use sampan_engine::{Referrer, Repository, Stored};
use tokio::sync::watch;

use crate::error::CacheError;
use crate::mapping::{MappedName, Mapping, MappingError, RequestedName, Upstreams};
use crate::memory::{CachedList, Memory};
use crate::repository::CachedRepository;
use crate::settings::CacheSettings;
use crate::shared_work::SharedWork;
use crate::statistics::CacheStatistics;
use crate::tag_looks::TagAnswer;
use crate::upstream::Upstream;

/// The caches of a registry. Cloning is cheap; clones share all state.
#[derive(Clone, Debug)]
pub struct Caches {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) upstreams: Upstreams,
    pub(crate) mapping: Mapping,
    pub(crate) fills: Fills,
    pub(crate) memory: Memory,
    pub(crate) statistics: CacheStatistics,
    offline: watch::Sender<bool>,
    /// By stored name and digest.
    pub(crate) manifests: SharedWork<(RepositoryName, Digest), Stored>,
    /// By stored name and tag.
    pub(crate) tag_looks: SharedWork<(RepositoryName, Tag), TagAnswer>,
    pub(crate) tag_lists: SharedWork<RepositoryName, Arc<Vec<Tag>>>,
    pub(crate) referrer_lists: SharedWork<(RepositoryName, Digest), CachedList<Referrer>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("upstreams", &self.upstreams).finish_non_exhaustive()
    }
}

/// A repository that is cached: the proof that a name belongs to an upstream.
#[derive(Clone, Debug)]
pub struct CachedName {
    pub(crate) upstream: Arc<Upstream>,
    /// The name here.
    pub(crate) stored: RepositoryName,
    /// The name there.
    pub(crate) remote: RepositoryName,
    /// Whether the configuration allows to ask for it.
    pub(crate) is_allowed: bool,
}

impl CachedName {
    /// The name here.
    pub fn stored(&self) -> &RepositoryName {
        &self.stored
    }

    /// The upstream.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Fails if the configuration does not allow to ask for it.
    pub(crate) fn check_allowed(&self) -> Result<(), CacheError> {
        if self.is_allowed {
            return Ok(());
        }
        let (upstream, name) = (self.upstream.name().to_owned(), self.remote.to_string());
        Err(CacheError::NotAllowed { upstream, name })
    }
}

/// Why a name has no place: unknown registry, or too long with its prefix.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LocateError {
    /// The client means a registry that is not configured.
    #[error(transparent)]
    Mapping(#[from] MappingError),
    /// The name is no name, alone or with the prefix.
    #[error(transparent)]
    Name(#[from] sampan_engine::oci::InvalidName),
}

impl Caches {
    /// The caches of `settings`, whose transfers are in `fills`. It asks no upstream yet; it blocks to read certificates.
    ///
    /// # Errors
    ///
    /// A certificate cannot be used; with the name of the upstream.
    pub fn new(settings: CacheSettings, fills: Fills) -> Result<Self, (String, HttpClientError)> {
        let upstream = |settings: &crate::UpstreamSettings| {
            let opened = Upstream::new(settings.clone()).map(Arc::new);
            opened.map_err(|error| (settings.name.clone(), error))
        };
        let upstreams = settings.upstreams.iter().map(upstream).collect::<Result<_, _>>()?;
        let offline = watch::Sender::new(settings.offline);
        let inner = Inner {
            upstreams,
            mapping: Mapping::new(settings),
            fills,
            memory: Memory::default(),
            statistics: CacheStatistics::default(),
            offline,
            manifests: SharedWork::default(),
            tag_looks: SharedWork::default(),
            tag_lists: SharedWork::default(),
            referrer_lists: SharedWork::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The upstreams, in the order of the configuration.
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.inner.upstreams
    }

    /// Answers so far.
    pub fn statistics(&self) -> &CacheStatistics {
        &self.inner.statistics
    }

    /// The transfers.
    pub fn fills(&self) -> &Fills {
        &self.inner.fills
    }

    /// Whether no upstream is asked.
    pub fn is_offline(&self) -> bool {
        self.inner.is_offline()
    }

    /// Tells when the caches go offline or online.
    pub fn offline_changes(&self) -> watch::Receiver<bool> {
        self.inner.offline.subscribe()
    }

    /// Asks no upstream from now on, or asks them again. Running transfers continue; lists end.
    pub fn set_offline(&self, offline: bool) {
        self.inner.offline.send_replace(offline);
    }

    /// Where a request leads; `None` for an ordinary repository.
    ///
    /// # Errors
    ///
    /// The registry that the client means is not configured; the name is too long with its prefix.
    pub fn locate(&self, asked: RequestedName<'_>) -> Result<Option<CachedName>, LocateError> {
        match self.inner.mapping.place(asked)? {
            Some(place) => self.named(&place).map(Some),
            None => Ok(None),
        }
    }

    /// The upstream that alone is served under a host of this registry; `None` for other hosts.
    pub fn of_host(&self, host: &str) -> Option<&Upstream> {
        self.inner.mapping.by_host(host).map(|index| &*self.inner.upstreams[index])
    }

    /// Whether a repository of this name is out of reach: a request for it leads to the default upstream.
    pub fn hides(&self, name: &RepositoryName) -> bool {
        let asked = RequestedName { name: name.as_str(), ..RequestedName::default() };
        self.locate(asked).is_ok_and(|located| located.is_some_and(|located| located.stored != *name))
    }

    /// The upstream of a repository by its name here; `None` for an ordinary repository.
    pub fn of_stored(&self, name: &RepositoryName) -> Option<CachedName> {
        self.named(&self.inner.mapping.of_stored(name.as_str())?).ok()
    }

    pub(crate) fn named(&self, place: &MappedName) -> Result<CachedName, LocateError> {
        let (stored, remote) = place.names()?;
        let upstream = Arc::clone(&self.inner.upstreams[place.upstream]);
        Ok(CachedName { upstream, stored, remote, is_allowed: self.inner.mapping.allows(place) })
    }

    /// The cache in `repository`, which must have the name's stored name.
    pub fn repository(&self, name: CachedName, repository: Repository) -> CachedRepository {
        CachedRepository::new(self.inner.clone(), name, repository)
    }
}

impl Inner {
    pub(crate) fn is_offline(&self) -> bool {
        *self.offline.borrow()
    }

    /// Runs work of many requests, such as reading a list.
    ///
    /// # Errors
    ///
    /// The caches go offline before its end.
    pub(crate) async fn until_offline<T>(
        &self,
        work: impl Future<Output = T> + Unpin,
    ) -> Result<T, CacheError> {
        let mut offline = self.offline.subscribe();
        tokio::select! {
            biased;
            _ = offline.wait_for(|offline| *offline) => Err(CacheError::Offline),
            done = work => Ok(done),
        }
    }

    /// Whether the upstream said a short while ago that it has no such manifest.
    pub(crate) fn is_missing(
        &self,
        upstream: &Upstream,
        name: &RepositoryName,
        reference: &Reference,
    ) -> bool {
        is_recent(upstream, self.memory.missing.get(&(name.clone(), reference.clone())))
    }

    /// Whether the upstream refused the account for such a manifest a short while ago.
    pub(crate) fn is_refused(
        &self,
        upstream: &Upstream,
        name: &RepositoryName,
        reference: &Reference,
    ) -> bool {
        is_recent(upstream, self.memory.refused_at.get(&(name.clone(), reference.clone())))
    }
}

/// Whether an answer of the upstream is so recent that the upstream is not asked again.
fn is_recent(upstream: &Upstream, at: Option<Duration>) -> bool {
    let now = upstream.clock().elapsed();
    at.is_some_and(|at| now.saturating_sub(at) < upstream.settings.tags.missing)
}
