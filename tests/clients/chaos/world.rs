//! `World`: the shared state of all actors, and the invariants of the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use sampan_engine::layout::Entry;
use sampan_engine::oci::Digest;
use serde_json::Value;

use super::backends::StoreBackend;
use super::client::Client;
use crate::clients::support::{RegistryProcess, registry};

/// How long a collection may take to begin, find garbage and end, beside all those clients.
const COLLECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// A tag by its repository and name.
pub(super) type Key = (String, String);

/// The target of a tag, as far as its only pusher knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The last acknowledged target.
    pub(super) current: Option<Digest>,
    /// Targets that were sent since and not acknowledged.
    pub(super) perhaps: Vec<Digest>,
    /// Whether its deletion was sent.
    pub(super) perhaps_gone: bool,
}

impl Known {
    pub(super) fn allows(&self, digest: &Digest) -> bool {
        self.current.as_ref() == Some(digest) || self.perhaps.contains(digest)
    }
}

/// Counters of events.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) pushes: AtomicU64,
    pub(super) blobs_known: AtomicU64,
    pub(super) blobs_sent: AtomicU64,
    pub(super) deletions: AtomicU64,
    pub(super) pulls: AtomicU64,
    pub(super) interrupted: AtomicU64,
    /// Pushes and pulls that took longer than the lease or the grace period.
    pub(super) too_slow: AtomicU64,
    pub(super) by_skopeo: AtomicU64,
    pub(super) kills: AtomicU64,
    pub(super) freezes: AtomicU64,
    collections: AtomicU64,
    collected: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(super) struct World {
    pub(super) directory: PathBuf,
    pub(super) place: StoreBackend,
    /// The address of each replica, while it lives.
    addresses: RwLock<Vec<Option<SocketAddr>>>,
    pub(super) tags: Mutex<BTreeMap<Key, Known>>,
    pub(super) counts: Counts,
    failures: Mutex<Vec<String>>,
    closed: AtomicBool,
}

impl World {
    pub(super) fn new(directory: &Path, place: StoreBackend, replicas: usize) -> Self {
        Self {
            directory: directory.to_owned(),
            place,
            addresses: RwLock::new(vec![None; replicas]),
            tags: Mutex::default(),
            counts: Counts::default(),
            failures: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn replicas(&self) -> usize {
        self.addresses.read().unwrap().len()
    }

    /// Starts a replica of the registry.
    pub(super) fn start(&self, replica: usize) -> RegistryProcess {
        let gc = format!(
            "gc: {{enabled: true, interval: 0s, grace: {}s, untagged: true}}\nstorage:",
            self.place.grace().as_secs()
        );
        let server = registry(&self.directory, &self.place.config_of(replica).replacen("storage:", &gc, 1));
        self.addresses.write().unwrap()[replica] = Some(server.address);
        server
    }

    /// Kills a replica. With `forget`, expires its collection as well.
    pub(super) fn kill(&self, replica: usize, server: &mut RegistryProcess, forget: bool) {
        // Recorded before the kill: failures from now on count as interruptions.
        self.addresses.write().unwrap()[replica] = None;
        server.process.kill();
        count(&self.counts.kills);
        self.note(server);
        if forget {
            self.forget_runs(server);
        }
    }

    /// Expires every collection, as if time had passed: no process is left that could continue one.
    pub(super) fn forget_all_runs(&self) {
        for file in self.place.files() {
            let entry = file.parse().ok().and_then(|path| Entry::parse(&path));
            if let Some(entry @ (Entry::CollectionNotice(..) | Entry::CollectionPending(..))) = entry {
                self.place.remove(&entry);
            }
        }
    }

    /// Expires the collections of a dead process, as if time had passed: they have no effect any more.
    pub(super) fn forget_runs(&self, server: &RegistryProcess) {
        let files = self.place.files();
        let signs: Vec<Entry> = files.iter().filter_map(|file| Entry::parse(&file.parse().ok()?)).collect();
        let is_its_own = |entry: &Entry| {
            let notice =
                self.place.read(entry).and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
            notice.is_some_and(|notice| notice["process"] == server.process.pid())
        };
        let runs: Vec<_> = signs
            .iter()
            .filter_map(|entry| match entry {
                Entry::CollectionNotice(run, _) if is_its_own(entry) => Some(*run),
                _ => None,
            })
            .collect();
        for entry in &signs {
            if let Entry::CollectionNotice(run, _) | Entry::CollectionPending(run, _) = entry
                && runs.contains(run)
            {
                self.place.remove(entry);
            }
        }
    }

    /// Stops a replica for a while, like a machine with a busy disk or hypervisor.
    pub(super) fn freeze(&self, server: &RegistryProcess, pause: Duration) {
        server.process.signal("STOP");
        thread::sleep(pause);
        server.process.signal("CONT");
        count(&self.counts.freezes);
    }

    /// Reads the collections from a registry's log, and fails on its errors.
    pub(super) fn note(&self, server: &RegistryProcess) {
        let log = server.process.log();
        for line in log.lines().filter(|line| line.contains("collected garbage")) {
            count(&self.counts.collections);
            let blobs = line.split("blobs=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
            self.counts.collected.fetch_add(blobs.unwrap_or(0), Ordering::Relaxed);
        }
        // During a storm the registry is right to log errors.
        let is_bad = |line: &&str| {
            line.contains("panicked") || (line.contains("level=error") && !self.place.is_stormy())
        };
        for line in log.lines().filter(is_bad) {
            self.fail(format!("the registry says: {line}"));
        }
    }

    /// Whether a replica was killed.
    pub(super) fn has_killed(&self) -> bool {
        self.counts.kills.load(Ordering::Relaxed) > 0
    }

    /// Whether a collection deleted anything, as far as noted.
    pub(super) fn has_collected(&self) -> bool {
        self.counts.collected.load(Ordering::Relaxed) > 0
    }

    /// Waits until one of the replicas has collected garbage, but not for ever, and not after a failure.
    pub(super) fn wait_for_a_collection(&self, servers: &[RegistryProcess]) {
        let collected = |line: &str| line.contains("collected garbage") && !line.contains("blobs=0 ");
        let end = Instant::now() + COLLECTION_TIMEOUT;
        while Instant::now() < end && !self.has_failed() {
            if servers.iter().any(|server| server.process.log().lines().any(collected)) {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// A client of the running replicas, which asks them in turn. Waits while no replica runs. `None` at the end of the test.
    pub(super) fn client(&self) -> Option<Client> {
        loop {
            if self.is_closed() {
                return None;
            }
            let living: Vec<SocketAddr> = self.addresses.read().unwrap().iter().copied().flatten().collect();
            if !living.is_empty() {
                return Some(Client::new(living));
            }
            thread::yield_now();
        }
    }

    /// The address of a random replica; none while that one does not run.
    pub(super) fn address(&self, rng: &mut StdRng) -> Option<SocketAddr> {
        let addresses = self.addresses.read().unwrap();
        addresses[rng.random_range(0..addresses.len())]
    }

    /// Whether the replica at `address` is still there.
    pub(super) fn lives(&self, address: SocketAddr) -> bool {
        self.addresses.read().unwrap().contains(&Some(address))
    }

    pub(super) fn known(&self, key: &Key) -> Known {
        self.tags.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    pub(super) fn learn(&self, key: &Key, learn: impl FnOnce(&mut Known)) {
        learn(self.tags.lock().unwrap().entry(key.clone()).or_default());
    }

    pub(super) fn fail(&self, what: String) {
        println!("FAILED: {what}");
        self.failures.lock().unwrap().push(what);
    }

    pub(super) fn has_failed(&self) -> bool {
        !self.failures.lock().unwrap().is_empty()
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed) || self.has_failed()
    }

    /// Pulls the targets of all tags, and returns the digests of their content.
    pub(super) fn pull_all_tags(&self) -> BTreeSet<Digest> {
        let mut live = BTreeSet::new();
        let mut client = Client::new(self.addresses.read().unwrap().iter().copied().flatten().collect());
        for ((repository, tag), known) in self.tags.lock().unwrap().iter() {
            let answer = client.get(&format!("/v2/{repository}/manifests/{tag}")).unwrap();
            let digest = Digest::sha256_of(&answer.body);
            match answer.status {
                404 if known.current.is_none() || known.perhaps_gone => continue,
                200 if known.allows(&digest) => {}
                _ => {
                    self.fail(format!("at the end {repository}:{tag} is {answer:?} and not {known:?}"));
                    continue;
                }
            }
            live.insert(digest);
            for blob in blobs(&answer.body) {
                let answer = client.get(&format!("/v2/{repository}/blobs/{blob}")).unwrap();
                if answer.status != 200 || Digest::sha256_of(&answer.body) != blob {
                    self.fail(format!("at the end {blob} of {repository}:{tag} is {}", answer.status));
                }
                live.insert(blob);
            }
        }
        live
    }

    /// Collects the remaining garbage without any clients, and checks that exactly `live` remains.
    pub(super) fn converge(&self, live: &BTreeSet<Digest>) {
        let config = self.directory.join("converge.yml");
        // Everything is older than that by now.
        let purging = "  maintenance: {readonly: {enabled: true}, uploadpurging: {age: 1ns}}\n  delete:";
        fs::write(&config, self.place.config().replace("  delete:", purging)).unwrap();
        for expect_nothing in [false, true] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_registry"));
            let command = command.args(["garbage-collect", "-m", "--format", "json"]).arg(&config);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{output:?}");
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            println!("the last collection: {report}");
            let found = ["blobs", "uploads", "temporary"].map(|key| report[key]["count"].as_u64().unwrap());
            let links = ["manifests", "layer_links", "tag_entries"].map(|key| report[key].as_u64().unwrap());
            if expect_nothing && (found, links) != ([0; 3], [0; 3]) {
                self.fail(format!("the store does not converge: {report}"));
            }
        }
        let data = self.place.data();
        if data != *live {
            let lost = live.difference(&data).count();
            self.fail(format!("{} blobs live, {} are there, {lost} are lost", live.len(), data.len()));
        }
        for path in self.place.files() {
            if path.contains("/_uploads/") || path.contains("/gc/doomed") || path.ends_with(".tmp") {
                self.fail(format!("{path} was left"));
            }
        }
    }

    /// Reports the events. Fails if one happened that must not, or if one is missing that must happen.
    pub(super) fn judge(&self, seconds: u64) {
        println!("{:#?}", self.counts);
        let failures = self.failures.lock().unwrap();
        assert!(failures.is_empty(), "{} failures, the first is: {}", failures.len(), failures[0]);
        let enough = |counter: &AtomicU64, least: u64| counter.load(Ordering::Relaxed) >= least;
        // In a storm the registry retries requests for seconds.
        let least = if self.place.is_stormy() { seconds / 20 } else { seconds / 4 };
        assert!(enough(&self.counts.pushes, least) && enough(&self.counts.pulls, least));
        assert!(enough(&self.counts.collections, 1) && enough(&self.counts.collected, 1));
        assert!(enough(&self.counts.kills, 1) && enough(&self.counts.by_skopeo, 1));
    }
}

/// The blobs that a manifest names.
pub(super) fn blobs(manifest: &[u8]) -> Vec<Digest> {
    let manifest: Value = serde_json::from_slice(manifest).unwrap();
    let layers = manifest["layers"].as_array().into_iter().flatten();
    layers
        .chain(manifest.get("config"))
        .map(|part| part["digest"].as_str().unwrap().parse().unwrap())
        .collect()
}
