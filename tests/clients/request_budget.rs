//! How many requests the store receives for each action of a client, counted in moto's log, which has one line a request.
//!
//! Stores charge for requests and take milliseconds for each, so their number is the cost of a push. Every flow has its own
//! registry with empty caches, which is the worst case, except for the manifest, which follows its blobs as in a push. The
//! bounds are upper ones.

use std::path::Path;
use std::time::{Duration, Instant};

use sampan_engine::oci::Digest;

use super::support::{RegistryProcess, StoreServer, Wire, registry, without_purge};

#[test]
#[ignore = "needs moto"]
fn pushes_and_pulls_take_few_requests() {
    let directory = tempfile::tempdir().unwrap();
    let store = Counted { moto: StoreServer::start("moto"), directory: directory.path() };
    let mut over = Vec::new();
    let mut check = |flow: &str, bound: usize, sent: Vec<String>| {
        println!("{flow}: {} of {bound}\n    {}", sent.len(), sent.join("\n    "));
        if sent.len() > bound {
            over.push(format!("{flow}: {} requests, of which {bound} are allowed", sent.len()));
        }
    };

    // Also shows that the count includes requests for missing objects.
    let unknown = Content::new(1);
    let sent = store.count(|registry| head(&mut registry.wire(), &unknown));
    assert_eq!(sent.len(), 1, "HEAD of an unknown blob: {sent:?}");

    for (name, size, bound) in [("1 KiB", 1 << 10, 10), ("25 MiB", 25 << 20, 17)] {
        let (content, begin) = (Content::new(size), Instant::now());
        let sent = store.count(|registry| content.push(&mut registry.wire(), &[size]));
        // The registry checks the layer link once more when publishing took longer than it may believe that there is no
        // collection.
        let last_sight = usize::from(begin.elapsed() > NOTICE && size > 1 << 20);
        check(&format!("HEAD, POST, PATCH and PUT of {name}"), bound + last_sight, sent);
    }
    let content = Content::new(25 << 20);
    check("POST and PUT of 25 MiB", 11, store.count(|registry| content.push_at_once(&mut registry.wire())));
    let content = Content::new(9 << 20);
    let chunks = [3 << 20; 3];
    check(
        "three chunks of 3 MiB",
        16,
        store.count(|registry| content.push_chunks(&mut registry.wire(), &chunks)),
    );

    // For two seconds the registry believes that there is no collection, and need not check what was pushed in them.
    let registry = store.registry();
    let (blobs, sent) = (0..20)
        .find_map(|_| {
            let ((blobs, manifest), begin) = (image(), Instant::now());
            blobs.iter().for_each(|blob| blob.push(&mut registry.wire(), &[blob.bytes.len()]));
            let sent = store.sent_by(&registry, |registry| put_manifest(&mut registry.wire(), &manifest));
            // The check may be older than the first blob.
            let is_known = begin.elapsed() < NOTICE && !sent.iter().any(|sent| sent.contains("sampan"));
            is_known.then_some((blobs, sent))
        })
        .expect("a machine that pushes three small things within two seconds");
    check("PUT of a manifest by tag", 11, sent);
    let (blobs_of_old, manifest) = image();
    blobs_of_old.iter().for_each(|blob| blob.push(&mut registry.wire(), &[blob.bytes.len()]));
    let sent = store.count(|registry| put_manifest(&mut registry.wire(), &manifest));
    check("the same by a registry that did not see its two blobs", 15, sent);
    check(
        "GET of a manifest by tag",
        4,
        store.count(|registry| get(&mut registry.wire(), "manifests/latest")),
    );
    let registry = store.registry();
    get(&mut registry.wire(), "manifests/latest");
    let sent = store.sent_by(&registry, |registry| get(&mut registry.wire(), "manifests/latest"));
    check("GET of a manifest by tag that was asked for within ten seconds", 2, sent);
    let blob = format!("blobs/{}", blobs[0].digest);
    check("GET of a blob", 2, store.count(|registry| get(&mut registry.wire(), &blob)));
    let registry = store.registry();
    (0..2).for_each(|_| get(&mut registry.wire(), &blob));
    let sent = store.sent_by(&registry, |registry| get(&mut registry.wire(), &blob));
    check("GET of a small blob that it has given twice", 1, sent);

    let registry = store.registry();
    (0..120).for_each(|number| put_index(&mut registry.wire(), &format!("catalog/of-{number}")));
    // The root, `catalog`, a listing for each repository, and the listings that were read ahead.
    let page =
        |n: usize| store.count(|registry| get_path(&mut registry.wire(), &format!("/v2/_catalog?n={n}")));
    check("a page of 100 of 121 repositories", 2 + 100 + 1 + 16, page(100));
    check("all of 121 repositories", 2 + 121, page(1000));

    assert!(over.is_empty(), "{}", over.join("\n"));
}

/// A store that logs its requests.
struct Counted<'a> {
    moto: StoreServer,
    directory: &'a Path,
}

impl Counted<'_> {
    fn registry(&self) -> RegistryProcess {
        registry(self.directory, &without_purge(&self.moto.config("budget", |_| {})))
    }

    /// The requests that a new registry sends while `flow` runs.
    fn count(&self, flow: impl FnOnce(&RegistryProcess)) -> Vec<String> {
        self.sent_by(&self.registry(), flow)
    }

    fn sent_by(&self, registry: &RegistryProcess, flow: impl FnOnce(&RegistryProcess)) -> Vec<String> {
        let before = self.requests().len();
        flow(registry);
        self.requests().split_off(before)
    }

    /// Method and key of every request so far.
    fn requests(&self) -> Vec<String> {
        let log = self.moto.output("moto");
        let request = |line: &str| {
            let (request, _) = line.split_once('"')?.1.split_once(" HTTP/1.1")?;
            // Some versions print missing objects in colour.
            let request = request
                .strip_prefix('\u{1b}')
                .and_then(|coloured| coloured.split_once('m'))
                .map_or(request, |(_, request)| request);
            Some(request.split_once('?').map_or(request, |(key, _)| key).to_owned())
        };
        log.lines().filter_map(request).collect()
    }
}

/// A blob to be pushed.
struct Content {
    bytes: Vec<u8>,
    digest: Digest,
}

impl Content {
    fn new(size: usize) -> Self {
        let mut bytes = vec![0; size];
        rand::fill(&mut bytes[..]);
        Self { digest: Digest::sha256_of(&bytes), bytes }
    }

    /// As docker does it: asks for the blob, and then sends it without its digest.
    fn push(&self, wire: &mut Wire, chunks: &[usize]) {
        head(wire, self);
        self.push_chunks(wire, chunks);
    }

    fn push_chunks(&self, wire: &mut Wire, chunks: &[usize]) {
        let mut location = wire.send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
        let mut offset = 0;
        for size in chunks {
            let sent = wire.send("PATCH", &location, &[], &self.bytes[offset..offset + size]);
            assert_eq!(sent.status, 202);
            location = sent.location();
            offset += size;
        }
        let finished = wire.send("PUT", &format!("{location}?digest={}", self.digest), &[], b"");
        assert_eq!(finished.status, 201);
    }

    /// As containerd does it: it sends the digest before the first byte.
    fn push_at_once(&self, wire: &mut Wire) {
        let location = wire.send("POST", "/v2/app/blobs/uploads/", &[], b"").location();
        let finished = wire.send("PUT", &format!("{location}?digest={}", self.digest), &[], &self.bytes);
        assert_eq!(finished.status, 201);
    }
}

/// A configuration, a layer, and a manifest of the two.
fn image() -> ([Content; 2], String) {
    let blobs = [Content::new(200), Content::new(2000)];
    let descriptor = |blob: &Content, kind: &str| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{}","size":{}}}"#,
            blob.digest,
            blob.bytes.len()
        )
    };
    let (config, layer) = (descriptor(&blobs[0], "config.v1+json"), descriptor(&blobs[1], "layer.v1.tar"));
    let manifest =
        format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layer}]}}"#);
    (blobs, manifest)
}

/// Asks for a missing blob.
fn head(wire: &mut Wire, blob: &Content) {
    assert_eq!(wire.send("HEAD", &format!("/v2/app/blobs/{}", blob.digest), &[], b"").status, 404);
}

fn put_manifest(wire: &mut Wire, manifest: &str) {
    let put =
        wire.send("PUT", "/v2/app/manifests/latest", &[("Content-Type", MANIFEST)], manifest.as_bytes());
    assert_eq!(put.status, 201, "{}", String::from_utf8_lossy(&put.body));
}

/// Makes a repository of one empty index.
fn put_index(wire: &mut Wire, repository: &str) {
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#);
    let path = format!("/v2/{repository}/manifests/latest");
    assert_eq!(wire.send("PUT", &path, &[("Content-Type", INDEX)], index.as_bytes()).status, 201);
}

fn get(wire: &mut Wire, path: &str) {
    get_path(wire, &format!("/v2/app/{path}"));
}

fn get_path(wire: &mut Wire, path: &str) {
    assert_eq!(wire.send("GET", path, &[], b"").status, 200);
}

/// How long a registry believes that there is no collection.
const NOTICE: Duration = Duration::from_secs(2);

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
