//! `ExpectedState`: the images of the upstream and the acknowledged pushes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use axum::body::Bytes;
use rand::Rng;
use rand::rngs::StdRng;
use sampan_engine::oci::Digest;

use crate::support::Upstream;
use crate::support::image::noise;

/// The repositories of the upstream.
pub(super) const REPOSITORIES: [&str; 2] = ["a", "b"];

/// Their tags.
const TAGS: [&str; 3] = ["latest", "edge", "nightly"];

/// How long a cache may remember that something was not there.
const REMEMBERED: Duration = Duration::from_secs(61);

/// The expected state.
#[derive(Debug)]
pub(super) struct ExpectedState {
    /// Layers of the upstream's images, which clients push, too.
    pub(super) layers: Vec<Bytes>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The content of each blob.
    contents: HashMap<Digest, Bytes>,
    images: Vec<Image>,
    /// The images that a tag ever meant there, by repository and tag, and whether it exists.
    tags: BTreeMap<(&'static str, &'static str), (Vec<Digest>, bool)>,
    pushed: Vec<Pushed>,
    pushes: usize,
}

/// An image of the upstream.
#[derive(Clone, Debug)]
pub(super) struct Image {
    pub(super) repository: &'static str,
    pub(super) digest: Digest,
    pub(super) manifest: Bytes,
    pub(super) blobs: Vec<Digest>,
    /// Whether the upstream has it.
    pub(super) is_there: bool,
    /// When that changed, by the clock of what was heard from the upstream.
    changed: Duration,
}

/// An image in an ordinary repository.
#[derive(Clone, Debug)]
pub(super) struct Pushed {
    pub(super) repository: String,
    pub(super) tag: String,
    pub(super) manifest: Bytes,
    pub(super) blobs: Vec<Digest>,
}

impl ExpectedState {
    pub(super) fn new(seed: u64) -> Self {
        let sizes = [100, 3000, 70_000, 90_000, 120_000, 150_000, 200_000, 250_000];
        let layer = |(number, size): (usize, &usize)| {
            let mut content = noise(*size).to_vec();
            content[..16].copy_from_slice(&[seed.to_le_bytes(), (number as u64).to_le_bytes()].concat());
            content.into()
        };
        Self { layers: sizes.iter().enumerate().map(layer).collect(), state: Mutex::default() }
    }

    /// Points a tag of the upstream at an image of some layers.
    pub(super) fn publish(&self, upstream: &Upstream, rng: &mut StdRng, now: Duration) -> String {
        let repository = REPOSITORIES[rng.random_range(0..REPOSITORIES.len())];
        let tag = TAGS[rng.random_range(0..TAGS.len())];
        let layers: Vec<&Bytes> = self.some_layers(rng);
        let contents: Vec<&[u8]> = layers.iter().map(|layer| &layer[..]).collect();
        let image = upstream.image(repository, tag, &contents);
        let config = Bytes::from(format!(r#"{{"of":"{repository}:{tag}"}}"#));
        let mut state = self.state.lock().unwrap();
        for content in layers.into_iter().chain([&config]) {
            state.contents.insert(Digest::sha256_of(content), content.clone());
        }
        let digest = image.digest.clone();
        match state.images.iter_mut().find(|known| known.repository == repository && known.digest == digest) {
            Some(known) if known.is_there => {}
            Some(known) => (known.is_there, known.changed) = (true, now),
            None => state.images.push(Image {
                repository,
                digest: image.digest,
                manifest: image.manifest.into(),
                blobs: image.blobs,
                is_there: true,
                changed: now,
            }),
        }
        let (ever, exists) = state.tags.entry((repository, tag)).or_default();
        ever.retain(|other| *other != digest);
        ever.push(digest.clone());
        *exists = true;
        format!("{repository}:{tag} is {digest}")
    }

    /// Deletes an image and its tags at the upstream, and those of its blobs that no other image needs there.
    pub(super) fn withdraw(&self, upstream: &Upstream, rng: &mut StdRng, now: Duration) -> Option<String> {
        let mut state = self.state.lock().unwrap();
        let there: Vec<usize> =
            (0..state.images.len()).filter(|number| state.images[*number].is_there).collect();
        // Some stay, so that there is something to pull.
        if there.len() < 3 {
            return None;
        }
        let number = there[rng.random_range(0..there.len())];
        let image = &mut state.images[number];
        (image.is_there, image.changed) = (false, now);
        let image = image.clone();
        upstream.untag(image.repository, &image.digest.to_string());
        for ((repository, tag), (ever, exists)) in &mut state.tags {
            if *repository == image.repository && *exists && ever.last() == Some(&image.digest) {
                upstream.untag(repository, tag);
                *exists = false;
            }
        }
        let others =
            state.images.iter().filter(|other| other.is_there && other.repository == image.repository);
        let needed: BTreeSet<&Digest> = others.flat_map(|other| &other.blobs).collect();
        let blobs: BTreeSet<&Digest> = image.blobs.iter().collect();
        for blob in blobs.difference(&needed) {
            upstream.lose_blob(image.repository, blob);
        }
        Some(format!("{} of {} is withdrawn", image.digest, image.repository))
    }

    /// Some layers, each once.
    pub(super) fn some_layers(&self, rng: &mut StdRng) -> Vec<&Bytes> {
        let mut places: Vec<usize> =
            (0..rng.random_range(1..4)).map(|_| rng.random_range(0..self.layers.len())).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| &self.layers[place]).collect()
    }

    pub(super) fn content(&self, digest: &Digest) -> Bytes {
        self.state.lock().unwrap().contents[digest].clone()
    }

    pub(super) fn add_content(&self, content: &Bytes) -> Digest {
        let digest = Digest::sha256_of(content);
        self.state.lock().unwrap().contents.insert(digest.clone(), content.clone());
        digest
    }

    pub(super) fn some_image(&self, rng: &mut StdRng) -> Image {
        let state = self.state.lock().unwrap();
        state.images[rng.random_range(0..state.images.len())].clone()
    }

    pub(super) fn image(&self, repository: &str, digest: &Digest) -> Option<Image> {
        let state = self.state.lock().unwrap();
        let mut images = state.images.iter();
        images.find(|image| image.repository == repository && image.digest == *digest).cloned()
    }

    /// The content of the upstream.
    pub(super) fn images_there(&self) -> Vec<Image> {
        self.state.lock().unwrap().images.iter().filter(|image| image.is_there).cloned().collect()
    }

    /// Whether the upstream has the image, and has had it for as long as an answer is remembered.
    pub(super) fn is_given(&self, image: &Image, now: Duration) -> bool {
        self.image(image.repository, &image.digest)
            .is_some_and(|image| image.is_there && now.saturating_sub(image.changed) > REMEMBERED)
    }

    /// A tag that ever meant the image there.
    pub(super) fn some_tag_of(&self, image: &Image, rng: &mut StdRng) -> Option<&'static str> {
        let state = self.state.lock().unwrap();
        let tags = state.tags.iter().filter(|((repository, _), (ever, _))| {
            *repository == image.repository && ever.contains(&image.digest)
        });
        let tags: Vec<&str> = tags.map(|((_, tag), _)| *tag).collect();
        (!tags.is_empty()).then(|| tags[rng.random_range(0..tags.len())])
    }

    /// The image that a tag means there now; `None` if it is gone.
    pub(super) fn meant_by(&self, repository: &str, tag: &str) -> Option<Image> {
        let state = self.state.lock().unwrap();
        let found = state.tags.iter().find(|((of, named), _)| *of == repository && *named == tag);
        let (_, (ever, exists)) = found?;
        let digest = ever.last().filter(|_| *exists)?.clone();
        drop(state);
        self.image(repository, &digest)
    }

    pub(super) fn has_ever_meant(&self, repository: &str, tag: &str, digest: &Digest) -> bool {
        let state = self.state.lock().unwrap();
        let mut tags = state.tags.iter();
        tags.any(|((of, named), (ever, _))| *of == repository && *named == tag && ever.contains(digest))
    }

    /// The number of the next push.
    pub(super) fn next_push(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.pushes += 1;
        state.pushes
    }

    pub(super) fn acknowledge(&self, pushed: Pushed) {
        self.state.lock().unwrap().pushed.push(pushed);
    }

    pub(super) fn pushed(&self) -> Vec<Pushed> {
        self.state.lock().unwrap().pushed.clone()
    }

    /// Takes one of the pushes out, because a client deletes it.
    pub(super) fn take_pushed(&self, rng: &mut StdRng) -> Option<Pushed> {
        let mut state = self.state.lock().unwrap();
        let count = state.pushed.len();
        (count > 0).then(|| state.pushed.swap_remove(rng.random_range(0..count)))
    }
}
