//! Checks that the choice of victims grows in proportion to the store.

use std::time::{Duration, SystemTime};

use sampan_driver::FileInfo;

use super::super::cutoff::Cutoff;
use super::super::graph::{ManifestRefs, ReferenceGraph, State};
use super::super::growth::{check, time};
use super::super::interner::{DigestInterner, Id, IdMap, IdSet};
use super::super::inventory::{Age, Contents, Data, Link};
use super::choose::{Bound, evict_largest};
use super::refs::{Candidate, Needs};
use super::uses::last_uses;
use super::victims::Victims;
use crate::Clock;
use crate::caches::UseTable;
use crate::layout::Entry;
use crate::oci::{Digest, RepositoryName};

/// Of each image: its index, its manifest, its configuration, a layer of its own, and one that all share.
struct Cache {
    ids: DigestInterner,
    data: Data,
    contents: Contents,
    graph: ReferenceGraph,
}

impl Cache {
    fn new(images: usize) -> Self {
        let name: RepositoryName = "hub/app".parse().unwrap();
        let (mut ids, mut data, mut contents) =
            (DigestInterner::default(), Data::default(), Contents::new(name));
        let cutoff = Cutoff::new(&Clock::default(), Duration::ZERO);
        let mut blob = |kind: &str, number: usize| {
            let digest = Digest::sha256_of(format!("{kind} {number}").as_bytes());
            let path = Entry::Blob(digest.clone()).path();
            let file = FileInfo { path, size_bytes: 1, modified: SystemTime::UNIX_EPOCH };
            let id = ids.intern(&digest);
            data.set(id, Some(&file), cutoff);
            id
        };
        let mut readings = Vec::new();
        for image in 0..images {
            let needs = [blob("config", image), blob("layer", image), blob("shared", 0)];
            let (manifest, index) = (blob("manifest", image), blob("index", image));
            for (id, references) in [(index, &[manifest][..]), (manifest, &needs[..])] {
                let references = references.into();
                readings.push((id, ManifestRefs { references, subject: None, state: State::Parsed }));
                contents.revisions.push(Link { id, age: Age::Old });
                contents.revision_hours.push(0);
            }
        }
        Self { ids, data, contents, graph: ReferenceGraph::with(readings) }
    }

    /// How long it takes to choose half of everything.
    fn cost(self) -> Duration {
        let Self { ids, data, contents, graph } = self;
        let table = UseTable::new(Clock::default());
        let repositories = [contents];
        time(|| {
            let contents = &repositories[0];
            let own: IdMap<u32> = contents
                .revisions
                .iter()
                .map(|link| {
                    (link.id, table.hour(&contents.name, &ids.digest(link.id)).unwrap_or(link_hour(link.id)))
                })
                .collect();
            let candidate = |used: super::uses::Used| Candidate {
                repository: 0,
                prefix: 0,
                id: used.id,
                hour: used.hour,
                subject: used.subject,
            };
            let mut candidates: Vec<Candidate> =
                last_uses(contents, &graph, &own).into_iter().map(candidate).collect();
            candidates.sort_by_key(|candidate| candidate.hour);
            let (elsewhere, young) = (IdSet::default(), Vec::new());
            let needs = Needs { repositories: &repositories, data: &data, graph: &graph, elsewhere, young };
            let all = needs.count(&candidates, None).bytes;
            let (before, mut victims) = (candidates.len(), Victims::default());
            evict_largest(
                &needs,
                &mut candidates,
                None,
                Some(Bound { bytes: all / 2, wanted: 0 }),
                &mut victims,
            );
            let left = needs.count(&candidates, None).bytes;
            assert!(left <= all / 2 && left >= all / 5 * 2, "{left} of {all}");
            assert!(candidates.len() < before);
        })
    }
}

/// Any hour.
fn link_hour(id: Id) -> u32 {
    400_000 + id.index() as u32 % 1000
}

#[test]
fn victims_are_chosen_in_proportion_to_the_store() {
    check(|images| Cache::new(images).cost());
}
