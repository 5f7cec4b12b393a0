//! Listing: pages of referrers, in the order of their digests.

use futures::future::try_join;
use futures::{StreamExt, TryStreamExt, stream};

use super::candidates::{Candidate, Candidates};
use super::known::Referrer;
use super::{CONCURRENT_READS, Referrers, Steps};
use crate::oci::{Algorithm, Digest};
use crate::{Error, Result};

/// Selects referrers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReferrersQuery {
    /// Only referrers after this digest.
    pub after: Option<Digest>,
    /// Only referrers of this artifact type.
    pub artifact_type: Option<String>,
    /// At most this many referrers.
    pub limit: usize,
    /// At most this many bytes of descriptors as a JSON list, but at least one descriptor, so that pages always advance.
    pub max_bytes: usize,
}

impl Default for ReferrersQuery {
    /// Selects all referrers.
    fn default() -> Self {
        Self { after: None, artifact_type: None, limit: usize::MAX, max_bytes: usize::MAX }
    }
}

/// A page of referrers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ReferrersPage {
    /// The referrers in the order of their digests.
    pub descriptors: Vec<Referrer>,
    /// Whether further referrers follow.
    pub has_more: bool,
}

/// The most candidates that are checked before the listing decides whether the page needs more.
const CHUNK: usize = 1000;

impl Referrers {
    /// Lists the manifests attached to `subject`, which need not exist, in the order of their digests.
    ///
    /// The list has the manifests whose `subject` it is, and those in the index under the fallback tag (OCI
    /// distribution-spec, "Referrers Tag Schema"), as far as the repository has them.
    ///
    /// # Errors
    ///
    /// Any error of the store. An unreadable manifest is omitted and logged.
    #[tracing::instrument(
        level = "trace",
        target = "sampan::traces",
        name = "engine.referrers.list",
        skip_all
    )]
    pub async fn list(&self, subject: &Digest, query: &ReferrersQuery) -> Result<ReferrersPage> {
        let mut page = ReferrersPage::default();
        if query.limit == 0 {
            return Ok(page);
        }
        let (summary, tagged) = try_join(self.summary(), self.tagged(subject, query)).await?;
        let algorithms = self.indexed_algorithms(summary).await?;
        let names = self.names_of(subject, algorithms.as_deref().unwrap_or(&Algorithm::ALL)).await?;
        let after = query.after.as_ref();
        let mut sources = match algorithms {
            Some(_) => names.iter().map(|name| self.indexed(name, after)).collect(),
            None => vec![self.scanned(names.clone(), after)],
        };
        sources.push(tagged);
        for name in names.iter().filter(|name| *name != subject) {
            sources.push(self.tagged(name, query).await?);
        }

        let mut candidates = Candidates::of(sources);
        let mut chunk_len = query.limit.saturating_add(CONCURRENT_READS).min(CHUNK);
        let (mut bytes, mut steps) = (0, Steps::default());
        loop {
            let mut chunk = candidates.next_chunk(chunk_len).await?;
            if chunk.is_empty() {
                return Ok(page);
            }
            chunk.retain(|candidate| self.may_be_wanted(candidate, query));
            let linked =
                self.linked(chunk.iter().map(|candidate| candidate.digest().clone()).collect()).await?;
            chunk.retain(|candidate| linked.contains(candidate.digest()));
            let mut described = stream::iter(chunk)
                .map(|candidate| self.describe(candidate, &names))
                .buffered(CONCURRENT_READS);
            while let Some(referrer) = described.try_next().await? {
                steps.step().await;
                let wanted = |referrer: &Referrer| {
                    query.artifact_type.as_deref().is_none_or(|wanted| referrer.has_type(wanted))
                };
                let Some(referrer) = referrer.filter(wanted) else { continue };
                let with_comma = referrer.json().len() + 1;
                let is_full = page.descriptors.len() == query.limit
                    || (!page.descriptors.is_empty() && with_comma > query.max_bytes.saturating_sub(bytes));
                if is_full {
                    page.has_more = true;
                    return Ok(page);
                }
                bytes = bytes.saturating_add(with_comma);
                page.descriptors.push(referrer);
            }
            // Few candidates matched, so check more at a time.
            chunk_len = chunk_len.saturating_mul(4).min(CHUNK);
        }
    }

    /// Whether a candidate may match the query, as far as that is known without the store.
    fn may_be_wanted(&self, candidate: &Candidate, query: &ReferrersQuery) -> bool {
        match (candidate, &query.artifact_type) {
            (Candidate::Indexed(digest), Some(wanted)) => {
                self.remembered(digest).is_none_or(|known| known.has_type(wanted))
            }
            _ => true,
        }
    }

    /// The descriptor of a candidate; `None` when it is unreadable, or attached to another subject.
    async fn describe(&self, candidate: Candidate, names: &[Digest]) -> Result<Option<Referrer>> {
        match candidate {
            Candidate::Tagged(referrer) => Ok(Some(referrer)),
            Candidate::Indexed(digest) => {
                let known = self.known(&digest).await?;
                let attached =
                    known.filter(|known| known.subject().is_some_and(|subject| names.contains(subject)));
                Ok(attached.map(|known| known.into_referrer(digest)))
            }
        }
    }

    /// The digests by which manifests may name `subject`: its own, and those of `algorithms` under which the repository has
    /// it.
    async fn names_of(&self, subject: &Digest, algorithms: &[Algorithm]) -> Result<Vec<Digest>> {
        let mut names = vec![subject.clone()];
        let others = Algorithm::ALL.into_iter().filter(|other| {
            let is_canonical = *other == Algorithm::Sha256;
            *other != subject.algorithm() && (is_canonical || algorithms.contains(other))
        });
        let others: Vec<Algorithm> = others.collect();
        if others.is_empty() {
            return Ok(names);
        }
        let bytes = match self.repository.manifests().fetch(&subject.clone().into()).await {
            Ok(stored) => stored.bytes,
            Err(Error::ManifestUnknown(..) | Error::Corrupt(..)) => return Ok(names),
            Err(error) => return Err(error),
        };
        for algorithm in others {
            let name = Digest::of(algorithm, &bytes);
            if self.is_linked(&name).await? {
                names.push(name);
            }
        }
        Ok(names)
    }
}
