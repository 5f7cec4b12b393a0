//! Healing: the same bytes from memory, or from elsewhere, replace what is damaged or missing.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use sampan_driver::{BoxError, PutMode};

use super::Result;
use super::findings::{Users, canonical};
use super::problem::{Problem, ProblemKind, RepairOutcome};
use crate::layout::Entry;
use crate::oci::{Digest, LARGEST_BYTES, RepositoryName};
use crate::upload::Body;
use crate::{Registry, link};

/// A place that may have content which is damaged or missing here, such as another registry.
#[async_trait]
pub trait HealSource: fmt::Debug + Send + Sync {
    /// The name of the place, for reports.
    fn name(&self) -> String;

    /// Opens the content, which these repositories link here; `None` if the place does not have it. What comes is compared
    /// with the digest before it is used.
    ///
    /// # Errors
    ///
    /// The place cannot be asked.
    async fn open(&self, content: &HealRequest<'_>) -> Result<Option<Body>, BoxError>;
}

/// The content that a verification asks another store for.
#[derive(Clone, Copy, Debug)]
pub struct HealRequest<'a> {
    /// Its canonical digest.
    pub digest: &'a Digest,
    /// Whether it is a manifest.
    pub is_manifest: bool,
    /// The repositories that link it.
    pub repositories: &'a [RepositoryName],
}

/// Heals the content of one problem if it can.
pub(super) async fn heal(
    registry: &Registry,
    source: Option<&dyn HealSource>,
    problem: &mut Problem,
    users: &Users,
) -> Result<()> {
    if !problem.kind.is_of_content() {
        return Ok(());
    }
    let Some(digest) = canonical(problem) else { return Ok(()) };
    if let Some(bytes) = in_memory(registry, &digest) {
        put(registry, &digest, bytes).await?;
        problem.outcome = RepairOutcome::Healed("memory".to_owned());
        return Ok(());
    }
    let Some(source) = source else { return Ok(()) };
    let hash = digest.canonical_hash().unwrap_or_default();
    let repositories: Vec<RepositoryName> = users.repositories(&hash).into_iter().cloned().collect();
    let is_manifest = problem.needed_by.iter().any(|need| need.manifest == digest);
    let wanted = HealRequest { digest: &digest, is_manifest, repositories: &repositories };
    match from_source(registry, source, wanted).await {
        Ok(true) => problem.outcome = RepairOutcome::Healed(source.name()),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(%digest, %error, "{digest} cannot be healed from {}", source.name());
        }
    }
    Ok(())
}

/// Verified bytes of the content in the memory of this process.
fn in_memory(registry: &Registry, digest: &Digest) -> Option<Bytes> {
    let manifest = registry.inner.manifests.get(digest).map(|manifest| manifest.bytes);
    let bytes = manifest.or_else(|| registry.inner.small_blobs.content(digest))?;
    // The memory may be defective.
    (Digest::sha256_of(&bytes) == *digest).then_some(bytes)
}

async fn put(registry: &Registry, digest: &Digest, bytes: Bytes) -> Result<()> {
    let path = Entry::Blob(digest.clone()).path();
    registry.driver().put_content(&path, bytes, PutMode::Overwrite).await?;
    registry.inner.wrong_lengths.forget(digest);
    Ok(())
}

async fn from_source(
    registry: &Registry,
    source: &dyn HealSource,
    wanted: HealRequest<'_>,
) -> Result<bool, BoxError> {
    let Some(mut body) = source.open(&wanted).await? else { return Ok(false) };
    let digest = wanted.digest;
    // A blob goes the way of a push. A manifest could not: its references may be damaged, too.
    if let (false, Some(name)) = (wanted.is_manifest, wanted.repositories.first()) {
        registry.repository(name.clone()).uploads().put(digest, None, body).await?;
        return Ok(true);
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = body.try_next().await? {
        if (bytes.len() + chunk.len()) as u64 > LARGEST_BYTES {
            return Err("it is too long for a manifest".into());
        }
        bytes.extend_from_slice(&chunk);
    }
    let actual = Digest::sha256_of(&bytes);
    if actual != *digest {
        return Err(format!("what came hashes to {actual}").into());
    }
    put(registry, digest, bytes.into()).await?;
    Ok(true)
}

/// Writes the link that is missing or damaged, if its target is there.
pub(super) async fn write_link(registry: &Registry, problem: &mut Problem) -> Result<()> {
    if !matches!(problem.kind, ProblemKind::LinkMissing | ProblemKind::LinkDamaged { .. }) {
        return Ok(());
    }
    let Some(entry) = Entry::parse_text(&problem.path) else { return Ok(()) };
    // An alias names content that only a hash of that algorithm would find.
    let (Entry::LayerLink(_, digest) | Entry::RevisionLink(_, digest)) = &entry else { return Ok(()) };
    if !digest.is_canonical() || registry.data_size(digest).await?.is_none() {
        problem.outcome = RepairOutcome::Left("its content is not known".to_owned());
        return Ok(());
    }
    link::write(registry.driver(), &entry, digest).await?;
    problem.outcome = RepairOutcome::Linked;
    Ok(())
}
