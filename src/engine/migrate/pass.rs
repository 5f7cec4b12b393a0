//! `pass`: one pass over both stores, which copies what the target lacks.

use std::sync::Arc;

use futures::{TryStreamExt, stream};
use sampan_driver::DriverPath;

use super::copier::Copier;
use super::digest_set::DigestSet;
use super::merged::Merged;
use super::report::{Pass, Unseen};
use super::repositories::Repositories;
use super::{CONCURRENCY, Migration, PassKind, Result, needed, others, repository};
use crate::layout::{self, Entry};
use crate::oci::Digest;

/// How many repositories are copied at a time.
const REPOSITORIES_AT_ONCE: usize = 4;

/// Copies what the target lacks: repositories, then data that no repository links, then the rest.
pub(crate) async fn pass(migration: &Migration) -> Result<Pass> {
    let Migration { options, manner, .. } = migration;
    let copier = Arc::new(Copier::new(migration));
    copy_repositories(migration, &copier).await?;
    if matches!(manner, PassKind::Restore { .. }) {
        return Ok(copier.finish());
    }
    if options.selection.is_everything() {
        match manner.copies_all() {
            true => copy_data(migration, &copier).await?,
            false => needed::copy_data(migration, &copier, lacking(migration, &copier).await?).await?,
        }
    }
    others::copy_all(&copier, &options.selection).await?;
    Ok(copier.finish())
}

async fn copy_repositories(migration: &Migration, copier: &Arc<Copier>) -> Result<()> {
    let Migration { source, target, options, manner, .. } = migration;
    let mut repositories = Repositories::new(source, target, options.selection.clone());
    if matches!(manner, PassKind::Restore { .. }) {
        repositories = repositories.of_snapshot();
    }
    let found = stream::try_unfold(repositories, |mut repositories| {
        let copier = copier.clone();
        async move {
            let next = repositories.next().await?;
            let (foreign, unseen) = repositories.take_findings();
            note(&copier, foreign, unseen);
            Ok(next.map(|next| (next, repositories)))
        }
    });
    let copies = found.map_ok(|found| repository::copy(copier.clone(), found));
    let mut copies = Box::pin(copies.try_buffer_unordered(REPOSITORIES_AT_ONCE));
    while copies.try_next().await?.is_some() {}
    Ok(())
}

fn note(copier: &Copier, foreign: Vec<DriverPath>, unseen: Vec<Unseen>) {
    if foreign.is_empty() && unseen.is_empty() {
        return;
    }
    copier.find(|pass| {
        foreign.into_iter().for_each(|path| pass.foreign.push(path));
        unseen.into_iter().for_each(|place| pass.unseen.push(place));
    });
}

/// Copies all data that the target lacks or has with another length.
async fn copy_data(migration: &Migration, copier: &Arc<Copier>) -> Result<()> {
    let Migration { source, target, .. } = migration;
    let merged = Merged::new(source, target, &layout::blobs_root());
    let lacking = stream::try_unfold(merged, |mut merged| {
        let copier = copier.clone();
        async move { Ok(next_lacking(&mut merged, &copier).await?.map(|digest| (digest, merged))) }
    });
    let copies = lacking.map_ok(|digest: Digest| {
        let copier = copier.clone();
        async move { copier.ensure_data(&digest).await.map(drop) }
    });
    let mut copies = Box::pin(copies.try_buffer_unordered(CONCURRENCY));
    while copies.try_next().await?.is_some() {}
    Ok(())
}

/// All data that the target lacks or has with another length.
async fn lacking(migration: &Migration, copier: &Copier) -> Result<DigestSet> {
    let mut merged = Merged::new(&migration.source, &migration.target, &layout::blobs_root());
    let mut lacking = DigestSet::default();
    while let Some(digest) = next_lacking(&mut merged, copier).await? {
        lacking.insert(&digest);
    }
    Ok(lacking)
}

async fn next_lacking(merged: &mut Merged, copier: &Copier) -> Result<Option<Digest>> {
    loop {
        let next = merged.next().await?;
        note(copier, Vec::new(), merged.take_unseen());
        let Some(pair) = next else { return Ok(None) };
        let data = match Entry::parse(&pair.path) {
            Some(Entry::Blob(digest)) if digest.is_canonical() => Some(digest),
            _ => None,
        };
        match data {
            Some(digest) if pair.differs() => return Ok(Some(digest)),
            Some(_) => {}
            None if pair.source.is_some() && !layout::is_temporary(&pair.path) => {
                note(copier, vec![pair.path], Vec::new());
            }
            None => {}
        }
    }
}
