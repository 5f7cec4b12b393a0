//! `CachedRepository`: a repository whose content comes from an upstream, as far as the store lacks it.

use std::sync::Arc;

use sampan_client::RepositoryClient;
use sampan_engine::oci::Reference;
use sampan_engine::{Repository, Stored, StoredInfo};

use crate::caches::{CachedName, Inner};
use crate::client::Client;
use crate::error::{CacheError, Result};

/// Where an answer came from, and whether the upstream was asked (RFC 9211).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Served {
    /// From the store; no upstream was asked.
    Hit,
    /// From the store; the upstream confirmed it.
    Confirmed,
    /// From the upstream.
    Fetched,
    /// From the store, since the upstream gives no newer answer.
    Stale,
}

impl Served {
    /// The value of `Cache-Status`.
    pub fn as_header(self) -> &'static str {
        match self {
            Self::Hit => "sampan; hit",
            Self::Confirmed => "sampan; fwd=stale; fwd-status=200; detail=unchanged",
            Self::Fetched => "sampan; fwd=uri-miss",
            Self::Stale => "sampan; hit; detail=stale",
        }
    }
}

/// A repository that is cached.
#[derive(Clone, Debug)]
pub struct CachedRepository {
    pub(crate) inner: Arc<Inner>,
    pub(crate) name: CachedName,
    /// With the events of the request.
    pub(crate) repository: Repository,
    pub(crate) remote: RepositoryClient,
    /// The party that asks.
    pub(crate) client: Client,
}

impl CachedRepository {
    pub(crate) fn new(inner: Arc<Inner>, name: CachedName, repository: Repository) -> Self {
        let remote = name.upstream.repository(name.remote.clone());
        Self { inner, name, repository, remote, client: Client::Background }
    }

    /// The same for this client, in whose turn the upstream is asked.
    #[must_use]
    pub fn asked_by(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// The upstream's name.
    pub fn upstream_name(&self) -> &str {
        self.name.upstream.name()
    }

    /// The manifest of a tag or digest.
    ///
    /// # Errors
    ///
    /// It is unknown, the upstream gives no answer, or the store fails.
    pub async fn manifest(&self, reference: &Reference) -> Result<(Stored, Served)> {
        let answer = match reference {
            Reference::Digest(digest) => self.manifest_by_digest(digest).await,
            Reference::Tag(tag) => self.manifest_by_tag(tag).await,
        };
        if let Ok((stored, how)) = &answer {
            self.repository.note_used(&stored.digest);
            self.inner.statistics.manifests.note(*how, stored.bytes.len() as u64);
        }
        answer
    }

    /// The same without the bytes, and for a tag without fetching them.
    ///
    /// # Errors
    ///
    /// As [`manifest`](Self::manifest).
    pub async fn manifest_info(&self, reference: &Reference) -> Result<(StoredInfo, Served)> {
        let answer = match reference {
            Reference::Digest(digest) => self.info_by_digest(digest).await,
            Reference::Tag(tag) => self.info_by_tag(tag).await,
        };
        if let Ok((info, how)) = &answer {
            self.repository.note_used(&info.digest);
            self.inner.statistics.manifests.note(*how, 0);
        }
        answer
    }

    /// Notes that the store itself serves a blob.
    pub fn note_redirected(&self) -> Served {
        self.inner.statistics.blobs.note(Served::Hit, 0);
        Served::Hit
    }

    /// Fails if the upstream may not be asked for this repository.
    pub(crate) fn check_askable(&self) -> Result<()> {
        self.name.check_allowed()?;
        if self.inner.is_offline() { Err(CacheError::Offline) } else { Ok(()) }
    }
}
