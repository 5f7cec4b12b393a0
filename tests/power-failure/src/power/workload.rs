//! The clients of a recording.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::disk::Position;
use super::ledger::{Event, Ledger, LedgerEntry, LostFile};
use super::maintenance::VICTIMS;
use crate::client::{Answer, Client, Way, blob_path, manifest_path};
use crate::content::Blob;

const REPOSITORIES: [&str; 4] = ["alpha/one", "alpha/two", "beta", "gamma/x/y"];
const TAGS: [&str; 4] = ["latest", "v1", "v2", "v3"];

/// How many images there are at the beginning beside maintenance.
const MAX_VICTIMS: usize = 24;

/// The registry keeps no hash of an upload below this size.
const LARGE: usize = 1 << 20;

/// The shared state of all clients.
pub(crate) struct World {
    client: Client,
    position: Position,
    clock: AtomicU64,
    shared: Mutex<Shared>,
    grace: Option<Duration>,
}

#[derive(Default)]
struct Shared {
    ledger: Ledger,
    /// Layers of several images.
    layers: Vec<String>,
    /// Images that clients may push again and delete: repository, digest.
    images: Vec<(String, String)>,
}

impl World {
    pub(crate) fn new(client: Client, position: Position, grace: Option<Duration>) -> Self {
        let shared = Mutex::default();
        Self { client, position, clock: AtomicU64::new(0), shared, grace }
    }

    pub(crate) fn into_ledger(self, is_migrated: bool) -> Ledger {
        let end = self.position.get();
        let mut ledger = self.shared.into_inner().unwrap_or_else(PoisonError::into_inner).ledger;
        ledger.is_migrated = is_migrated;
        ledger.is_collected = self.grace.is_some();
        ledger.end = end;
        ledger
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pushes the images with which a recording of maintenance begins, and of which a repair has the layers damaged.
    pub(crate) fn push_victims(&self, seed: u64) -> Result<()> {
        let mut rng = StdRng::seed_from_u64(seed);
        for number in 0..MAX_VICTIMS {
            let mut blob = || Blob { seed: rng.random(), len: rng.random_range(200..100_000) };
            let (config, layer) = (blob(), blob());
            let mut shared = self.shared();
            let library = &mut shared.ledger.library;
            let (config, layer) = (library.add_blob(config), library.add_blob(layer));
            let image = library.add_image(&config, std::slice::from_ref(&layer));
            let library = library.clone();
            shared.ledger.victims.push(LostFile { image: image.clone(), layer });
            drop(shared);
            self.client.push_image(&library, VICTIMS, &image, &format!("v{number}"))?;
        }
        Ok(())
    }

    /// The images with a layer to damage.
    pub(crate) fn victims(&self) -> Vec<LostFile> {
        self.shared().ledger.victims.clone()
    }

    /// Does something that is no request, and records it.
    pub(crate) fn note(&self, deed: LedgerEntry, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let (before, began) = (self.position.get(), self.clock.fetch_add(1, Ordering::SeqCst));
        work()?;
        let (after, ended) = (self.position.get(), self.clock.fetch_add(1, Ordering::SeqCst));
        let event = Event { before, after, began, ended, is_acknowledged: true, is_slow: false, deed };
        self.shared().ledger.events.push(event);
        Ok(())
    }

    /// Makes a request and records its result.
    fn record(
        &self,
        since: Instant,
        deed: LedgerEntry,
        request: impl FnOnce() -> Result<Answer>,
    ) -> Option<Answer> {
        let (before, began) = (self.position.get(), self.clock.fetch_add(1, Ordering::SeqCst));
        let answer = request();
        let (after, ended) = (self.position.get(), self.clock.fetch_add(1, Ordering::SeqCst));
        let is_acknowledged = answer.as_ref().is_ok_and(Answer::is_success);
        // The registry must answer every request, if not always with the desired answer.
        match &answer {
            Ok(answer) if answer.status >= 500 && answer.status != 503 => {
                eprintln!("  {deed:?}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
            }
            Err(error) => eprintln!("  {deed:?}: {error:#}"),
            Ok(_) => {}
        }
        let is_slow = self.grace.is_some_and(|grace| since.elapsed() > grace / 2);
        let event = Event { before, after, began, ended, is_acknowledged, is_slow, deed };
        self.shared().ledger.events.push(event);
        answer.ok()
    }
}

/// A client.
pub(crate) struct Worker<'a> {
    world: &'a World,
    rng: StdRng,
    uploads: Vec<Upload>,
}

/// An upload that its client has begun and left.
struct Upload {
    repository: &'static str,
    location: String,
    blob: Blob,
    digest: String,
    len: usize,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(world: &'a World, seed: u64) -> Self {
        Self { world, rng: StdRng::seed_from_u64(seed), uploads: Vec::new() }
    }

    /// Works until `deadline`.
    pub(crate) fn run(&mut self, deadline: Instant) {
        while Instant::now() < deadline {
            if self.rng.random_bool(0.2) {
                self.push_victim();
            }
            match self.rng.random_range(0..100) {
                0..45 => self.push_new_image(),
                45..53 => self.push_again(),
                53..60 => self.push_index(),
                60..67 => self.delete_tag(),
                67..73 => self.delete_manifest(),
                73..82 => self.push_lonely_blob(),
                82..91 => self.begin_upload(),
                _ => self.go_on_with_upload(),
            }
        }
    }

    fn repository(&mut self) -> &'static str {
        REPOSITORIES.choose(&mut self.rng).copied().unwrap_or(REPOSITORIES[0])
    }

    fn tag(&mut self) -> &'static str {
        TAGS.choose(&mut self.rng).copied().unwrap_or(TAGS[0])
    }

    fn blob(&mut self, len: std::ops::Range<usize>) -> String {
        let blob = Blob { seed: self.rng.random(), len: self.rng.random_range(len) };
        self.world.shared().ledger.library.add_blob(blob)
    }

    fn layer(&mut self) -> String {
        let known = self.world.shared().layers.choose(&mut self.rng).cloned();
        match known {
            Some(layer) if self.rng.random_bool(0.6) => layer,
            _ => {
                let len = if self.rng.random_bool(0.1) { LARGE..3 * LARGE } else { 200..60_000 };
                let layer = self.blob(len);
                self.world.shared().layers.push(layer.clone());
                layer
            }
        }
    }

    fn new_image(&mut self) -> String {
        let config = self.blob(300..3000);
        let layers: Vec<String> = (0..self.rng.random_range(1..4)).map(|_| self.layer()).collect();
        self.world.shared().ledger.library.add_image(&config, &layers)
    }

    fn push_new_image(&mut self) {
        let (repository, tag) = (self.repository(), self.tag());
        let image = self.new_image();
        self.world.shared().images.push((repository.to_owned(), image.clone()));
        self.push(repository, &image, Some(tag));
    }

    fn push_again(&mut self) {
        let Some((repository, image)) = self.world.shared().images.choose(&mut self.rng).cloned() else {
            return;
        };
        let tag = self.tag();
        self.push(&repository, &image, Some(tag));
    }

    fn push_index(&mut self) {
        let (repository, tag) = (self.repository(), self.tag());
        let children = [self.new_image(), self.new_image()];
        let index = self.world.shared().ledger.library.add_index(&children);
        // Beside a collector, a client would have to push them within half the grace period.
        for child in &children {
            self.push(repository, child, None);
        }
        self.push(repository, &index, Some(tag));
    }

    /// Pushes as clients do: skips what the registry has.
    fn push(&mut self, repository: &str, digest: &str, tag: Option<&str>) {
        let since = Instant::now();
        let Some(manifest) = self.world.shared().ledger.library.manifest(digest).cloned() else { return };
        for blob in &manifest.blobs {
            if self.world.client.has_blob(repository, blob).unwrap_or(false) {
                continue;
            }
            if !self.try_mount(since, repository, blob) {
                self.push_blob(since, repository, blob);
            }
        }
        let deed = LedgerEntry::AddManifest {
            repository: repository.to_owned(),
            digest: digest.to_owned(),
            tag: tag.map(ToOwned::to_owned),
        };
        let reference = tag.unwrap_or(digest);
        self.world.record(since, deed, || {
            self.world.client.put_manifest(repository, reference, &manifest.text, &manifest.media_type)
        });
    }

    /// Pushes a layer again that a repair has moved aside.
    fn push_victim(&mut self) {
        let victims = self.world.victims();
        let Some(LostFile { layer, .. }) = victims.choose(&mut self.rng) else { return };
        if !self.world.client.has_blob(VICTIMS, layer).unwrap_or(true) {
            self.push_blob(Instant::now(), VICTIMS, layer);
        }
    }

    fn try_mount(&mut self, since: Instant, repository: &str, digest: &str) -> bool {
        let from = self.repository();
        if from == repository || !self.rng.random_bool(0.3) {
            return false;
        }
        if !self.world.client.has_blob(from, digest).unwrap_or(false) {
            return false;
        }
        let deed = LedgerEntry::AddBlob { repository: repository.to_owned(), digest: digest.to_owned() };
        let mut is_mounted = false;
        self.world.record(since, deed, || {
            let mut answer = self.world.client.mount(repository, digest, from)?;
            is_mounted = answer.status == 201;
            if !is_mounted {
                answer.status = 404; // An upload was begun instead, which acknowledges no blob.
            }
            Ok(answer)
        });
        is_mounted
    }

    fn push_blob(&mut self, since: Instant, repository: &str, digest: &str) {
        let bytes = self.world.shared().ledger.library.bytes(digest);
        let way = Way::choose(Blob { seed: self.rng.random(), len: 0 });
        let deed = LedgerEntry::AddBlob { repository: repository.to_owned(), digest: digest.to_owned() };
        self.world.record(since, deed, || self.world.client.push_blob(repository, digest, &bytes, way));
    }

    fn delete_tag(&mut self) {
        let (repository, tag) = (self.repository(), self.tag());
        let deed = LedgerEntry::DeleteTag { repository: repository.to_owned(), tag: tag.to_owned() };
        let path = manifest_path(repository, tag);
        self.world.record(Instant::now(), deed, || self.world.client.delete(&path));
    }

    fn delete_manifest(&mut self) {
        let Some((repository, digest)) = self.world.shared().images.choose(&mut self.rng).cloned() else {
            return;
        };
        let path = manifest_path(&repository, &digest);
        let deed = LedgerEntry::DeleteManifest { repository, digest };
        self.world.record(Instant::now(), deed, || self.world.client.delete(&path));
    }

    /// A blob without references, so that its deletion breaks no image.
    fn push_lonely_blob(&mut self) {
        let repository = self.repository();
        let digest = self.blob(100..40_000);
        self.push_blob(Instant::now(), repository, &digest);
        if self.rng.random_bool(0.5) {
            let deed = LedgerEntry::DeleteBlob { repository: repository.to_owned(), digest: digest.clone() };
            let path = blob_path(repository, &digest);
            self.world.record(Instant::now(), deed, || self.world.client.delete(&path));
            if self.rng.random_bool(0.5) {
                self.push_blob(Instant::now(), repository, &digest);
            }
        }
    }

    fn begin_upload(&mut self) {
        if self.uploads.len() >= 5 {
            return self.go_on_with_upload();
        }
        let repository = self.repository();
        let blob = Blob { seed: self.rng.random(), len: self.rng.random_range(3 * LARGE..4 * LARGE) };
        let digest = self.world.shared().ledger.library.add_blob(blob);
        let Some(location) = self.world.client.begin(repository).ok().and_then(|answer| answer.location)
        else {
            return;
        };
        self.uploads.push(Upload { repository, location, blob, digest, len: 0 });
        let last = self.uploads.len() - 1;
        self.add_chunk(last);
    }

    fn add_chunk(&mut self, index: usize) {
        let step = self.rng.random_range(LARGE / 2..LARGE * 5 / 4);
        let upload = &mut self.uploads[index];
        let bytes = upload.blob.bytes();
        let end = (upload.len + step).min(bytes.len() - 1);
        let chunk = &bytes[upload.len..end];
        if chunk.is_empty() {
            return;
        }
        let deed = LedgerEntry::Chunk {
            repository: upload.repository.to_owned(),
            location: upload.location.clone(),
            digest: upload.digest.clone(),
            len: end,
        };
        let answer = self
            .world
            .record(Instant::now(), deed, || self.world.client.patch(&upload.location, upload.len, chunk));
        match answer.filter(Answer::is_success) {
            Some(answer) => {
                upload.len = end;
                upload.location = answer.location.unwrap_or(upload.location.clone());
            }
            None => {
                self.uploads.remove(index);
            }
        }
    }

    fn go_on_with_upload(&mut self) {
        if self.uploads.is_empty() {
            return;
        }
        let index = self.rng.random_range(0..self.uploads.len());
        let upload = &self.uploads[index];
        if upload.len < 2 * LARGE || self.rng.random_bool(0.5) {
            return self.add_chunk(index);
        }
        let upload = self.uploads.remove(index);
        let bytes = upload.blob.bytes();
        let (repository, digest) = (upload.repository.to_owned(), upload.digest.clone());
        let deed = LedgerEntry::Finish { repository: repository.clone(), location: upload.location.clone() };
        let added = LedgerEntry::AddBlob { repository, digest };
        let since = Instant::now();
        self.world.record(since, deed, || {
            // Both begin before the request; only the inner event ends with its answer.
            let answer = self.world.record(since, added, || {
                self.world.client.finish(&upload.location, &upload.digest, &bytes[upload.len..])
            });
            answer.ok_or_else(|| anyhow::anyhow!("no answer"))
        });
    }
}
