//! Clients of one or two registries over one store, and the history that they record.

use std::sync::Arc;

use bytes::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use sampan_driver::StorageDriver;
use sampan_engine::Error;
use sampan_engine::oci::{Digest, Reference, Tag};
use tokio::task::JoinSet;

use super::super::client::{Client, Image, index, tag};
use super::check::check;
use super::history::{History, INDEX, MANIFESTS, Recorder, Request, RequestOutcome, TAGS, TagSet};
use crate::slow::{Chance, Slow};
use crate::{Failed, data};

/// The repository of all requests.
const REPOSITORY: &str = "image";

const CLIENTS: usize = 4;

/// The pushed manifests.
#[derive(Debug)]
pub(super) struct PushedManifests {
    manifests: [Bytes; MANIFESTS],
    digests: [Digest; MANIFESTS],
    tags: [Tag; TAGS],
}

impl PushedManifests {
    pub(super) fn new() -> Self {
        let [first, second] = [Image::new(1), Image::new(2)];
        let manifests = [first.manifest.clone(), second.manifest, index(&[&first])];
        let digests = manifests.each_ref().map(|manifest| Digest::sha256_of(manifest));
        Self { manifests, digests, tags: [tag("one"), tag("two")] }
    }

    fn find(&self, digest: &Digest) -> Option<u8> {
        self.digests.iter().position(|known| known == digest).map(|place| place as u8)
    }
}

/// Pushes the blobs of all manifests, once for all histories.
pub(super) async fn lay_out(driver: &Arc<dyn StorageDriver>) -> Result<(), Failed> {
    let client = Client::new(driver);
    for image in [Image::new(1), Image::new(2)] {
        client.put_blobs(REPOSITORY, &image).await?;
    }
    Ok(())
}

/// Removes what a history has left.
pub(super) async fn clear(driver: &Arc<dyn StorageDriver>) -> Result<(), Failed> {
    for room in ["_manifests", "_sampan"] {
        let room = format!("/docker/registry/v2/repositories/{REPOSITORY}/{room}");
        driver.delete_tree(&data::path(&room)).await?;
    }
    Ok(())
}

/// Plays one history from a seed: time stops while work is done, so that the seed reproduces the history.
///
/// Of three seeds, one has a single registry, and one has a store that fails twice.
pub(super) fn play_seeded(driver: &Arc<dyn StorageDriver>, seed: u64) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let played = runtime.block_on(async {
        let registries = if seed.is_multiple_of(3) { 1 } else { 2 };
        let chance = Chance::new(data::rng(seed ^ 0x51_0e), if seed % 3 == 2 { 2 } else { 0 });
        let slow: Vec<Arc<dyn StorageDriver>> = (0..registries)
            .map(|_| Arc::new(Slow::new(driver.clone(), chance.clone())) as Arc<dyn StorageDriver>)
            .collect();
        play(driver, &slow, seed, Some(chance)).await
    });
    played.and_then(|history| check(&history)).map_err(|failed| failed.within(format_args!("seed {seed}")))
}

/// Plays one history in real time: the seed determines the requests, and not how fast they are answered.
pub(super) async fn play_at_full_speed(
    driver: &Arc<dyn StorageDriver>,
    processes: &[Arc<dyn StorageDriver>],
    seed: u64,
) -> Result<(), Failed> {
    let played = play(driver, processes, seed, None).await;
    played.and_then(|history| check(&history)).map_err(|failed| failed.within(format_args!("seed {seed}")))
}

async fn play(
    driver: &Arc<dyn StorageDriver>,
    processes: &[Arc<dyn StorageDriver>],
    seed: u64,
    chance: Option<Arc<Chance>>,
) -> Result<History, Failed> {
    let (wares, recorder) = (Arc::new(PushedManifests::new()), Arc::new(Recorder::default()));
    let nothing_comes_late = chance.is_some();
    let mut rng = data::rng(seed);
    let first = Actor {
        number: 0,
        client: Client::new(driver),
        wares: wares.clone(),
        recorder: recorder.clone(),
        nothing_comes_late,
    };
    for _ in 0..rng.random_range(0..4) {
        let request = push(&mut rng);
        first.ask(request).await?;
    }
    let registries: Vec<Client> = processes.iter().map(Client::new).collect();
    let mut acting = JoinSet::new();
    for number in 1..=CLIENTS {
        let client = registries[number % registries.len()].clone();
        let actor =
            Actor { number, client, wares: wares.clone(), recorder: recorder.clone(), nothing_comes_late };
        let (mut rng, chance) =
            (data::rng(seed.wrapping_mul(100).wrapping_add(number as u64)), chance.clone());
        acting.spawn(async move {
            for _ in 0..5 {
                if let Some(chance) = &chance {
                    chance.pause().await;
                }
                let request = anything(&mut rng);
                actor.ask(request).await?;
            }
            Ok::<_, Failed>(())
        });
    }
    while let Some(acted) = acting.join_next().await {
        acted??;
    }
    // The final state, read by another process.
    let last = Actor {
        number: CLIENTS + 1,
        client: Client::new(driver),
        wares,
        recorder: recorder.clone(),
        nothing_comes_late,
    };
    for tag in 0..TAGS as u8 {
        last.ask(Request::ReadTag(tag)).await?;
    }
    for manifest in 0..MANIFESTS as u8 {
        last.ask(Request::Read(manifest)).await?;
    }
    last.ask(Request::List).await?;
    Ok(recorder.history())
}

fn push(rng: &mut StdRng) -> Request {
    let tag = rng.random_bool(0.8).then(|| rng.random_range(0..TAGS as u8));
    // The index less often than the images.
    let manifest = if rng.random_bool(0.2) { INDEX } else { rng.random_range(0..INDEX) };
    Request::Push { manifest, tag }
}

fn anything(rng: &mut StdRng) -> Request {
    let (tag, manifest) = (rng.random_range(0..TAGS as u8), rng.random_range(0..MANIFESTS as u8));
    match rng.random_range(0..100) {
        0..35 => push(rng),
        35..60 => Request::Delete(manifest),
        60..68 => Request::DeleteTag(tag),
        68..83 => Request::ReadTag(tag),
        83..94 => Request::Read(manifest),
        _ => Request::List,
    }
}

/// A client that makes one request after the other.
struct Actor {
    number: usize,
    client: Client,
    wares: Arc<PushedManifests>,
    recorder: Arc<Recorder>,
    nothing_comes_late: bool,
}

impl Actor {
    async fn ask(&self, request: Request) -> Result<(), Failed> {
        let call = self.recorder.call(self.number, request);
        match self.answer(request).await {
            Ok(outcome) => self.recorder.answer(call, outcome),
            // The request took effect, or not, or half. With a seed nothing happens late; in real time it may.
            Err(Error::Driver(_) | Error::Collecting(_) | Error::TagBeingRemoved(..))
                if self.nothing_comes_late =>
            {
                self.recorder.fail(call);
            }
            Err(Error::Driver(_) | Error::Collecting(_) | Error::TagBeingRemoved(..)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn answer(&self, request: Request) -> Result<RequestOutcome, Error> {
        let repository = self.client.repository(REPOSITORY);
        let (manifests, wares) = (repository.manifests(), &self.wares);
        let by_tag = |tag: u8| Reference::Tag(wares.tags[usize::from(tag)].clone());
        let by_digest = |manifest: u8| Reference::Digest(wares.digests[usize::from(manifest)].clone());
        let answer = match request {
            Request::Push { manifest, tag } => {
                let reference = tag.map_or_else(|| by_digest(manifest), by_tag);
                let bytes = &wares.manifests[usize::from(manifest)];
                self.client
                    .push_manifest(REPOSITORY, bytes, reference, &[])
                    .await
                    .map(|_| RequestOutcome::Done)
            }
            Request::DeleteTag(tag) => manifests.delete(&by_tag(tag)).await.map(|()| RequestOutcome::Done),
            Request::Delete(manifest) => {
                manifests.delete(&by_digest(manifest)).await.map(|()| RequestOutcome::Done)
            }
            Request::ReadTag(tag) => {
                manifests.get(&by_tag(tag)).await.map(|stored| self.found(&stored.digest))
            }
            Request::Read(manifest) => {
                manifests.stat(&by_digest(manifest)).await.map(|stored| self.found(&stored.digest))
            }
            Request::List => repository.tags().list(None, None).await.map(|page| self.listed(&page.items)),
        };
        match answer {
            Err(Error::ManifestUnknown(..)) => Ok(RequestOutcome::Unknown),
            Err(Error::ManifestReferencesUnknown(_)) => Ok(RequestOutcome::Incomplete),
            Err(Error::RepositoryUnknown(_)) => Ok(RequestOutcome::Listed(TagSet(0))),
            answer => answer,
        }
    }

    /// A manifest that was never pushed is number 255, which no order explains.
    fn found(&self, digest: &Digest) -> RequestOutcome {
        RequestOutcome::Found(self.wares.find(digest).unwrap_or(u8::MAX))
    }

    fn listed(&self, names: &[String]) -> RequestOutcome {
        let bit = |name: &String| self.wares.tags.iter().position(|tag| tag.as_str() == name).unwrap_or(7);
        RequestOutcome::Listed(TagSet(names.iter().fold(0, |set, name| set | 1 << bit(name))))
    }
}
