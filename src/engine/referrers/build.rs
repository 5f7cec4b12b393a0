//! Builds the index of a repository that lacks one, and answers without an index in read-only mode.

use std::collections::HashMap;
use std::sync::Arc;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use parking_lot::{Mutex, MutexGuard};
use sampan_driver::StorageDriver;

use super::candidates::{Candidate, Source, hex_after};
use super::index::Summary;
use super::known::KnownManifest;
use super::{CONCURRENT_READS, MAX_STEPS_WITHOUT_YIELD, Referrers};
use crate::layout;
use crate::oci::{Algorithm, Digest, RepositoryName};
use crate::{Error, Result};

/// The builds of this process, one per repository.
///
/// One of the waiting requests runs the build; when it is dropped, the next one continues the build.
#[derive(Debug, Default)]
pub(crate) struct Builds(Mutex<HashMap<RepositoryName, Arc<Build>>>);

/// The building request holds this lock across awaits.
type Build = tokio::sync::Mutex<Progress>;

/// The progress of a build.
#[derive(Debug)]
enum Progress {
    /// The index covers the manifests up to this one.
    UpTo(Option<Digest>),
    Complete,
}

/// How many builds are remembered; idle ones beyond this start over.
const MAX_BUILDS: usize = 64;

impl Builds {
    fn of(&self, name: &RepositoryName) -> Arc<Build> {
        let mut builds = self.lock();
        if let Some(build) = builds.get(name) {
            return build.clone();
        }
        if builds.len() >= MAX_BUILDS {
            builds.retain(|_, build| Arc::strong_count(build) > 1);
        }
        let build = Arc::new(Build::new(Progress::UpTo(None)));
        if builds.len() < MAX_BUILDS {
            builds.insert(name.clone(), build.clone());
        }
        build
    }

    fn forget(&self, name: &RepositoryName) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RepositoryName, Arc<Build>>> {
        self.0.lock()
    }
}

impl Referrers {
    /// The algorithms of the index's subjects, after building a missing index; `None` when it cannot be built.
    pub(super) async fn indexed_algorithms(&self, summary: Summary) -> Result<Option<Vec<Algorithm>>> {
        if summary.is_complete {
            return Ok(Some(summary.algorithms));
        }
        // A request for a repository that does not exist must leave nothing behind.
        if !self.has_revisions().await? {
            return Ok(Some(Vec::new()));
        }
        if self.repository.registry.limits().read_only {
            return Ok(None);
        }
        match self.build().await {
            Ok(true) => Ok(Some(self.summary().await?.algorithms)),
            Ok(false) => Ok(None),
            Err(error) => {
                let name = &self.repository.name;
                tracing::warn!(
                    repository = %name,
                    error = &error as &dyn std::error::Error,
                    "the index of referrers of {name} was not built; each listing reads the manifests of the repository"
                );
                Ok(None)
            }
        }
    }

    async fn has_revisions(&self) -> Result<bool> {
        let directory = layout::revisions(&self.repository.name, Algorithm::Sha256);
        Ok(self.driver().list(&directory, None).try_next().await?.is_some())
    }

    /// Builds the index and returns whether it exists now. If not one manifest is readable, the store itself is incomplete,
    /// such as with an unmounted disk, and the referrers are unknown.
    async fn build(&self) -> Result<bool> {
        let builds = &self.repository.registry.inner.referrer_builds;
        let build = builds.of(&self.repository.name);
        let mut progress = build.lock().await;
        let (after, mut is_readable) = match &*progress {
            Progress::UpTo(after) => (after.clone(), after.is_some()),
            Progress::Complete => return Ok(true),
        };
        let mut manifests = self.manifests(after.as_ref(), Use::Index);
        while let Some((digest, known)) = manifests.try_next().await? {
            is_readable |= known.is_some();
            if is_readable {
                *progress = Progress::UpTo(Some(digest));
            }
        }
        if is_readable {
            self.mark_complete().await?;
            *progress = Progress::Complete;
        }
        builds.forget(&self.repository.name);
        Ok(is_readable)
    }

    /// The referrers of the subject with these digests, found by reading every manifest of the repository.
    pub(super) fn scanned(&self, names: Vec<Digest>, after: Option<&Digest>) -> Source {
        let found = self.manifests(after, Use::Scan).try_filter_map(move |(digest, known)| {
            let subject = known.as_ref().and_then(KnownManifest::subject);
            let is_attached = subject.is_some_and(|subject| names.contains(subject));
            std::future::ready(Ok(is_attached.then_some(Candidate::Indexed(digest))))
        });
        found.boxed()
    }

    /// Every manifest of the repository after `after`, in the order of digests; `None` for an unreadable one.
    fn manifests(
        &self,
        after: Option<&Digest>,
        purpose: Use,
    ) -> BoxStream<'static, Result<(Digest, Option<KnownManifest>)>> {
        let Some(after) = hex_after(after) else { return stream::empty().boxed() };
        let directory = layout::revisions(&self.repository.name, Algorithm::Sha256);
        let referrers = self.clone();
        let revisions = self.driver().list(&directory, after.as_deref()).map_err(Error::from);
        let read = revisions
            .try_filter_map(|entry| {
                let digest = format!("{}:{}", Algorithm::Sha256, entry.name()).parse::<Digest>();
                std::future::ready(Ok(digest.ok()))
            })
            .map_ok(move |digest| {
                let referrers = referrers.clone();
                async move {
                    let known = referrers.known(&digest).await?;
                    let subject = known.as_ref().and_then(KnownManifest::subject);
                    if let (Use::Index, Some(subject)) = (purpose, subject) {
                        referrers.add_if_missing(subject, &digest).await?;
                    }
                    Ok((digest, known))
                }
            })
            .try_buffered(CONCURRENT_READS);
        // Most of them match no request, and a loop over cached ones would never yield.
        read.enumerate()
            .then(|(index, read)| async move {
                if index % MAX_STEPS_WITHOUT_YIELD == MAX_STEPS_WITHOUT_YIELD - 1 {
                    tokio::task::yield_now().await;
                }
                read
            })
            .boxed()
    }
}

/// Why the manifests are read.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Use {
    Index,
    Scan,
}
