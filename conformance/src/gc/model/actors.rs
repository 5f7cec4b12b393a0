//! The actors: clients that push, pull, tag and delete as real ones do, and collectors.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use sampan_driver::StorageDriver;
use sampan_engine::caches::CachePrefixes;
use sampan_engine::gc::{self, Options, SETTLE_DELAY, collect};
use sampan_engine::{Clock, Limits, Registry};
use tokio::time::{sleep, timeout};

use super::Scenario;
use super::cache::{CacheClient, PREFIX, eviction};
use super::check::{Deleted, Touched};
use super::client::Client;
use super::faults::Faults;
use super::machine::Machine;
use super::model_content::ModelContent;
use super::sabotage::Sabotage;
use super::seen::Role;
use super::turns::Turns;
use super::world::World;
use crate::gc::seed::name;
use crate::{Failed, data};

impl Scenario {
    /// The grace period of all actors. Where processes stop and clocks jump, it exceeds those times by the margin that the
    /// documentation asks of users.
    pub(super) fn grace(self) -> Duration {
        Duration::from_secs(if self.faults.any() { 2 * 60 * 60 } else { 60 })
    }

    /// The longest stop of a client, which must finish a push within half the grace period. A collector stops for any time.
    fn longest_stop(self, role: Role) -> Duration {
        self.grace() * if role == Role::Client { 1 } else { 16 } / 8
    }
}

pub(super) async fn play(
    driver: Arc<dyn StorageDriver>,
    seed: u64,
    scenario: Scenario,
    sabotage: Sabotage,
) -> Result<(), Failed> {
    let mut rng = data::rng(seed);
    let turns = Turns::new();
    let world = World::new(driver.clone(), turns.clone(), scenario.faults, sabotage);
    let wares = Arc::new(ModelContent::new());
    wares.lay_out(&driver, &mut rng, scenario.evicts).await?;
    world.acknowledge_all().await?;
    let (deleted, touched) = (Deleted::default(), Touched::default());

    let mut clients = Vec::new();
    for actor in 0..3 {
        let registry = registry(&world, seed, scenario, actor, Role::Client);
        let client = Client {
            registry,
            wares: wares.clone(),
            deleted: deleted.clone(),
            touched: touched.clone(),
            world: world.clone(),
            scenario,
            rng: data::rng(seed * 10 + actor as u64),
        };
        clients.push(tokio::task::spawn_local(client.work()));
    }
    for actor in 3..if scenario.evicts { 5 } else { 3 } {
        let client = CacheClient {
            registry: registry(&world, seed, scenario, actor, Role::Client),
            wares: wares.clone(),
            scenario,
            rng: data::rng(seed * 10 + actor as u64),
        };
        clients.push(tokio::task::spawn_local(client.work()));
    }
    let are_two = match scenario.faults {
        Faults::Nothing => seed.is_multiple_of(4),
        Faults::Anywhere => seed.is_multiple_of(2),
        Faults::AtDeletions => true,
    };
    let collectors = if are_two { 2 } else { 1 };
    let mut collecting = Vec::new();
    for actor in 10..10 + collectors {
        let registry = registry(&world, seed, scenario, actor, Role::Collector);
        let rng = data::rng(seed * 10 + actor as u64);
        collecting.push(tokio::task::spawn_local(keep_collecting(registry, scenario, rng)));
    }
    let supervisor = {
        let turns = turns.clone();
        tokio::task::spawn_local(async move {
            let mut result = Ok(());
            for client in clients {
                let worked = client.await.unwrap_or_else(|error| Err(Failed::new(error)));
                result = result.and(worked);
            }
            turns.end();
            result
        })
    };
    let dealt = turns.deal(&mut rng, &world, scenario.slowest_ms).await;
    let trace = || turns.trace();
    dealt.map_err(|failed| Failed::new(format_args!("{failed}\n    {}", trace())))?;
    let result = supervisor.await.unwrap_or_else(|error| Err(Failed::new(error)));
    for collector in collecting {
        if collector.is_finished() {
            let collected = collector.await.unwrap_or_else(|error| Err(Failed::new(error)));
            collected.map_err(|failed| Failed::new(format_args!("{failed}\n    {}", trace())))?;
        } else {
            collector.abort();
        }
    }
    world.catch_up().await?;
    result.and(world.check().await).map_err(|failed| Failed::new(format_args!("{failed}\n    {}", trace())))
}

fn registry(world: &Arc<World>, seed: u64, scenario: Scenario, actor: usize, role: Role) -> Registry {
    let grace = (role == Role::Client && scenario.configured).then(|| scenario.grace());
    let seed = seed * 1000 + actor as u64;
    let machine = Machine::new(seed, scenario.faults, scenario.longest_stop(role), world.epoch());
    let clock = {
        let machine = machine.clone();
        let steady = machine.clone();
        match role == Role::Collector && world.breaks(Sabotage::CollectorDoesNotNoticeItsSilence) {
            true => {
                let wall = machine.wall();
                Clock::with_steady(move || wall, || Duration::ZERO)
            }
            false => Clock::with_steady(move || machine.wall(), move || steady.steady()),
        }
    };
    let limits = Limits { delete: true, ..Limits::default() };
    let builder = Registry::builder(world.seen_by(
        actor,
        role,
        machine,
        scenario.faults.any() && seed.is_multiple_of(3),
    ))
    .limits(limits)
    .clock(clock)
    .gc_grace(grace);
    let caches = CachePrefixes::below(scenario.evicts.then(|| name(PREFIX)));
    builder.caches(caches).blob_cache_bytes(0).build() // A cache would hide what is gone from the store.
}

/// Collects again and again; the model kills it now and then.
async fn keep_collecting(registry: Registry, scenario: Scenario, mut rng: StdRng) -> Result<(), Failed> {
    let grace = scenario.grace();
    loop {
        sleep(grace.mul_f32(rng.random_range(0.0..0.4))).await;
        let eviction = scenario.evicts.then(|| eviction(scenario, &mut rng));
        let (evict, scope) = eviction.map_or_else(Default::default, |(evict, scope)| (Some(evict), scope));
        let options = Options {
            scope,
            evict,
            delete_untagged: scenario.delete_untagged && rng.random_bool(0.7),
            grace,
            batch: rng.random_range(1..5),
            concurrency: rng.random_range(1..5),
            ..Options::default()
        };
        let patience = match scenario.kills && rng.random_bool(0.3) {
            true => {
                SETTLE_DELAY
                    + Duration::from_millis(
                        rng.random_range(0..if scenario.faults.any() { 120_000 } else { 3000 }),
                    )
            }
            false => grace * 100,
        };
        match timeout(patience, collect(&registry, &options)).await {
            Err(_) | Ok(Ok(_) | Err(gc::Error::Running { .. } | gc::Error::Lost)) => {}
            Ok(Err(gc::Error::Driver(_) | gc::Error::Registry(_))) if scenario.faults.any() => {}
            Ok(Err(error)) => return Err(error.into()),
        }
    }
}
