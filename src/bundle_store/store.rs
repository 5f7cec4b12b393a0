//! `BundleStore`: open bundles as one store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use futures::future::{BoxFuture, FutureExt, Shared, TryFutureExt};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, OptionsBuilder};
use sampan_bundle::{Reader, Verification, group_parts, verify};
use sampan_driver::{DriverPath, Operation, may_block};
use sampan_engine::layout;
use sampan_engine::oci::{Digest, RepositoryName};
use tokio::task::JoinError;

use crate::checks::{Checks, Unreadable};
use crate::contents::{ContentIndex, Contents};
use crate::driver::{error, unreadable};
use crate::manifests::{ByBytes, Manifests};
use crate::repository::Repository;
use crate::threads::Threads;
use crate::{Error, Result};

/// One or several bundles as a read-only store. Cloning is cheap; clones share all state.
#[derive(Clone)]
pub struct BundleStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) contents: Arc<Contents>,
    /// In the order of their prefixes.
    pub(crate) repositories: Vec<Repository>,
    pub(crate) checks: Arc<Checks>,
    pub(crate) threads: Arc<Threads>,
    /// The time of the newest file.
    pub(crate) modified: SystemTime,
    /// By the index of the repository.
    manifests: Cache<usize, Arc<Manifests>, ByBytes>,
    /// The reads under way, each of which fills the cache, by the index of the repository.
    reads: Mutex<HashMap<usize, ManifestsRead>>,
    /// Manifests and blobs by their canonical digest, where the plan has another one; as many as there are of these.
    canonical: Mutex<HashMap<Digest, ContentIndex>>,
    /// The canonical digests of blobs that the plan names by another algorithm, once their links were read.
    aliases: Mutex<HashMap<ContentIndex, Digest>>,
}

/// A read of the manifests of one repository. All requests for them wait for one read, which ends even if they are gone.
type ManifestsRead = Shared<BoxFuture<'static, Result<Result<Arc<Manifests>, Unreadable>, Arc<JoinError>>>>;

/// The most that is kept of what manifests say, in bytes.
const MAX_MANIFESTS_BYTES: u64 = 64 << 20;

impl BundleStore {
    /// Opens the bundles in these files; the parts of a bundle may be named by the bundle, or by their own names.
    ///
    /// It reads the heads of the bundles and nothing else.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, a head is damaged, a part is missing, or a bundle presumes content that no other one carries.
    pub async fn open(files: &[PathBuf]) -> Result<Self> {
        let mut readers = Vec::new();
        for parts in group_parts(files) {
            let failed = |source| Error::Bundle { path: parts[0].clone(), source };
            readers.push(Reader::open(&parts).await.map_err(failed)?);
        }
        tokio::task::spawn_blocking(|| Self::of(readers)).await?
    }

    fn of(readers: Vec<Reader>) -> Result<Self> {
        let contents = Contents::of(readers);
        for (bundle, plan) in contents.plans().enumerate() {
            let presumed = plan.presumed.iter().map(|presumed| &presumed.digest);
            let missing: Vec<Digest> =
                presumed.filter(|digest| contents.find(digest).is_none()).cloned().collect();
            if !missing.is_empty() {
                return Err(Error::PresumedMissing { path: contents.path(bundle).to_owned(), missing });
            }
        }
        let paths = contents.bundles().flat_map(|(_, files)| files.paths());
        let times = paths.filter_map(|path| std::fs::metadata(path).ok()?.modified().ok());
        let modified = times.max().unwrap_or(SystemTime::UNIX_EPOCH);
        // One shard, so that the manifests of one repository may take all of the room.
        #[expect(clippy::expect_used, reason = "both capacities are given")]
        let options = OptionsBuilder::new()
            .estimated_items_capacity(1024)
            .weight_capacity(MAX_MANIFESTS_BYTES)
            .shards(1)
            .build()
            .expect("invariant: the options are complete");
        Ok(Self {
            inner: Arc::new(Inner {
                repositories: Repository::all(&contents),
                contents: Arc::new(contents),
                checks: Arc::default(),
                threads: Arc::default(),
                modified,
                manifests: Cache::with_options(
                    options,
                    ByBytes,
                    DefaultHashBuilder::default(),
                    Default::default(),
                ),
                reads: Mutex::default(),
                canonical: Mutex::default(),
                aliases: Mutex::default(),
            }),
        })
    }

    /// Hashes all content, on as many threads as there are processors.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or a bundle is damaged: the first fault, after all of them were logged.
    pub async fn verify(&self) -> Result<()> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.verify_all()).await??;
        self.inner.checks.all_verified();
        Ok(())
    }

    fn verify_all(&self) -> Result<()> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut first = None;
        for (reader, files) in self.inner.contents.bundles() {
            let failed = |source| Error::Bundle { path: files.path().to_owned(), source };
            let verified = verify(files, reader.bundle(), threads, &|_| {}).map_err(failed)?;
            let Verification { faults, further_faults, .. } = verified;
            faults.iter().for_each(|fault| tracing::error!("{fault}"));
            if further_faults > 0 {
                tracing::error!("{} has {further_faults} further faults", files.path().display());
            }
            first = first.or(faults.into_iter().next().map(|fault| failed(fault.into())));
        }
        first.map_or(Ok(()), Err)
    }

    /// The repositories that are not whole here: the last bundle that names one says so.
    pub fn incomplete_repositories(&self) -> BTreeSet<RepositoryName> {
        let planned = self.inner.contents.plans().flat_map(|plan| &plan.repositories);
        let complete: BTreeMap<_, _> = planned.map(|it| (&it.name, it.complete)).collect();
        complete.into_iter().filter(|(_, complete)| !complete).map(|(name, _)| name.clone()).collect()
    }

    /// The number of bundles.
    pub fn bundle_count(&self) -> usize {
        self.inner.contents.bundles().len()
    }

    /// The number of repositories.
    pub fn repository_count(&self) -> usize {
        self.inner.repositories.len()
    }
}

impl Inner {
    /// The index of a repository.
    pub(crate) fn find(&self, name: &RepositoryName) -> Option<usize> {
        let prefix = layout::prefix_in_repository(name);
        self.repositories.binary_search_by(|repository| repository.prefix.as_str().cmp(&prefix)).ok()
    }

    /// The references of the manifests of a repository, from memory or else read from the bundles.
    pub(crate) async fn manifests(
        self: &Arc<Self>,
        repository: usize,
        operation: Operation,
        path: &DriverPath,
    ) -> sampan_driver::Result<Arc<Manifests>> {
        if let Some(manifests) = self.manifests.get(&repository) {
            return Ok(manifests);
        }
        let read = match may_block() {
            true => self.read_manifests(repository),
            false => {
                let read = self.begin_reading(repository, operation, path).await?.await;
                read.map_err(|failed| error(operation, path).with_source(failed))?
            }
        };
        read.map_err(|failed| unreadable(operation, path, failed))
    }

    /// The read under way, or a new one.
    async fn begin_reading(
        self: &Arc<Self>,
        repository: usize,
        operation: Operation,
        path: &DriverPath,
    ) -> sampan_driver::Result<ManifestsRead> {
        if let Some(read) = self.reads.lock().get(&repository) {
            return Ok(read.clone());
        }
        let permit = self.threads.permit(operation, path).await?;
        let begin = || {
            let inner = self.clone();
            permit.start(move || inner.read_manifests(repository)).map_err(Arc::new).boxed().shared()
        };
        Ok(self.reads.lock().entry(repository).or_insert_with(begin).clone())
    }

    /// Reads the manifests of a repository unless another thread just has. Blocks.
    fn read_manifests(&self, repository: usize) -> Result<Arc<Manifests>, Unreadable> {
        let read = match self.manifests.get(&repository) {
            Some(manifests) => Ok(manifests),
            None => {
                let read = Manifests::read(&self.repositories[repository], &self.contents, &self.checks);
                read.map(|read| self.keep(repository, Arc::new(read)))
            }
        };
        self.reads.lock().remove(&repository);
        read
    }

    fn keep(&self, repository: usize, manifests: Arc<Manifests>) -> Arc<Manifests> {
        let named = manifests.canonical.iter();
        let named = named.map(|(digest, index)| (digest.clone(), manifests.list[*index].place));
        self.canonical.lock().extend(named);
        self.manifests.insert(repository, manifests.clone());
        manifests
    }

    /// The canonical digest of a blob that the plan names by another algorithm, if its link was read before.
    pub(crate) fn alias_of(&self, place: ContentIndex) -> Option<Digest> {
        self.aliases.lock().get(&place).cloned()
    }

    /// Keeps the canonical digest of a blob, by which its data is found from now on.
    pub(crate) fn keep_alias(&self, place: ContentIndex, digest: Digest) -> Digest {
        self.canonical.lock().insert(digest.clone(), place);
        self.aliases.lock().insert(place, digest.clone());
        digest
    }

    /// The canonical digests of those blobs that plans name by another algorithm. Blocks, since each is hashed once. One that cannot
    /// be read is logged, and left out.
    pub(crate) fn layer_names(&self, layers: &[ContentIndex]) -> BTreeMap<ContentIndex, Digest> {
        let unnamed = layers.iter().filter(|place| !self.contents.digest(**place).is_canonical());
        let named = unnamed.filter_map(|place| {
            let known = self.alias_of(*place).map(Ok);
            let hashed = known.unwrap_or_else(|| self.checks.name_now(&self.contents, *place));
            match hashed {
                Ok(digest) => Some((*place, self.keep_alias(*place, digest))),
                Err(error) => {
                    tracing::error!(%error, "{} cannot be listed", self.contents.digest(*place));
                    None
                }
            }
        });
        named.collect()
    }

    /// The content with this digest. A second name of a manifest is known once the manifest was read, and that of a blob once its
    /// link was.
    pub(crate) fn data(&self, digest: &Digest) -> Option<ContentIndex> {
        self.contents.find(digest).or_else(|| self.named(digest))
    }

    /// The content with this canonical digest that the plan names by another algorithm, if that is known.
    pub(crate) fn named(&self, digest: &Digest) -> Option<ContentIndex> {
        self.canonical.lock().get(digest).copied()
    }
}

impl std::fmt::Debug for BundleStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let paths = self.inner.contents.bundles().map(|(_, files)| files.path());
        f.debug_list().entries(paths).finish()
    }
}
