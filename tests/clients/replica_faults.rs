//! Two registries over one bucket of Ceph, with hostile clients or a faulty proxy before the store.
//!
//! Invariants, whatever the answers: a digest serves its content or nothing, acknowledged content is there, and a tag has a
//! value that some order of the requests would give it.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;

use sampan_engine::oci::{Algorithm, Digest};
use tempfile::TempDir;

use super::support::{
    Answer, Fault, FlakyProxy, RegistryProcess, Sort, StoreServer, Wire, random, registry, without_purge,
};

/// Two registries, the first behind a faulty proxy.
struct Pair {
    line: FlakyProxy,
    a: SocketAddr,
    b: SocketAddr,
    processes: [RegistryProcess; 2],
    _directory: TempDir,
    _store: StoreServer,
}

impl Pair {
    /// With `gc` in the storage section of the first registry.
    #[track_caller]
    fn start(gc: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = StoreServer::ceph();
        let line = FlakyProxy::to(store.text("regionendpoint"));
        let config = store.config(&format!("pair-{:016x}", rand::random::<u64>()), |section| {
            section["chunksize"] = (5 << 20).into();
        });
        let config = without_purge(&config);
        let behind = config.replace(store.text("regionendpoint"), &format!("http://{}", line.address));
        // Both know the grace period, which determines when they refresh leases.
        let grace = "  gc: {grace: 5s}\n  delete:";
        let a = registry(directory.path(), &behind.replace("  delete:", &format!("{gc}  delete:")));
        let b = registry(directory.path(), &config.replace("  delete:", grace));
        Self { line, a: a.address, b: b.address, processes: [a, b], _directory: directory, _store: store }
    }
}

fn send(registry: SocketAddr, method: &str, path: &str, body: &[u8]) -> Answer {
    Wire::connect(registry).send(method, path, &[("Content-Type", MANIFEST), ("Accept", MANIFEST)], body)
}

/// A digest serves its content or nothing.
#[track_caller]
fn serves_right_or_not(registry: SocketAddr, digest: &Digest, content: &[u8]) {
    let pulled = send(registry, "GET", &format!("/v2/app/blobs/{digest}"), b"");
    assert!(pulled.status == 404 || pulled.body == content, "{digest} serves something else");
}

#[track_caller]
fn push(registry: SocketAddr, content: &[u8]) -> Digest {
    let digest = Digest::sha256_of(content);
    let pushed = send(registry, "POST", &format!("/v2/app/blobs/uploads/?digest={digest}"), content);
    assert_eq!(pushed.status, 201, "{pushed:?}");
    digest
}

fn manifest(config: &Digest, size: usize, note: &str) -> Vec<u8> {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{config}","size":{size}}},"layers":[],"annotations":{{"note":"{note}"}}}}"#
    )
    .into_bytes()
}

/// The state of an upload that one registry remembers is stale once another has changed the upload.
#[test]
#[ignore = "needs ceph, as root"]
fn no_digest_serves_anything_else_when_two_replicas_write_to_one_upload() {
    let Pair { a, b, line: _line, processes: _processes, _directory, _store } = Pair::start("");
    let (good, evil) = (random(22 << 20), random(22 << 20));
    let digest = Digest::sha256_of(&good);
    let location = send(a, "POST", "/v2/app/blobs/uploads/", b"").location();
    assert_eq!(send(a, "PATCH", &location, &good[..11 << 20]).status, 202);
    let mut held = Wire::connect(b);
    held.begin("PATCH", &location, &[], 6 << 20);
    held.write(&evil[..1 << 20]);
    send(a, "PATCH", &location, &good[11 << 20..]);
    held.write(&evil[1 << 20..6 << 20]);
    held.finish("PATCH");
    let finish = format!("{location}?digest={digest}");
    send(b, "PUT", &finish, b"");
    send(b, "PATCH", &location, &evil);
    send(a, "PUT", &finish, b"");
    serves_right_or_not(a, &digest, &good);
    serves_right_or_not(b, &digest, &good);
}

#[test]
#[ignore = "needs ceph, as root"]
fn no_digest_serves_anything_else_when_two_replicas_end_one_upload() {
    let Pair { a, b, line: _line, processes: _processes, _directory, _store } = Pair::start("");
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        // A little content, which the registry writes by one request, and more than a part.
        for (size, rounds) in [(200, 15), (6 << 20, 3)] {
            for round in 0..rounds {
                let first = random(size);
                let location = send(a, "POST", "/v2/app/blobs/uploads/", b"").location();
                assert_eq!(send(a, "PATCH", &location, &first).status, 202);
                let ends = [random(40), random(40)];
                let start = Barrier::new(2);
                let finish = |registry: SocketAddr, end: &[u8]| {
                    let whole = [&first[..], end].concat();
                    let digest = Digest::of(algorithm, &whole);
                    start.wait();
                    let status = send(registry, "PUT", &format!("{location}?digest={digest}"), end).status;
                    (digest, whole, status)
                };
                let digests = thread::scope(|scope| {
                    let there = scope.spawn(|| finish(a, &ends[0]));
                    let here = finish(b, &ends[1]);
                    [here, there.join().unwrap()]
                });
                for (digest, whole, status) in digests {
                    serves_right_or_not(a, &digest, &whole);
                    if status == 201 {
                        let head = send(b, "HEAD", &format!("/v2/app/blobs/{digest}"), b"");
                        assert_eq!(head.status, 200, "round {round}: {digest} was acknowledged");
                    }
                }
            }
        }
    }
}

/// The registry does not reserve memory for a length that a client claims.
#[test]
#[ignore = "needs ceph, as root"]
fn a_claimed_length_costs_no_memory() {
    let Pair { a, processes, line: _line, b: _, _directory, _store } = Pair::start("");
    let digest = Digest::sha256_of(b"never");
    let mut wires: Vec<_> = (0..2).map(|_| Wire::connect(a)).collect();
    let block = random(1 << 20);
    for wire in &mut wires {
        let path = format!("/v2/app/blobs/uploads/?digest={digest}");
        wire.begin("POST", &path, &[], 40 << 40);
    }
    for _ in 0..300 {
        wires.iter_mut().for_each(|wire| wire.write(&block));
    }
    let peak_kib = super::big_blob::memory_kib(processes[0].process.pid(), "VmHWM:");
    assert!(peak_kib < 400 << 10, "{peak_kib} KiB for two uploads that sent 300 MiB each");
}

/// `PUT` of a tag beside `DELETE` of its previous manifest: in either order the tag has the new value.
#[test]
#[ignore = "needs ceph, as root"]
fn a_tag_that_moved_is_there_beside_the_deletion_of_what_it_said_before() {
    let Pair { a, b, line: _line, processes: _processes, _directory, _store } = Pair::start("");
    let blob = push(a, b"{}");
    for round in 0..ROUNDS {
        let old = manifest(&blob, 2, &format!("old {round}"));
        let new = manifest(&blob, 2, &format!("new {round}"));
        let (old_digest, tag) = (Digest::sha256_of(&old), format!("/v2/app/manifests/v{round}"));
        assert_eq!(send(a, "PUT", &tag, &old).status, 201);
        let start = Barrier::new(2);
        let (put, deleted) = thread::scope(|scope| {
            let put = scope.spawn(|| {
                start.wait();
                send(a, "PUT", &tag, &new)
            });
            start.wait();
            let deleted = send(b, "DELETE", &format!("/v2/app/manifests/{old_digest}"), b"");
            (put.join().unwrap(), deleted)
        });
        assert_eq!(deleted.status, 202, "{deleted:?}");
        if put.status == 201 {
            let got = send(b, "GET", &tag, b"");
            assert!(got.status == 200 && got.body == new, "round {round}: {}", got.status);
        }
    }
}

/// `PUT` of a tag beside `DELETE` of the same manifest, with a late write of the tag: a tag that the registry serves has its
/// manifest.
#[test]
#[ignore = "needs ceph, as root"]
fn a_tag_that_is_served_has_its_manifest() {
    let Pair { a, b, line, processes: _processes, _directory, _store } = Pair::start("");
    let blob = push(a, b"{}");
    for round in 0..5 {
        let content = manifest(&blob, 2, &format!("late {round}"));
        let digest = Digest::sha256_of(&content);
        let (tag, by_digest) = (format!("/v2/app/manifests/w{round}"), format!("/v2/app/manifests/{digest}"));
        assert_eq!(send(b, "PUT", &by_digest, &content).status, 201);
        line.fail_at("/current/link", Sort::Any, Fault::Held, 1);
        thread::scope(|scope| {
            let put = scope.spawn(|| send(a, "PUT", &tag, &content));
            line.wait_for_held();
            let deleted = send(b, "DELETE", &by_digest, b"");
            assert_eq!(deleted.status, 202, "{deleted:?}");
            line.release();
            put.join().unwrap();
        });
        line.heal();
        let (named, found) = (send(b, "GET", &tag, b""), send(b, "GET", &by_digest, b""));
        assert_eq!(
            named.status == 200,
            found.status == 200,
            "round {round}: {}, {}",
            named.status,
            found.status
        );
    }
}

const ROUNDS: usize = 40;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
