//! `Candidates`: possible referrers of a subject, from the index and the fallback tag, in the order of digests.

use std::pin::Pin;

use futures::stream::{self, BoxStream, Peekable};
use futures::{StreamExt, TryStreamExt};
use sampan_driver::StorageDriver;

use super::known::Referrer;
use super::{Referrers, ReferrersQuery, Steps};
use crate::layout;
use crate::oci::{Algorithm, Digest, Manifest, Tag};
use crate::{Error, Result};

/// A possible referrer of the subject.
#[derive(Clone, Debug)]
pub(super) enum Candidate {
    /// From the registry's index: its bytes provide the descriptor.
    Indexed(Digest),
    /// From the index under the fallback tag, which contains the descriptor.
    Tagged(Referrer),
}

impl Candidate {
    pub(super) fn digest(&self) -> &Digest {
        match self {
            Self::Indexed(digest) | Self::Tagged(Referrer { digest, .. }) => digest,
        }
    }
}

/// Candidates in the order of their digests.
pub(super) type Source = BoxStream<'static, Result<Candidate>>;

/// The candidates of several sources without duplicates. Of equal candidates, that of the first source counts.
pub(super) struct Candidates(Vec<Peekable<Source>>);

impl Candidates {
    pub(super) fn of(sources: Vec<Source>) -> Self {
        Self(sources.into_iter().map(StreamExt::peekable).collect())
    }

    /// The next `len` candidates; fewer at the end.
    pub(super) async fn next_chunk(&mut self, len: usize) -> Result<Vec<Candidate>> {
        let mut chunk = Vec::new();
        let mut steps = Steps::default();
        while chunk.len() < len {
            steps.step().await;
            let Some(next) = self.next().await? else { break };
            chunk.push(next);
        }
        Ok(chunk)
    }

    async fn next(&mut self) -> Result<Option<Candidate>> {
        let mut least: Option<Digest> = None;
        for source in &mut self.0 {
            match Pin::new(&mut *source).peek().await {
                Some(Ok(candidate)) if least.as_ref().is_none_or(|least| candidate.digest() < least) => {
                    least = Some(candidate.digest().clone());
                }
                Some(Ok(_)) | None => {}
                Some(Err(_)) => source.try_next().await.map(drop)?,
            }
        }
        let Some(least) = least else { return Ok(None) };
        let mut found = None;
        for source in &mut self.0 {
            let same = |next: &Result<Candidate>| matches!(next, Ok(next) if *next.digest() == least);
            // Advance each source, regardless of the first.
            let next = Pin::new(source).next_if(same).await;
            found = found.or(next);
        }
        found.transpose()
    }
}

impl Referrers {
    /// The entries of the index under exactly this digest of the subject.
    pub(super) fn indexed(&self, subject: &Digest, after: Option<&Digest>) -> Source {
        let directory = layout::referrers_of(&self.repository.name, subject, Algorithm::Sha256);
        let Some(after) = hex_after(after) else { return stream::empty().boxed() };
        let entries = self.driver().list(&directory, after.as_deref()).map_err(Error::from);
        entries
            .try_filter_map(|entry| async move {
                let digest = format!("{}:{}", Algorithm::Sha256, entry.name()).parse();
                Ok(digest.ok().map(Candidate::Indexed))
            })
            .boxed()
    }

    /// The entries of the index under the fallback tag (OCI distribution-spec, "Referrers Tag Schema").
    pub(super) async fn tagged(&self, subject: &Digest, query: &ReferrersQuery) -> Result<Source> {
        // The schema says "truncated to 64 characters".
        let hex = subject.hex().get(..64).unwrap_or(subject.hex());
        let Ok(tag) = format!("{}-{hex}", subject.algorithm()).parse::<Tag>() else {
            return Ok(stream::empty().boxed());
        };
        let index = match self.repository.manifests().fetch(&tag.clone().into()).await {
            Ok(stored) => Manifest::parse(&stored.bytes, None).ok(),
            Err(Error::ManifestUnknown(..)) => None,
            Err(Error::Corrupt(path, error)) => {
                let name = &self.repository.name;
                tracing::warn!(
                    repository = %name, %tag, %path, %error,
                    "tag {tag} of {name} cannot be read: it is left out of the referrers"
                );
                None
            }
            Err(error) => return Err(error),
        };
        // Serialize at once: parsed JSON of a client takes ten times the memory.
        let mut found: Vec<Referrer> = index
            .iter()
            .flat_map(|index| &index.manifests)
            .filter(|descriptor| query.after.as_ref().is_none_or(|after| descriptor.digest > *after))
            .filter(|descriptor| {
                query.artifact_type.is_none() || descriptor.artifact_type == query.artifact_type
            })
            .map(Referrer::of)
            .collect();
        found.sort_by(|a, b| a.digest.cmp(&b.digest));
        found.dedup_by(|a, b| a.digest == b.digest);
        Ok(stream::iter(found).map(|referrer| Ok(Candidate::Tagged(referrer))).boxed())
    }
}

/// The start of a listing of the canonical digests after `after`; `None` when no canonical digest can follow it.
pub(super) fn hex_after(after: Option<&Digest>) -> Option<Option<String>> {
    match after {
        None => Some(None),
        Some(after) => after.is_canonical().then(|| Some(after.hex().to_owned())),
    }
}
