//! Checks that the in-memory work of a collection grows in proportion to the store, not to its square. The tests measure
//! processor time, which other processes do not affect.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use sampan_driver::FileInfo;

use super::cutoff::Cutoff;
use super::graph::{ManifestRefs, ReferenceGraph, State};
use super::interner::{DigestInterner, Id};
use super::inventory::{Age, Alias, Contents, Data, History, Inventory, Link};
use super::mark::{Rule, mark};
use super::plan::plan;
use crate::Clock;
use crate::layout::Entry;
use crate::oci::{Algorithm, Digest};

/// A store with one repository.
struct Store {
    ids: DigestInterner,
    contents: Contents,
    data: Data,
    readings: Vec<(Id, ManifestRefs)>,
}

impl Store {
    fn new() -> Self {
        let contents = Contents::new("app".parse().unwrap());
        Self { ids: DigestInterner::default(), contents, data: Data::default(), readings: Vec::new() }
    }

    fn digest(&mut self, kind: &str, number: usize) -> Id {
        self.ids.intern(&Digest::sha256_of(format!("{kind} {number}").as_bytes()))
    }

    /// Adds data that are old.
    fn blob(&mut self, kind: &str, number: usize) -> Id {
        let id = self.digest(kind, number);
        let path = Entry::Blob(self.ids.digest(id)).path();
        let file = FileInfo { path, size_bytes: 1, modified: SystemTime::UNIX_EPOCH };
        self.data.set(id, Some(&file), Cutoff::new(&Clock::default(), Duration::ZERO));
        id
    }

    fn alias(&mut self, number: usize, of_manifest: bool, canonical: Id) -> Id {
        let id = self.ids.intern(&Digest::of(Algorithm::Sha512, &number.to_be_bytes()));
        self.contents.add_alias(Alias { canonical: Some(canonical), ..Alias::new(id, of_manifest, false) });
        id
    }

    fn manifest(&mut self, number: usize, references: &[Id]) -> Id {
        let id = self.blob("manifest", number);
        let state = State::Parsed;
        self.readings.push((id, ManifestRefs { references: references.into(), subject: None, state }));
        id
    }

    fn tag(&mut self, number: usize, current: Id) {
        let tag = format!("t{number}").parse().unwrap();
        self.contents.tags.push(History { is_current: true, current: Some(current), ..History::new(tag) });
    }

    /// Measures how long marking and planning take.
    fn cost(self, delete_untagged: bool) -> Duration {
        let Self { ids, contents, data, readings } = self;
        let graph = ReferenceGraph::with(readings);
        let mut inventory = Inventory::default();
        inventory.repositories.push(contents);
        time(|| {
            let marks = mark(&inventory, &data, &graph, false, |_| Rule::Ordinary { delete_untagged });
            plan(&inventory, &data, &graph, &marks, &ids, None);
        })
    }
}

fn old(id: Id) -> Link {
    Link { id, age: Age::Old }
}

pub(super) fn time(work: impl FnOnce()) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap())
    };
    let begun = now();
    work();
    now() - begun
}

/// Eight times as much takes eight times as long, or a little more; quadratic work would take 64 times as long.
pub(super) fn check(cost: impl Fn(usize) -> Duration) {
    let (mut few, mut many) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        few = few.min(cost(1000));
        many = many.min(cost(8000));
    }
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    assert!(ratio < 24.0, "{few:?} for some, {many:?} for eight times as many");
}

/// Each manifest refers to its layer by another digest.
#[test]
fn references_by_aliases() {
    check(|count| {
        let mut store = Store::new();
        for number in 0..count {
            let layer = store.blob("layer", number);
            store.contents.layers.push(old(layer));
            let alias = store.alias(number, false, layer);
            let manifest = store.manifest(number, &[alias]);
            store.contents.revisions.push(old(manifest));
        }
        store.cost(false)
    });
}

/// The targets of the aliases have no link, or have one and are deleted.
#[test]
fn aliases_that_go() {
    for is_linked in [false, true] {
        check(|count| {
            let mut store = Store::new();
            for number in 0..count {
                let of_manifest = number % 2 == 0;
                let target = store.blob("target", number);
                store.alias(number, of_manifest, target);
                let links = match of_manifest {
                    true => &mut store.contents.revisions,
                    false => &mut store.contents.layers,
                };
                links.extend(is_linked.then_some(old(target)));
            }
            store.cost(true)
        });
    }
}

/// Tags that point at manifests without a link, each of which has an entry in the tag's history.
#[test]
fn tags_of_manifests_without_a_link() {
    check(|count| {
        let mut store = Store::new();
        for number in 0..count {
            let layer = store.blob("layer", number);
            store.contents.layers.push(old(layer));
            let manifest = store.manifest(number, &[]);
            store.tag(number, manifest);
            store.contents.tags[number].entries.push(old(manifest));
        }
        store.cost(true)
    });
}

/// An index whose children have links only in other repositories.
#[test]
fn children_that_are_linked_elsewhere() {
    check(|count| {
        let mut store = Store::new();
        let children: Vec<Id> = (1..count).map(|number| store.manifest(number, &[])).collect();
        for number in 0..count {
            let layer = store.blob("layer", number);
            store.contents.layers.push(old(layer));
        }
        let index = store.manifest(0, &children);
        store.contents.revisions.push(old(index));
        store.cost(false)
    });
}

/// Layer links that cannot be read.
#[test]
fn links_that_are_kept() {
    check(|count| {
        let mut store = Store::new();
        let layers: Vec<Id> = (0..count).map(|number| store.digest("layer", number)).collect();
        store.contents.layers = layers.iter().copied().map(old).collect();
        let name = store.contents.name.clone();
        let links: Vec<Entry> =
            layers.iter().map(|id| Entry::LayerLink(name.clone(), store.ids.digest(*id))).collect();
        let taken = time(|| {
            links.iter().for_each(|link| store.contents.keep(link, &mut store.ids));
            store.contents.keep_all();
        });
        assert!(store.contents.layers.iter().all(|link| link.is_young()));
        taken
    });
}
