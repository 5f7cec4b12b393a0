//! `Client`: pushes, pulls, tags and deletes, and knows its leases.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sampan_driver::ByteRange;
use sampan_engine::oci::{Digest, Reference};
use sampan_engine::{Error, MountOutcome, PutManifest, Registry, Repository, StartUpload};
use tokio::time::{Instant, sleep};

use super::Scenario;
use super::cache::CACHE;
use super::check::{Deleted, Touch, Touched};
use super::faults::Faults;
use super::model_content::{ModelContent, REPOSITORIES, TAGS};
use super::world::World;
use crate::Failed;
use crate::gc::seed::{name, tag};

/// Why a client stops before it has finished.
enum Trouble {
    /// The registry broke a lease.
    Broken(Failed),
    /// The store failed, and the registry reported it to the client.
    Store(Error),
}

impl Trouble {
    fn broken(what: impl std::fmt::Display) -> Self {
        Self::Broken(Failed::new(what))
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Driver(_) => Self::Store(error),
            error => Self::Broken(error.into()),
        }
    }
}

impl From<Failed> for Trouble {
    fn from(failed: Failed) -> Self {
        Self::Broken(failed)
    }
}

pub(super) struct Client {
    pub(super) registry: Registry,
    pub(super) wares: Arc<ModelContent>,
    pub(super) deleted: Deleted,
    pub(super) touched: Touched,
    pub(super) world: Arc<World>,
    pub(super) scenario: Scenario,
    pub(super) rng: StdRng,
}

impl Client {
    pub(super) async fn work(mut self) -> Result<(), Failed> {
        for _ in 0..5 {
            match self.do_something().await {
                // The client gives up without an answer.
                Err(Trouble::Store(_)) if self.scenario.faults.any() => {}
                Err(Trouble::Store(error)) => return Err(error.into()),
                Err(Trouble::Broken(failed)) => return Err(failed),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn do_something(&mut self) -> Result<(), Trouble> {
        {
            let pause = if self.rng.random_bool(0.3) { 1.2 } else { 0.1 };
            let grace = self.scenario.grace();
            sleep(grace.mul_f32(self.rng.random_range(0.0..pause))).await;
            let repository = REPOSITORIES[self.rng.random_range(0..2)];
            let number = self.rng.random_range(0..self.wares.images.len());
            // Deletions are more frequent where they matter.
            let deletes = self.scenario.faults == Faults::AtDeletions && self.rng.random_bool(0.4);
            match if deletes { 9 } else { self.rng.random_range(0..10) } {
                0..5 => {
                    let reference = self.reference(number);
                    self.push(repository, number, reference).await?;
                }
                5 => self.push_index(repository).await?,
                6..8 => self.pull(repository).await?,
                8 => {
                    let tag = tag(TAGS[self.rng.random_range(0..2)]);
                    self.delete(repository, tag.into()).await?;
                }
                // Never a child of the index: its deletion would break the index.
                _ => {
                    let digest = self.wares.images[[1, 3][self.rng.random_range(0..2)]].digest();
                    self.deleted.add(&name(repository), &digest);
                    self.world.give_up(&name(repository), &digest);
                    self.delete(repository, digest.into()).await?;
                }
            }
        }
        Ok(())
    }

    fn reference(&mut self, number: usize) -> Reference {
        match self.rng.random_bool(0.6) {
            true => tag(TAGS[self.rng.random_range(0..2)]).into(),
            false => self.wares.images[number].digest().into(),
        }
    }

    /// Pushes an image: asks for every blob, mounts or uploads the missing ones, and then puts the manifest. Returns whether
    /// the registry accepted it.
    async fn push(&mut self, repository: &str, number: usize, reference: Reference) -> Result<bool, Trouble> {
        let (wares, ware) = (self.wares.clone(), self.wares.images[number].clone());
        let began = Instant::now();
        let mut blobs = ware.blobs.clone();
        blobs.shuffle(&mut self.rng);
        for blob in blobs {
            if !self.push_blob(repository, &wares.blobs[blob]).await? {
                return Ok(false);
            }
            if self.rng.random_bool(0.3) {
                sleep(Duration::from_millis(self.rng.random_range(0..800))).await;
            }
        }
        if self.rng.random_bool(0.3) {
            let grace = self.scenario.grace();
            sleep(grace.mul_f32(self.rng.random_range(0.0..0.3))).await;
        }
        self.put(repository, &ware.bytes, reference, began).await
    }

    /// Whether the blob is there now, as the registry answers.
    async fn push_blob(&mut self, repository: &str, content: &Bytes) -> Result<bool, Trouble> {
        let (here, digest) = (self.repository(repository), Digest::sha256_of(content));
        if self.rng.random_bool(0.8) {
            match here.blobs().stat_and_lease(&digest).await {
                Ok(_) => return Ok(true),
                Err(Error::BlobUnknown(..)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.rng.random_bool(0.4) {
            let from = name(REPOSITORIES[self.rng.random_range(0..2)]);
            let from = match self.scenario.evicts && self.rng.random_bool(0.5) {
                true => name(CACHE),
                false => from,
            };
            let from = self.rng.random_bool(0.7).then_some(&from);
            if let MountOutcome::Mounted(_) = here.blobs().mount(&digest, from).await? {
                return Ok(true);
            }
        }
        let body = || futures::stream::iter([Ok(content.clone())]).boxed();
        let uploaded = if self.rng.random_bool(0.5) {
            here.uploads().put(&digest, None, body()).await
        } else {
            let id = here.uploads().start(StartUpload::default()).await?.id;
            here.uploads().finish(&id, None, body(), &digest).await
        };
        match uploaded {
            Ok(_) => Ok(true),
            Err(Error::Collecting(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts a manifest all of whose references have leases since `began`. Returns whether the registry accepted it.
    async fn put(
        &mut self,
        repository: &str,
        bytes: &Bytes,
        reference: Reference,
        began: Instant,
    ) -> Result<bool, Trouble> {
        let digest = Digest::sha256_of(bytes);
        let place = reference.clone();
        let touches = match &reference {
            Reference::Tag(_) => vec![place.clone(), digest.clone().into()],
            Reference::Digest(_) => Vec::new(),
        };
        let touches: Vec<Touch> =
            touches.iter().map(|one| self.touched.begin(&name(repository), one)).collect();
        let put = PutManifest {
            bytes: bytes.clone(),
            media_type: None,
            reference,
            tags: Vec::new(),
            left_out: Vec::new(),
        };
        let manifests = self.repository(repository).manifests();
        let asked = Instant::now();
        match manifests.put(put).await {
            Ok(_) => {}
            Err(Error::Collecting(_) | Error::TagBeingRemoved(..)) => return Ok(false),
            Err(error @ Error::Driver(_)) => return Err(error.into()),
            Err(Error::ManifestReferencesUnknown(_))
                if !self.scenario.configured || began.elapsed() > self.scenario.grace() / 2 =>
            {
                return Ok(false);
            }
            Err(error) => {
                return Err(Trouble::broken(format_args!(
                    "everything was promised {:?} ago, but the manifest is refused: {error}",
                    asked - began
                )));
            }
        }
        self.world.acknowledge(&name(repository), &Digest::sha256_of(bytes));
        let (subject, artifact) = (self.wares.images[0].digest(), self.wares.images[3].digest());
        if digest == artifact && !self.deleted.has(&name(repository), &artifact) {
            self.world.acknowledge_attached(&name(repository), &subject, &artifact);
        }
        self.find_tag(repository, &place, &digest, &touches).await?;
        // Acknowledged content is there, unless a client deletes it.
        if self.rng.random_bool(0.5) {
            let grace = self.scenario.grace();
            sleep(grace.mul_f32(self.rng.random_range(0.0..0.4))).await;
        }
        self.find_tag(repository, &place, &digest, &touches).await?;
        let acknowledged = manifests.get(&digest.clone().into()).await;
        if let Err(error @ Error::Driver(_)) = acknowledged {
            return Err(error.into());
        }
        if acknowledged.is_err() && !self.deleted.has(&name(repository), &digest) {
            return Err(Trouble::broken(format_args!(
                "the manifest {digest} of {repository} was acknowledged and is gone"
            )));
        }
        Ok(true)
    }

    /// Checks that a tag is where it was put, if no other change overlapped any of `touches`.
    async fn find_tag(
        &self,
        repository: &str,
        reference: &Reference,
        digest: &Digest,
        touches: &[Touch],
    ) -> Result<(), Trouble> {
        let found = match self.repository(repository).manifests().get(reference).await {
            Ok(stored) => Some(stored.digest),
            Err(Error::ManifestUnknown(..)) => None,
            Err(error) => return Err(error.into()),
        };
        let is_met = touches.is_empty() || !touches.iter().all(Touch::is_the_last);
        if found.as_ref() == Some(digest) || is_met {
            return Ok(());
        }
        Err(Trouble::broken(format_args!(
            "{repository}:{reference} was set to {digest} and is at {found:?} now, though no client did anything to it"
        )))
    }

    async fn push_index(&mut self, repository: &str) -> Result<(), Trouble> {
        let wares = self.wares.clone();
        let began = Instant::now();
        for number in [0, 2] {
            let digest = wares.images[number].digest();
            match self.repository(repository).manifests().stat(&digest.clone().into()).await {
                Ok(_) => {}
                // A child that could not be pushed breaks no lease.
                Err(Error::ManifestUnknown(..)) => {
                    if !self.push(repository, number, digest.into()).await? {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        if self.rng.random_bool(0.3) {
            let grace = self.scenario.grace();
            sleep(grace.mul_f32(self.rng.random_range(0.0..0.3))).await;
        }
        // Nor does one that took too long.
        for number in [0, 2] {
            let digest = wares.images[number].digest();
            if self.repository(repository).manifests().stat(&digest.into()).await.is_err()
                && began.elapsed() > self.scenario.grace() / 2
            {
                return Ok(());
            }
        }
        let reference = tag(TAGS[self.rng.random_range(0..2)]).into();
        self.put(repository, &wares.index, reference, began).await?;
        Ok(())
    }

    /// Pulls the target of a tag, slowly.
    async fn pull(&mut self, repository: &str) -> Result<(), Trouble> {
        let here = self.repository(repository);
        let reference = tag(TAGS[self.rng.random_range(0..2)]).into();
        let stored = match here.manifests().get(&reference).await {
            Ok(stored) => stored,
            Err(Error::ManifestUnknown(..)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let Some(ware) = self.wares.images.iter().find(|ware| ware.bytes == stored.bytes).cloned() else {
            return Ok(());
        };
        for blob in ware.blobs {
            let grace = self.scenario.grace();
            sleep(grace.mul_f32(self.rng.random_range(0.0..0.1))).await;
            let digest = Digest::sha256_of(&self.wares.blobs[blob]);
            let read = here.blobs().read(&digest, ByteRange::ALL).await;
            if let Err(error @ Error::Driver(_)) = read {
                return Err(error.into());
            }
            let excused = !self.scenario.configured || self.deleted.has(here.name(), &stored.digest);
            if let (Err(error), false) = (&read, excused) {
                return Err(Trouble::broken(format_args!(
                    "a pull of {} failed half-way: {error}",
                    stored.digest
                )));
            }
        }
        Ok(())
    }

    async fn delete(&self, repository: &str, reference: Reference) -> Result<(), Trouble> {
        let touch = self.touched.begin(&name(repository), &reference);
        match self.repository(repository).manifests().delete(&reference).await {
            Ok(()) | Err(Error::ManifestUnknown(..)) => Ok(()),
            Err(error) => {
                touch.never_ends();
                Err(error.into())
            }
        }
    }

    fn repository(&self, repository: &str) -> Repository {
        self.registry.repository(name(repository))
    }
}
