//! `Chaos`: the steps.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sampan::maintenance::save_cache_uses;
use sampan_driver::StorageDriver;
use sampan_engine::gc::{self, Options, Scope};

use super::MAX_BYTES;
use super::expected_state::{ExpectedState, Image};
use super::trouble::Trouble;
use crate::cache::pair::{Pair, Replica, evicting};
use crate::cache::support::clean;
use crate::support::Answer;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long a collector thinks after each walk.
const PAUSE: Duration = Duration::from_millis(800);

/// After this long, a cache has forgotten the failures of an upstream.
const FORGOTTEN: Duration = Duration::from_secs(3 * 60);

pub(super) struct Chaos {
    pub(super) pair: Pair,
    pub(super) book: Arc<ExpectedState>,
    seed: u64,
    rng: StdRng,
    trouble: Option<Trouble>,
    /// What was done; printed when the test fails.
    log: Mutex<Vec<String>>,
}

impl Chaos {
    pub(super) async fn new(seed: u64, driver: Arc<dyn StorageDriver>) -> Self {
        let (rng, book) = (StdRng::seed_from_u64(seed), Arc::new(ExpectedState::new(seed)));
        let pair = Pair::over(driver, PAUSE).await;
        let mut chaos = Self { pair, book, seed, rng, trouble: None, log: Mutex::default() };
        for _ in 0..6 {
            let now = chaos.pair.heard.elapsed();
            chaos.book.publish(&chaos.pair.upstream, &mut chaos.rng, now);
        }
        chaos.pair.advance(FORGOTTEN).await;
        chaos
    }

    pub(super) async fn step(&mut self) {
        match self.rng.random_range(0..20) {
            0 | 1 => self.change_upstream(),
            2 | 3 => self.toggle_trouble().await,
            4 => self.restart().await,
            5..=8 => self.wait().await,
            _ => self.work().await,
        }
    }

    /// Some clients and collectors at once.
    async fn work(&mut self) {
        let mut work: Vec<(String, BoxFuture<'_, ()>)> = Vec::new();
        let mut rng = StdRng::seed_from_u64(self.rng.random());
        for _ in 0..rng.random_range(1..5) {
            let (place, seed) = (rng.random_range(0..2), rng.random());
            work.push(match rng.random_range(0..10) {
                0..5 => ("pull".to_owned(), self.pull(place, seed).boxed()),
                5..7 => ("push".to_owned(), self.push(place, seed).boxed()),
                7 => ("delete".to_owned(), self.delete(place, seed).boxed()),
                _ => self.collection(place, &mut rng),
            });
        }
        if rng.random_bool(0.2) {
            work.extend([0, 1].map(|place| self.collection(place, &mut rng)));
        }
        let (names, work): (Vec<_>, Vec<_>) = work.into_iter().unzip();
        self.note(format!("at once: {}", names.join(", ")));
        self.pair.paced(join_all(work)).await;
    }

    /// Time passes between two requests of a client, or none, so that some meet a collection at each of its steps.
    pub(super) async fn hesitate(&self, rng: &mut StdRng) {
        if rng.random_bool(0.4) {
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..4000))).await;
        }
    }

    fn collection(&self, place: usize, rng: &mut StdRng) -> (String, BoxFuture<'_, ()>) {
        let ttl = [None, Some(HOUR), Some(3 * HOUR)][rng.random_range(0..3)];
        let max_bytes = [None, Some(0), Some(MAX_BYTES)][rng.random_range(0..3)];
        let scope = if rng.random_bool(0.5) { Scope::All } else { Scope::Caches };
        let options = Options {
            scope,
            delete_untagged: rng.random_bool(0.5),
            batch: rng.random_range(1..6),
            ..evicting(ttl, max_bytes)
        };
        let collected = async move {
            match gc::collect(&self.pair.replicas[place].server.registry, &options).await {
                Ok(report) => {
                    let gc::Evicted { ttl, size, .. } = report.evicted;
                    let (evicted, blobs) = (ttl.count + size.count, report.blobs.count);
                    self.note(format!(
                        "replica {place} evicted {evicted} manifests, collected {blobs} blobs"
                    ));
                }
                Err(gc::Error::Running { .. }) => {}
                Err(error) => panic!("a collection of {scope:?}: {error}"),
            }
        };
        (format!("collection of {scope:?} with {ttl:?} and {max_bytes:?}"), collected.boxed())
    }

    fn change_upstream(&mut self) {
        let (upstream, now) = (&self.pair.upstream, self.pair.heard.elapsed());
        let change = match self.rng.random_bool(0.6) {
            true => Some(self.book.publish(upstream, &mut self.rng, now)),
            false => self.book.withdraw(upstream, &mut self.rng, now),
        };
        change.into_iter().for_each(|change| self.note(change));
    }

    async fn toggle_trouble(&mut self) {
        if self.trouble.is_some() {
            self.end_trouble().await;
            return;
        }
        let trouble = Trouble::any(&mut self.rng);
        self.note(format!("{trouble:?} begins"));
        trouble.begin(&self.pair.upstream, self.book.clone(), self.rng.random());
        self.trouble = Some(trouble);
    }

    pub(super) async fn end_trouble(&mut self) {
        self.note("trouble ends".to_owned());
        self.pair.settle().await;
        self.pair.upstream.behave();
        self.trouble = None;
        self.pair.advance(FORGOTTEN).await;
        // Until one request was answered, others may be refused at once.
        for replica in &self.pair.replicas {
            let path = "/v2/up/a/tags/list";
            self.pair.paced(self.get(replica, path, false)).await;
        }
    }

    /// One process ends, with its transfers or beside them, and another begins.
    async fn restart(&mut self) {
        let place = self.rng.random_range(0..2);
        let is_orderly = self.rng.random_bool(0.5);
        self.note(format!("replica {place} is restarted, orderly: {is_orderly}"));
        if is_orderly {
            self.pair.settle().await;
            self.pair.paced(save_cache_uses(&self.pair.replicas[place].server.registry)).await;
        }
        self.pair.restart(place);
    }

    async fn wait(&mut self) {
        let long = [MINUTE / 2, 5 * MINUTE, 15 * MINUTE, HOUR, 2 * HOUR][self.rng.random_range(0..5)];
        self.note(format!("{long:?} pass"));
        self.pair.advance(long).await;
    }

    /// The answer to a GET, if it is 200 and complete, which it must be if `must`.
    pub(super) async fn get(&self, replica: &Replica, path: &str, must: bool) -> Option<Answer> {
        match replica.server.call("GET", path).try_send().await {
            Ok(answer) => {
                let answer = self.sound(answer, path);
                assert!(!must || answer.status == 200, "{path}: {answer:?}");
                (answer.status == 200).then_some(answer)
            }
            Err(error) => {
                assert!(!must, "{path} breaks off: {error}");
                None
            }
        }
    }

    /// No answer is 500, and no error says anything of the upstream.
    pub(super) fn sound(&self, answer: Answer, path: &str) -> Answer {
        self.note(format!("{path} {}", answer.status));
        // A search through layers takes a while.
        if answer.status.is_success() { answer } else { clean(answer) }
    }

    /// Whether a pull of the image must succeed.
    pub(super) fn must_give(&self, image: &Image) -> bool {
        !self.is_troubled() && self.book.is_given(image, self.pair.heard.elapsed())
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.trouble.is_some_and(Trouble::is_noticed)
    }

    pub(super) fn note(&self, event: String) {
        self.log.lock().unwrap().push(event);
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.lock().unwrap();
            let last = &log[log.len().saturating_sub(60)..];
            let (seed, next, last) = (self.seed, self.seed + 1, last.join("\n"));
            let _ = writeln!(std::io::stderr(), "SAMPAN_CACHE_CHAOS_SEEDS={seed}..{next}\n{last}");
        }
    }
}
