//! The cost of the bare work of a push on this machine: to receive, to hash, to write and to sync, in one thread, and nothing else.
//!
//! ```sh
//! cargo run --example push-limit -- DIRECTORY [ROUNDS]
//! ```
//!
//! No registry that keeps content in the page cache can push for less. Prints CPU seconds for a GiB by the scheduler's count.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for developers, whose output is its purpose"
)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;

use sha2::{Digest, Sha256};

const SIZE_BYTES: usize = 1 << 30;
const CHUNK_BYTES: usize = 256 * 1024;

/// The parts of the work, in CPU seconds.
#[derive(Default)]
struct Spent {
    receive: f64,
    hash: f64,
    write: f64,
    sync: f64,
}

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let directory = PathBuf::from(arguments.next().unwrap());
    let rounds = arguments.next().map_or(5, |rounds| rounds.to_str().unwrap().parse().unwrap());
    for _ in 0..rounds {
        let spent = push(&directory.join("push-limit"));
        let Spent { receive, hash, write, sync } = spent;
        let all = receive + hash + write + sync;
        println!(
            "{all:.3} s/GiB: receive {receive:.3}, hash {hash:.3}, write {write:.3}, sync {sync:.3}; {:.2} times the hash",
            all / hash
        );
    }
}

fn push(path: &std::path::Path) -> Spent {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sender = thread::spawn(move || {
        let mut socket = TcpStream::connect(address).unwrap();
        let mut content = vec![0; 64 << 20];
        File::open("/dev/urandom").unwrap().read_exact(&mut content).unwrap();
        (0..SIZE_BYTES / content.len()).for_each(|_| socket.write_all(&content).unwrap());
    });
    let (mut socket, _) = listener.accept().unwrap();
    let (mut file, mut hash, mut chunk) = (File::create(path).unwrap(), Sha256::new(), vec![0; CHUNK_BYTES]);
    let mut spent = Spent::default();
    for _ in 0..SIZE_BYTES / CHUNK_BYTES {
        measured(&mut spent.receive, || socket.read_exact(&mut chunk).unwrap());
        measured(&mut spent.hash, || hash.update(&chunk));
        measured(&mut spent.write, || file.write_all(&chunk).unwrap());
    }
    measured(&mut spent.sync, || file.sync_all().unwrap());
    assert_ne!(hash.finalize()[..], [0; 32]);
    sender.join().unwrap();
    fs::remove_file(path).unwrap();
    spent
}

/// Adds what this thread spends in `work`.
fn measured(spent: &mut f64, work: impl FnOnce()) {
    let before = cpu_seconds();
    work();
    *spent += cpu_seconds() - before;
}

fn cpu_seconds() -> f64 {
    let schedstat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedstat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
