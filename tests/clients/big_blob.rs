//! A blob that is larger than any memory we would use for it.

use std::fs;
use std::io::Read;

use sha2::{Digest, Sha256};

use super::support::{filesystem_config, registry};

const SIZE: u64 = 5 << 30;

#[test]
#[ignore = "writes 5 GiB"]
fn five_gibibytes_go_in_and_out_in_little_memory() {
    let directory = tempfile::tempdir().unwrap();
    let registry = registry(directory.path(), &filesystem_config(&directory.path().join("data")));
    let mut wire = registry.wire();
    let location = wire.send("POST", "/v2/big/blobs/uploads/", &[], b"").location();

    // Each block differs from all others, and none needs a random generator.
    let mut block: Vec<u8> = (0..1 << 20).map(|_| rand::random()).collect();
    let mut sent = Sha256::new();
    wire.begin("PATCH", &location, &[], SIZE);
    for number in 0..SIZE / block.len() as u64 {
        block[..8].copy_from_slice(&number.to_le_bytes());
        sent.update(&block);
        wire.write(&block);
    }
    let patched = wire.finish("PATCH");
    assert_eq!((patched.status, patched.header("range")), (202, Some(format!("0-{}", SIZE - 1).as_str())));
    let sent: String = sent.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let finished = wire.send("PUT", &format!("{location}?digest=sha256:{sent}"), &[], b"");
    assert_eq!(finished.status, 201, "{finished:?}");

    wire.begin("GET", &format!("/v2/big/blobs/sha256:{sent}"), &[], 0);
    let answer = wire.head();
    assert_eq!(answer.header("content-length"), Some(SIZE.to_string().as_str()));
    let mut received = Sha256::new();
    let mut body = wire.body().take(SIZE);
    loop {
        match body.read(&mut block).unwrap() {
            0 => break,
            len => received.update(&block[..len]),
        }
    }
    let received: String = received.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(received, sent);

    let peak_kib = memory_kib(registry.process.pid(), "VmHWM:");
    assert!(peak_kib < 64 << 10, "the registry used {peak_kib} KiB at its peak");
}

/// A figure of a process's memory in KiB. Of mapped files only what is private counts against us.
fn memory_kib(pid: u32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
