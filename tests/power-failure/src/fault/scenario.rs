//! The actions of a client or the collector during a fault.

use anyhow::{Context, Result};

use super::actor::{Actor, Effect, Expected, Refused};
use crate::client::{Client, Way, blob_path, manifest_path};
use crate::content::{Blob, Library};
use crate::look::Key;

/// The store before each scenario, and the content that the scenarios add to it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) library: Library,
    pub(crate) expected: Expected,
    /// Two images that share a layer, tagged `a` and `b`, and one without a tag.
    image_a: String,
    image_b: String,
    untagged: String,
    /// A blob that nothing refers to.
    lonely: String,
    /// A new image, and a new layer of more than 1 MiB.
    new_image: String,
    new_layer: String,
    small: String,
    /// An upload under way: its path, its content, and its length in bytes.
    upload: (String, String, usize),
}

const REPOSITORY: &str = "base";
const OTHER: &str = "other/place";
const HALF: usize = 1_200_000;

fn key(repository: &str, digest: &str) -> Key {
    (repository.to_owned(), digest.to_owned())
}

impl World {
    /// Fills an empty registry.
    pub(crate) fn build(client: &Client) -> Result<Self> {
        let mut library = Library::default();
        let mut blob = |seed, len| library.add_blob(Blob { seed, len });
        let [shared, own_a, own_b, own_c] =
            [blob(1, 30_000), blob(2, 70_000), blob(3, 5_000), blob(4, 6_000)];
        let configs = [blob(5, 400), blob(6, 500), blob(7, 600), blob(8, 700)];
        let [lonely, small] = [blob(9, 9_000), blob(10, 10_000)];
        let new_layer = blob(11, 1_600_000);
        let upload = blob(12, 2_000_000);
        let image_a = library.add_image(&configs[0], &[shared.clone(), own_a.clone()]);
        let image_b = library.add_image(&configs[1], &[shared.clone(), own_b]);
        let untagged = library.add_image(&configs[2], std::slice::from_ref(&own_c));
        let new_image = library.add_image(&configs[3], &[shared.clone(), new_layer.clone()]);

        let mut expected = Expected::default();
        let mut actor = Actor { client, library: &library, expected: &mut expected };
        let told = |refused: Refused| anyhow::anyhow!("the store cannot be filled: {}", refused.0);
        actor.push(REPOSITORY, &image_a, "a").map_err(told)?;
        actor.push(REPOSITORY, &image_b, "b").map_err(told)?;
        actor.push(REPOSITORY, &untagged, &untagged).map_err(told)?;
        actor.push(OTHER, &image_b, "b").map_err(told)?;
        let bytes = library.bytes(&lonely);
        client.push_blob(REPOSITORY, &lonely, &bytes, Way::Whole)?.expect("pushing")?;
        expected.present.insert(key(REPOSITORY, &lonely));
        // A reference by digest is not a tag.
        expected.tags.remove(&key(REPOSITORY, &untagged));
        let begun = client.begin(REPOSITORY)?.expect("beginning an upload")?;
        let location = begun.location.context("an upload has no location")?;
        let bytes = library.bytes(&upload);
        client.patch(&location, 0, &bytes[..HALF])?.expect("PATCH")?;
        Ok(Self {
            library,
            expected,
            image_a,
            image_b,
            untagged,
            lonely,
            new_image,
            new_layer,
            small,
            upload: (location, upload, HALF),
        })
    }

    /// The content that must remain after a collection: everything that a tag reaches.
    pub(crate) fn without_garbage(&self, expected: &Expected) -> Expected {
        let mut kept = Expected { tags: expected.tags.clone(), ..Expected::default() };
        for ((repository, _), states) in &expected.tags {
            if let [Some(digest)] = states.iter().collect::<Vec<_>>()[..] {
                let (manifests, blobs) = self.library.closure(digest);
                kept.present.extend(manifests.iter().chain(&blobs).map(|digest| key(repository, digest)));
            }
        }
        kept
    }
}

/// The action.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    Client(fn(&World, &mut Actor<'_>) -> Result<(), Refused>),
    /// `garbage-collect --delete-untagged`, with the registry stopped.
    Collect,
}

/// Every scenario by its name.
pub(crate) const SCENARIOS: [(&str, Act); 13] = [
    ("blob-whole", Act::Client(|world, actor| blob(world, actor, Way::Whole))),
    ("blob-put", Act::Client(|world, actor| blob(world, actor, Way::Put))),
    ("blob-chunked", Act::Client(chunked)),
    ("upload-resumed", Act::Client(resumed)),
    ("upload-cancelled", Act::Client(cancelled)),
    ("mount", Act::Client(mount)),
    ("image-pushed", Act::Client(|world, actor| actor.push("new/one", &world.new_image, "new"))),
    ("image-again", Act::Client(|world, actor| actor.push(REPOSITORY, &world.image_a, "a"))),
    ("tag-moved", Act::Client(|world, actor| actor.push(REPOSITORY, &world.image_b, "a"))),
    ("tag-deleted", Act::Client(tag_deleted)),
    ("manifest-deleted", Act::Client(manifest_deleted)),
    ("blob-deleted", Act::Client(blob_deleted)),
    ("collection", Act::Collect),
];

fn blob(world: &World, actor: &mut Actor<'_>, way: Way) -> Result<(), Refused> {
    let bytes = world.library.bytes(&world.small);
    let effect = Effect::Add(key("new/two", &world.small));
    actor.step(&[effect], |client| client.push_blob("new/two", &world.small, &bytes, way)).map(drop)
}

fn chunked(world: &World, actor: &mut Actor<'_>) -> Result<(), Refused> {
    let bytes = world.library.bytes(&world.new_layer);
    let begun = actor.step(&[], |client| client.begin(REPOSITORY))?;
    let mut location = begun.location.unwrap_or_default();
    actor.chunk(&mut location, &bytes, 0..1_100_000)?;
    actor.chunk(&mut location, &bytes, 1_100_000..1_300_000)?;
    let effect = Effect::Add(key(REPOSITORY, &world.new_layer));
    let rest = &bytes[1_300_000..];
    finish(actor, effect, &location, &world.new_layer, &bytes, rest)
}

/// Ends an upload. If that fails, asks for its offset and sends the rest.
fn finish(
    actor: &mut Actor<'_>,
    effect: Effect,
    location: &str,
    digest: &str,
    bytes: &[u8],
    rest: &[u8],
) -> Result<(), Refused> {
    let mut is_first = true;
    actor
        .step(&[effect], |client| {
            if std::mem::take(&mut is_first) {
                return client.finish(location, digest, rest);
            }
            let status = client.get(location)?.expect("asking for an upload")?;
            client.finish(location, digest, bytes.get(status.offset()..).unwrap_or_default())
        })
        .map(drop)
}

fn resumed(world: &World, actor: &mut Actor<'_>) -> Result<(), Refused> {
    let (location, digest, len) = &world.upload;
    let bytes = world.library.bytes(digest);
    let effect = Effect::Add(key(REPOSITORY, digest));
    let resumed = resume(actor, location, &bytes, *len, digest, effect.clone());
    // A client that cannot continue an upload begins another.
    resumed.or_else(|_| {
        actor.step(&[effect], |client| client.push_blob(REPOSITORY, digest, &bytes, Way::Put)).map(drop)
    })
}

fn resume(
    actor: &mut Actor<'_>,
    location: &str,
    bytes: &[u8],
    len: usize,
    digest: &str,
    effect: Effect,
) -> Result<(), Refused> {
    let mut location = location.to_owned();
    actor.chunk(&mut location, bytes, len..1_500_000)?;
    finish(actor, effect, &location, digest, bytes, &bytes[1_500_000..])
}

fn cancelled(world: &World, actor: &mut Actor<'_>) -> Result<(), Refused> {
    let path = world.upload.0.split('?').next().unwrap_or_default();
    actor
        .step(&[], |client| {
            let mut answer = client.delete(path)?;
            if answer.status == 404 {
                answer.status = 204; // It was removed already.
            }
            Ok(answer)
        })
        .map(drop)
}

fn mount(world: &World, actor: &mut Actor<'_>) -> Result<(), Refused> {
    let manifest = world.library.manifest(&world.image_a);
    let layer = manifest.and_then(|manifest| manifest.blobs.last().cloned()).unwrap_or_default();
    let effect = Effect::Add(key("new/three", &layer));
    actor
        .step(&[effect], |client| {
            let mut answer = client.mount("new/three", &layer, REPOSITORY)?;
            if answer.status == 202 {
                answer.status = 404; // An upload was begun instead.
            }
            Ok(answer)
        })
        .map(drop)
}

fn tag_deleted(_world: &World, actor: &mut Actor<'_>) -> Result<(), Refused> {
    let effect = Effect::Tag(key(REPOSITORY, "b"), None);
    delete(actor, &[effect], &manifest_path(REPOSITORY, "b"))
}

fn manifest_deleted(world: &World, actor: &mut Actor<'_>) -> Result<(), Refused> {
    let effects = [Effect::Delete(key(REPOSITORY, &world.image_b)), Effect::Tag(key(REPOSITORY, "b"), None)];
    delete(actor, &effects, &manifest_path(REPOSITORY, &world.image_b))?;
    let effect = Effect::Delete(key(REPOSITORY, &world.untagged));
    delete(actor, &[effect], &manifest_path(REPOSITORY, &world.untagged))
}

fn blob_deleted(world: &World, actor: &mut Actor<'_>) -> Result<(), Refused> {
    let effect = Effect::Delete(key(REPOSITORY, &world.lonely));
    delete(actor, &[effect], &blob_path(REPOSITORY, &world.lonely))
}

/// Deletes; content that is already gone counts as success.
fn delete(actor: &mut Actor<'_>, effects: &[Effect], path: &str) -> Result<(), Refused> {
    actor
        .step(effects, |client| {
            let mut answer = client.delete(path)?;
            if answer.status == 404 {
                answer.status = 202;
            }
            Ok(answer)
        })
        .map(drop)
}
