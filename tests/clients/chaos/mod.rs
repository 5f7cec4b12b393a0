//! Chaos: a registry that collects without pause, with a grace period of seconds, while clients push, move and delete tags and
//! pull, and while the test kills the registry again and again. One test uses a directory. One uses two replicas over a bucket
//! of Ceph: clients alternate between them, and the test kills one of the two. One uses three replicas, which the test kills or
//! stops for seconds; a proxy between each of them and the bucket cuts, refuses, delays or carries out without an answer two of
//! a hundred requests.
//!
//! ```sh
//! SAMPAN_CHAOS_SECS=600 SAMPAN_CHAOS_SEED=1 cargo test --test it -- --ignored --nocapture chaos
//! ```
//!
//! Invariants: acknowledged content is there; every pull of a tagged image gets all of it; if the registry confirmed a blob to
//! a client less than half the grace period ago, it accepts the client's manifest; and at the end, one more collection leaves
//! exactly what the tags reach.
//! The other collectors honour the lock of a killed one for two minutes. To collect more often than that, the test backdates
//! the lock after most kills, as if the minutes had passed.

#![allow(clippy::print_stdout, reason = "ten minutes are long, and what happened is half of the result")]

mod actors;
mod backends;
mod client;
mod world;

use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::backends::{Bucket, StoreBackend};
use self::world::World;
use crate::clients::support::RegistryProcess;

#[test]
#[ignore = "needs skopeo and umoci"]
fn nothing_acknowledged_is_lost_while_garbage_is_collected_and_the_registry_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    chaos(World::new(directory.path(), StoreBackend::Directory(directory.path().join("data")), 1), 40);
}

#[test]
#[ignore = "needs ceph, skopeo and umoci, as root"]
fn nothing_acknowledged_is_lost_in_a_bucket_while_two_replicas_collect_and_are_killed() {
    let directory = tempfile::tempdir().unwrap();
    chaos(World::new(directory.path(), StoreBackend::Bucket(Bucket::on_ceph()), 2), 30);
}

#[test]
#[ignore = "needs ceph, skopeo and umoci, as root"]
fn nothing_acknowledged_is_lost_by_three_replicas_whose_lines_to_the_bucket_are_bad() {
    let directory = tempfile::tempdir().unwrap();
    let bucket = Bucket::on_ceph_in_a_storm(3, seed(), 20);
    chaos(World::new(directory.path(), StoreBackend::Bucket(bucket), 3), 40);
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The same value for a whole test run.
fn seed() -> u64 {
    static SEED: LazyLock<u64> = LazyLock::new(|| number("SAMPAN_CHAOS_SEED", rand::random()));
    *SEED
}

fn chaos(world: World, usual_seconds: u64) {
    let seconds = number("SAMPAN_CHAOS_SECS", usual_seconds);
    let seed = seed();
    println!("chaos for {seconds} s; SAMPAN_CHAOS_SEED={seed}");
    let world = Arc::new(world);
    let mut servers: Vec<RegistryProcess> =
        (0..world.replicas()).map(|replica| world.start(replica)).collect();

    let mut people = Vec::new();
    let mut send = |number: u64, person: fn(&World, u64, StdRng)| {
        let (world, rng) = (world.clone(), StdRng::seed_from_u64(seed.wrapping_add(number)));
        people.push(thread::spawn(move || person(&world, number, rng)));
    };
    (0..4).for_each(|number| send(number, actors::push_and_delete));
    (10..13).for_each(|number| send(number, actors::pull));
    send(20, actors::skopeo);

    let mut rng = StdRng::seed_from_u64(seed.wrapping_add(100));
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end && !world.has_failed() {
        let pause = Duration::from_millis(rng.random_range(3_000..15_000));
        thread::sleep(pause.min(end.saturating_duration_since(Instant::now())));
        let replica = rng.random_range(0..servers.len());
        if world.place.is_stormy() && rng.random_bool(0.6) {
            world.freeze(&servers[replica], Duration::from_millis(rng.random_range(500..8_000)));
            continue;
        }
        world.kill(replica, &mut servers[replica], rng.random_bool(0.8));
        servers[replica] = world.start(replica);
    }
    world.place.calm();
    if !world.has_collected() || (world.place.is_stormy() && !world.has_killed()) {
        // A lock that was kept blocks every collection of so short a run, even the lock of a process killed long before. So the
        // test ends all processes and their locks, and waits for the next collection.
        for (replica, server) in servers.iter_mut().enumerate() {
            world.kill(replica, server, false);
        }
        world.forget_all_runs();
        for (replica, server) in servers.iter_mut().enumerate() {
            *server = world.start(replica);
        }
        world.wait_for_a_collection(&servers);
    }
    world.close();
    // The panic message of a person says more than its end.
    let fates: Vec<_> = people.into_iter().map(thread::JoinHandle::join).collect();
    assert!(fates.iter().all(Result::is_ok), "an actor panicked");
    let live = world.pull_all_tags();
    for server in &mut servers {
        server.process.terminate();
        world.note(server);
    }
    world.forget_all_runs();
    world.converge(&live);
    world.judge(seconds);
}
