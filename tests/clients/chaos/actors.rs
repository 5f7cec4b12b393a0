//! The actors: some push, move and delete tags, some pull, and one uses skopeo.

use std::time::Instant;

use rand::Rng;
use rand::rngs::StdRng;
use sampan_engine::oci::{Digest, media_type};
use serde_json::{Value, json};

use super::client::{Client, Result};
use super::world::{Key, World, blobs, count};
use crate::clients::support::{oci_layout, tool};
use crate::support::image::descriptor;

const REPOSITORIES: [&str; 3] = ["alpha", "beta/gamma", "delta"];

/// Few, so that most are repeats, and garbage now and then.
const LAYERS: usize = 24;

/// Pushes images to tags of its own, and deletes some.
pub(super) fn push_and_delete(world: &World, number: u64, mut rng: StdRng) {
    let Some(mut client) = world.client() else { return };
    loop {
        let repository = REPOSITORIES[rng.random_range(0..REPOSITORIES.len())];
        let key = (repository.to_owned(), format!("p{number}-{}", rng.random_range(0..3)));
        let done = match rng.random_bool(0.15) {
            true => delete(world, &mut client, &key),
            false => push(world, &mut client, &key, &mut rng),
        };
        if done.is_err() {
            count(&world.counts.interrupted);
        }
        if world.is_closed() {
            return;
        }
        if done.is_err() {
            match world.client() {
                Some(new) => client = new,
                None => return,
            }
        }
    }
}

fn push(world: &World, client: &mut Client, key: &Key, rng: &mut StdRng) -> Result<()> {
    let (repository, tag) = key;
    let config = format!("{{\"author\":\"{}\"}}", rng.random_range(0..40)).into_bytes();
    let layers: Vec<Vec<u8>> =
        (0..rng.random_range(1..5)).map(|_| layer(world, rng.random_range(0..LAYERS))).collect();
    let parts: Vec<Value> =
        layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer)).collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config), "layers": parts,
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = Digest::sha256_of(&manifest);
    loop {
        let begun = Instant::now();
        for blob in layers.iter().chain([&config]) {
            let path = format!("/v2/{repository}/blobs/{}", Digest::sha256_of(blob));
            if client.head(&path)? == 200 {
                count(&world.counts.blobs_known);
                continue;
            }
            count(&world.counts.blobs_sent);
            let from = rng.random_bool(0.4).then(|| REPOSITORIES[rng.random_range(0..REPOSITORIES.len())]);
            match client.upload(repository, blob, from)? {
                201 => {}
                503 => return Ok(()),
                // The store has lost the upload, or the upload ended in a request whose answer was lost.
                404 | 409 | 500 if world.place.is_stormy() => {
                    count(&world.counts.interrupted);
                    return Ok(());
                }
                status => {
                    world.fail(format!("an upload to {repository} was answered {status}"));
                    return Ok(());
                }
            }
        }
        world.learn(key, |known| known.perhaps.push(digest.clone()));
        let answer = client.send("PUT", &format!("/v2/{repository}/manifests/{tag}"), &manifest)?;
        match answer.status {
            201 => {
                world.learn(key, |known| {
                    known.current = Some(digest);
                    known.perhaps.clear();
                    known.perhaps_gone = false;
                });
                count(&world.counts.pushes);
                return Ok(());
            }
            // The lease lasted for half the grace period.
            400 | 404 if begun.elapsed() > world.place.grace() / 2 => count(&world.counts.too_slow),
            503 => return Ok(()),
            500 if world.place.is_stormy() => return Ok(()),
            status => {
                let (body, after) = (String::from_utf8_lossy(&answer.body), begun.elapsed());
                world.fail(format!(
                    "{after:?} into its push, {repository}:{tag} was refused: {status} {body}"
                ));
                return Ok(());
            }
        }
    }
}

fn delete(world: &World, client: &mut Client, key: &Key) -> Result<()> {
    let (repository, tag) = key;
    if world.known(key).current.is_none() {
        return Ok(());
    }
    world.learn(key, |known| known.perhaps_gone = true);
    let answer = client.send("DELETE", &format!("/v2/{repository}/manifests/{tag}"), b"")?;
    match answer.status {
        // A deletion whose answer was lost has removed it already.
        202 | 404 => {
            world.learn(key, |known| (known.current, known.perhaps) = (None, Vec::new()));
            count(&world.counts.deletions);
        }
        500.. if world.place.is_stormy() => count(&world.counts.interrupted),
        status => world.fail(format!("the deletion of {repository}:{tag} was answered {status}")),
    }
    Ok(())
}

fn layer(world: &World, number: usize) -> Vec<u8> {
    let line = format!("layer {number}\n").into_bytes();
    let lines = match number + 1 == LAYERS {
        true => world.place.largest_layer() / line.len(),
        false => 200 + 100 * number,
    };
    line.repeat(lines)
}

/// Pulls tagged images.
pub(super) fn pull(world: &World, _: u64, mut rng: StdRng) {
    let Some(mut client) = world.client() else { return };
    while !world.is_closed() {
        let tags: Vec<Key> = world.tags.lock().unwrap().keys().cloned().collect();
        if tags.is_empty() {
            std::thread::yield_now();
            continue;
        }
        let key = &tags[rng.random_range(0..tags.len())];
        if pull_one(world, &mut client, key).is_err() {
            count(&world.counts.interrupted);
            match world.client() {
                Some(new) => client = new,
                None => return,
            }
        }
    }
}

fn pull_one(world: &World, client: &mut Client, key: &Key) -> Result<()> {
    let (repository, tag) = key;
    let (before, begun) = (world.known(key), Instant::now());
    if before.current.is_none() || before.perhaps_gone {
        return Ok(());
    }
    let answer = client.get(&format!("/v2/{repository}/manifests/{tag}"))?;
    let after = world.known(key);
    let may_be_gone = after.perhaps_gone || after.current.is_none();
    let digest = Digest::sha256_of(&answer.body);
    match answer.status {
        500.. if world.place.is_stormy() => {
            count(&world.counts.interrupted);
            return Ok(());
        }
        // Perhaps a client deleted the tag and pushed it again meanwhile.
        404 if may_be_gone || after.current != before.current => return Ok(()),
        200 if before.allows(&digest) || after.allows(&digest) => {}
        // The tag has moved in between, perhaps more than once.
        200 if after.current != before.current => return Ok(()),
        status => {
            world.fail(format!(
                "{repository}:{tag} was answered {status} {digest}, known are {before:?} {after:?}"
            ));
            return Ok(());
        }
    }
    for blob in blobs(&answer.body) {
        let answer = client.get(&format!("/v2/{repository}/blobs/{blob}"))?;
        if answer.status == 200 && Digest::sha256_of(&answer.body) == blob {
            continue;
        }
        if answer.status >= 500 && world.place.is_stormy() {
            count(&world.counts.interrupted);
            return Ok(());
        }
        let now = world.known(key);
        let is_tagged = now.current.as_ref() == Some(&digest) && !now.perhaps_gone;
        // The grace period of an untagged image began when its tag moved.
        if is_tagged || (begun.elapsed() < world.place.grace() && now.current.is_some() && !now.perhaps_gone)
        {
            world.fail(format!(
                "{:?} into the pull of {repository}:{tag} ({digest}), {blob} was answered {}; now {now:?}",
                begun.elapsed(),
                answer.status
            ));
        } else {
            count(&world.counts.too_slow);
        }
        return Ok(());
    }
    count(&world.counts.pulls);
    Ok(())
}

/// Pushes with skopeo, and pulls again.
pub(super) fn skopeo(world: &World, number: u64, mut rng: StdRng) {
    let directory = world.directory.join("skopeo");
    std::fs::create_dir(&directory).unwrap();
    let layout = oci_layout(&directory, "i0", 3);
    (1..3).for_each(|image| drop(oci_layout(&directory, &format!("i{image}"), 3)));
    while !world.is_closed() {
        let Some(address) = world.address(&mut rng) else { continue };
        let key = ("tools/skopeo".to_owned(), format!("s{number}-{}", rng.random_range(0..2)));
        let remote = format!("docker://{address}/{}:{}", key.0, key.1);
        let image = rng.random_range(0..3);
        let local = format!("oci:{}:i{image}", layout.display());
        let digest = digest_of(&local);
        let begun = Instant::now();
        world.learn(&key, |known| known.perhaps.push(digest.clone()));
        let lives = || world.lives(address);
        if let Err(words) = copy(&local, &remote) {
            if lives() && begun.elapsed() < world.place.grace() / 2 && !world.place.is_stormy() {
                world.fail(format!("skopeo cannot push: {words}"));
            }
            count(&world.counts.interrupted);
            continue;
        }
        world.learn(&key, |known| (known.current, known.perhaps) = (Some(digest), Vec::new()));
        let copied = directory.join("copied");
        let _ = std::fs::remove_dir_all(&copied);
        match copy(&remote, &format!("dir:{}", copied.display())) {
            Ok(()) => count(&world.counts.by_skopeo),
            Err(words) if lives() && !world.place.is_stormy() => {
                world.fail(format!("skopeo cannot pull: {words}"));
            }
            Err(_) => count(&world.counts.interrupted),
        }
    }
}

fn copy(from: &str, to: &str) -> std::result::Result<(), String> {
    let flags =
        ["copy", "--quiet", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let output = tool("skopeo").args(flags).args([from, to]).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn digest_of(local: &str) -> Digest {
    let output = tool("skopeo").args(["inspect", "--raw", local]).output().unwrap();
    Digest::sha256_of(&output.stdout)
}
