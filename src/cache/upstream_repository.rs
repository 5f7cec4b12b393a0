//! `UpstreamRepository`: a repository of an upstream, read within the upstream's bounds and past the cache: for copies.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use sampan_client::{BlobInfo, ClientError, ManifestInfo, Referrer, RemoteManifest, RepositoryClient};
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};

use crate::blobs::RESUME;
use crate::caches::{CachedName, Caches, LocateError};
use crate::client::Client;
use crate::error::{CacheError, Result, Verdict};
use crate::statistics::CacheRequestKind;
use crate::ticket::Ticket;
use crate::upstream::Upstream;

/// A repository of an upstream. Its requests count as those of clients do: towards the bounds of connections, requests and
/// bandwidth, and for the metrics; while the registry is offline none is sent.
#[derive(Clone, Debug)]
pub struct UpstreamRepository {
    caches: Caches,
    name: CachedName,
    remote: RepositoryClient,
}

impl Caches {
    /// The upstream of this name in the configuration.
    pub fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams().iter().find(|upstream| upstream.name() == name)
    }

    /// The cache of a repository of an upstream, by its name there.
    ///
    /// # Errors
    ///
    /// The name is no name, alone or with the prefix. `None` if there is no such upstream.
    pub fn of_upstream(&self, upstream: &str, name: &str) -> Result<Option<CachedName>, LocateError> {
        self.inner.mapping.of_upstream(upstream, name).map(|place| self.named(&place)).transpose()
    }

    /// A repository of an upstream, past the cache.
    pub fn upstream_repository(&self, name: CachedName) -> UpstreamRepository {
        let remote = name.upstream.repository(name.remote.clone());
        UpstreamRepository { caches: self.clone(), name, remote }
    }

    /// The repositories of an upstream by their names there, without the path below which they are; `None` if it has no list.
    ///
    /// # Errors
    ///
    /// The upstream gives no answer, or may not be asked.
    pub async fn catalog_of(&self, upstream: &Upstream) -> Result<Option<Vec<String>>> {
        if self.is_offline() {
            return Err(CacheError::Offline);
        }
        let ticket = Ticket::new(Client::Background);
        let asking = upstream.ask(CacheRequestKind::List, &ticket, upstream.catalog());
        let asked = self.inner.until_offline(Box::pin(asking)).await?;
        let found = found(upstream, asked)?;
        let path = upstream.settings.path.as_ref();
        let below = |name: RepositoryName| match path {
            None => Some(name.as_str().to_owned()),
            Some(path) => name.as_str().strip_prefix(path.as_str())?.strip_prefix('/').map(str::to_owned),
        };
        Ok(found.map(|names| names.into_iter().filter_map(below).collect()))
    }
}

impl UpstreamRepository {
    /// The upstream.
    pub fn upstream(&self) -> &Upstream {
        &self.name.upstream
    }

    /// All tags, sorted; `None` if the upstream has no such repository.
    ///
    /// # Errors
    ///
    /// The upstream gives no answer, or may not be asked.
    pub async fn tags(&self) -> Result<Option<Vec<Tag>>> {
        self.ask(CacheRequestKind::List, self.remote.tags()).await
    }

    /// The digest of a manifest; `None` if it is missing. Docker Hub does not count it as a pull.
    ///
    /// # Errors
    ///
    /// As [`tags`](Self::tags).
    pub async fn manifest_info(&self, reference: &Reference) -> Result<Option<ManifestInfo>> {
        self.ask(CacheRequestKind::Manifest, self.remote.manifest_info(reference)).await
    }

    /// A manifest; `None` if it is missing.
    ///
    /// # Errors
    ///
    /// As [`tags`](Self::tags).
    pub async fn manifest(&self, reference: &Reference) -> Result<Option<RemoteManifest>> {
        self.ask(CacheRequestKind::Manifest, self.remote.manifest(reference)).await
    }

    /// The manifests that are attached to `subject`.
    ///
    /// # Errors
    ///
    /// As [`tags`](Self::tags).
    pub async fn referrers(&self, subject: &Digest) -> Result<Vec<Referrer>> {
        let found =
            self.ask(CacheRequestKind::List, async { self.remote.referrers(subject, None).await.map(Some) });
        Ok(found.await?.unwrap_or_default())
    }

    /// The length of a blob; `None` if it is missing.
    ///
    /// # Errors
    ///
    /// As [`tags`](Self::tags).
    pub async fn blob_info(&self, digest: &Digest) -> Result<Option<BlobInfo>> {
        self.ask(CacheRequestKind::Blob, self.remote.blob_info(digest)).await
    }

    /// The bytes of a blob, whose digest is not compared; `None` if it is missing. The transfer continues where the upstream
    /// breaks off.
    ///
    /// # Errors
    ///
    /// As [`tags`](Self::tags).
    pub async fn blob(
        &self,
        digest: &Digest,
    ) -> Result<Option<BoxStream<'static, Result<Bytes, ClientError>>>> {
        self.check_askable()?;
        let upstream = Arc::clone(&self.name.upstream);
        let ticket = Ticket::new(Client::Background);
        let fills = &self.caches.inner.fills;
        let place = upstream.transfer(&ticket, || fills.make_way(upstream.name())).await;
        let opened = upstream.send(CacheRequestKind::Blob, &ticket, self.remote.blob(digest, None)).await;
        let Some(stream) = found(&upstream, opened)? else { return Ok(None) };
        let stream = stream.unverified().with_retry(RESUME).into_stream();
        let bounded = stream.then(move |bytes| {
            let (upstream, _place) = (Arc::clone(&upstream), &place);
            async move {
                if let Ok(bytes) = &bytes {
                    upstream.byte_rate.take(bytes.len() as u64).await;
                }
                bytes
            }
        });
        Ok(Some(bounded.boxed()))
    }

    async fn ask<T>(
        &self,
        kind: CacheRequestKind,
        request: impl Future<Output = Result<Option<T>, ClientError>>,
    ) -> Result<Option<T>> {
        self.check_askable()?;
        let upstream = &self.name.upstream;
        let ticket = Ticket::new(Client::Background);
        let asking = upstream.ask(kind, &ticket, request);
        found(upstream, self.caches.inner.until_offline(Box::pin(asking)).await?)
    }

    fn check_askable(&self) -> Result<()> {
        self.name.check_allowed()?;
        if self.caches.is_offline() { Err(CacheError::Offline) } else { Ok(()) }
    }
}

/// An answer of an upstream; `None` if it does not have the content, or does not show it.
fn found<T>(upstream: &Upstream, asked: Result<T, Verdict>) -> Result<Option<T>> {
    match asked {
        Ok(found) => Ok(Some(found)),
        Err(Verdict::Missing(_)) => Ok(None),
        Err(verdict) => Err(verdict.into_error(upstream.name(), |_| CacheError::Stopped)),
    }
}
