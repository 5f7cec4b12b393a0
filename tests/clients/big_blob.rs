//! A blob that is larger than the memory that we would give it.

use std::fs;
use std::io::Read;
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::support::{RegistryProcess, StoreServer, filesystem_config, random, registry};

#[test]
#[ignore = "writes a GiB"]
fn gibibytes_go_in_and_out_in_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let peak_kib = there_and_back(&registry, gibibytes() << 30);
    assert!(peak_kib < 64 << 10, "the registry used {peak_kib} KiB at its peak");
}

/// Beyond 5 GiB a store copies no object in one request. Ceph keeps its objects in memory unless `CEPH_OSD_STORE=bluestore`
/// (`tests/servers/ceph.sh`); hence the test writes little unless the environment asks for a number of GiB.
#[test]
#[ignore = "needs ceph, as root"]
fn gibibytes_go_into_ceph_and_out_in_little_memory() {
    let gibibytes = gibibytes();
    let directory = tempfile::tempdir().unwrap();
    let ceph = StoreServer::ceph();
    let root = format!("big-{:016x}", rand::random::<u64>());
    let registry = registry(directory.path(), &ceph.config(&root, |_| {}));
    let begun = Instant::now();
    let peak_kib = there_and_back(&registry, gibibytes << 30);
    println!("{gibibytes} GiB in {:?}, {peak_kib} KiB of memory at the peak", begun.elapsed());
    assert!(peak_kib < 128 << 10, "the registry used {peak_kib} KiB at its peak");
}

/// One, unless the environment asks for more: `.ci/clients-extra` does, beyond what 32 bits count.
fn gibibytes() -> u64 {
    std::env::var("SAMPAN_TEST_BIG_BLOB_GIB").map_or(1, |text| text.parse().unwrap())
}

/// Pushes as docker does, without the digest at the beginning, and pulls. Returns the peak memory in KiB.
#[track_caller]
fn there_and_back(registry: &RegistryProcess, size: u64) -> u64 {
    let mut wire = registry.wire();
    let location = wire.send("POST", "/v2/big/blobs/uploads/", &[], b"").location();

    // Each block differs from all others, and none needs a random generator. A store that compresses can compress it well.
    let mut block = random(64 << 10);
    block.resize(1 << 20, 0);
    let mut sent = Sha256::new();
    wire.begin("PATCH", &location, &[], size);
    for number in 0..size / block.len() as u64 {
        block[..8].copy_from_slice(&number.to_le_bytes());
        sent.update(&block);
        wire.write(&block);
    }
    let patched = wire.finish("PATCH");
    assert_eq!((patched.status, patched.header("range")), (202, Some(format!("0-{}", size - 1).as_str())));
    let sent: String = sent.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let finished = wire.send("PUT", &format!("{location}?digest=sha256:{sent}"), &[], b"");
    assert_eq!(finished.status, 201, "{finished:?}");

    wire.begin("GET", &format!("/v2/big/blobs/sha256:{sent}"), &[], 0);
    let answer = wire.head();
    assert_eq!(answer.header("content-length"), Some(size.to_string().as_str()));
    let mut received = Sha256::new();
    let mut body = wire.body().take(size);
    loop {
        match body.read(&mut block).unwrap() {
            0 => break,
            len => received.update(&block[..len]),
        }
    }
    let received: String = received.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(received, sent);

    memory_kib(registry.process.pid(), "VmHWM:")
}

/// A figure of a process's memory in KiB. Of mapped files only private pages count.
pub(super) fn memory_kib(pid: u32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
