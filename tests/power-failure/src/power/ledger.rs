//! The requests of the clients and their answers, and what a power failure must leave of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::content::Library;
use crate::look::Key;

/// Everything that happened during a recording.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Ledger {
    pub(crate) library: Library,
    pub(crate) events: Vec<Event>,
    /// Whether a collector was running: then only what a tag reaches must be there.
    pub(crate) is_collected: bool,
    /// Images that were pushed before the recording; a repair has some of their layers damaged during it.
    #[serde(default)]
    pub(crate) victims: Vec<LostFile>,
    /// Whether the store was migrated meanwhile.
    #[serde(default)]
    pub(crate) is_migrated: bool,
    /// The position at which the clients stopped.
    pub(crate) end: u64,
}

/// An image that was pushed before the recording, and its layer that may be damaged during it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct LostFile {
    pub(crate) image: String,
    pub(crate) layer: String,
}

/// A request, or a push of several requests.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Event {
    /// Positions of the disk before the request and after its answer.
    pub(crate) before: u64,
    pub(crate) after: u64,
    /// The same times on a clock that orders all requests.
    pub(crate) began: u64,
    pub(crate) ended: u64,
    /// Whether the answer was a success; other requests may have had their effect or not.
    pub(crate) is_acknowledged: bool,
    /// Whether the request took longer than a running collector allows a client.
    pub(crate) is_slow: bool,
    pub(crate) deed: LedgerEntry,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum LedgerEntry {
    /// A blob was uploaded or mounted.
    AddBlob {
        repository: String,
        digest: String,
    },
    DeleteBlob {
        repository: String,
        digest: String,
    },
    /// A manifest was put under its digest, or under a tag.
    AddManifest {
        repository: String,
        digest: String,
        tag: Option<String>,
    },
    /// A manifest was deleted, and with it the tags that point at it.
    DeleteManifest {
        repository: String,
        digest: String,
    },
    DeleteTag {
        repository: String,
        tag: String,
    },
    /// An upload has this many bytes.
    Chunk {
        repository: String,
        location: String,
        digest: String,
        len: usize,
    },
    /// A client ended an upload.
    Finish {
        repository: String,
        location: String,
    },
    /// The data of a blob were damaged.
    Damage {
        digest: String,
    },
    /// A repair, or a pass of a migration.
    Maintenance,
}

/// The content that must be there, and the content that may be.
#[derive(Debug, Default)]
pub(crate) struct Expectation {
    pub(crate) blobs: BTreeSet<Key>,
    pub(crate) manifests: BTreeSet<Key>,
    pub(crate) tags: BTreeMap<Key, TagStates>,
    /// Tags that a client set to a manifest during its deletion: such a tag may remain without its manifest.
    pub(crate) torn_tags: BTreeSet<Key>,
    /// Everything that a client has ever tried to add.
    pub(crate) known: BTreeSet<Key>,
    /// Uploads under way, by the path of their location.
    pub(crate) uploads: BTreeMap<String, Upload>,
    /// Images whose push was under way: repository, digest.
    pub(crate) in_flight: BTreeSet<Key>,
}

/// An unfinished upload.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) location: String,
    pub(crate) repository: String,
    pub(crate) digest: String,
}

/// The allowed targets of a tag.
#[derive(Debug, Default)]
pub(crate) struct TagStates {
    pub(crate) digests: BTreeSet<String>,
    pub(crate) may_be_absent: bool,
    /// Whether the collector may have deleted the target, because its client was slow to refer to it.
    pub(crate) is_excused: bool,
}

impl Event {
    fn is_acknowledged_at(&self, position: u64) -> bool {
        self.is_acknowledged && self.after <= position
    }

    fn has_begun_at(&self, position: u64) -> bool {
        self.before <= position
    }

    /// Whether this event was over when the other began.
    fn precedes(&self, other: &Self) -> bool {
        self.ended < other.began
    }
}

impl Ledger {
    /// The content that a power failure at `position` must have left.
    pub(crate) fn expectation(&self, position: u64) -> Expectation {
        let mut expected = Expectation::default();
        let begun: Vec<&Event> = self.events.iter().filter(|event| event.has_begun_at(position)).collect();
        for event in &begun {
            self.note(event, position, &begun, &mut expected);
        }
        for (key, tag) in tag_events(&begun) {
            let states = tag_states(&tag, position);
            expected.tags.insert(key, states);
        }
        expected.torn_tags = torn_tags(&begun, position);
        for event in &begun {
            match &event.deed {
                LedgerEntry::Finish { location, .. } => {
                    expected.uploads.remove(path_of(location));
                }
                LedgerEntry::AddManifest { repository, digest, .. } if event.after > position => {
                    expected.in_flight.insert((repository.clone(), digest.clone()));
                }
                _ => {}
            }
        }
        expected
    }

    fn note(&self, event: &Event, position: u64, begun: &[&Event], expected: &mut Expectation) {
        match &event.deed {
            LedgerEntry::AddBlob { repository, digest } => {
                let key = (repository.clone(), digest.clone());
                expected.known.insert(key.clone());
                let deleted = |other: &&Event| matches!(&other.deed, LedgerEntry::DeleteBlob { repository: r, digest: d } if r == repository && d == digest);
                let is_deleted = begun.iter().any(|other| deleted(other) && !other.precedes(event));
                if event.is_acknowledged_at(position) && !is_deleted && !self.is_collected {
                    expected.blobs.insert(key);
                }
            }
            LedgerEntry::AddManifest { repository, digest, .. } => {
                let key = (repository.clone(), digest.clone());
                expected.known.insert(key.clone());
                let deleted = |other: &&Event| matches!(&other.deed, LedgerEntry::DeleteManifest { repository: r, digest: d } if r == repository && d == digest);
                let is_deleted = begun.iter().any(|other| deleted(other) && !other.precedes(event));
                if event.is_acknowledged_at(position) && !is_deleted && !self.is_collected {
                    expected.manifests.insert(key);
                }
            }
            LedgerEntry::Chunk { repository, location, digest, .. } => {
                let (location, repository, digest) = (location.clone(), repository.clone(), digest.clone());
                let path = path_of(&location).to_owned();
                expected.uploads.insert(path, Upload { location, repository, digest });
            }
            LedgerEntry::DeleteBlob { .. }
            | LedgerEntry::DeleteManifest { .. }
            | LedgerEntry::DeleteTag { .. }
            | LedgerEntry::Damage { .. }
            | LedgerEntry::Maintenance
            | LedgerEntry::Finish { .. } => {}
        }
    }
}

/// Tags that a push sets to a manifest during its deletion.
fn torn_tags(begun: &[&Event], position: u64) -> BTreeSet<Key> {
    let is_being_deleted = |repository: &str, digest: &str| {
        begun.iter().filter(|event| event.after > position).any(|event| {
            matches!(&event.deed, LedgerEntry::DeleteManifest { repository: r, digest: d } if r == repository && d == digest)
        })
    };
    let pushes = begun.iter().filter(|event| event.after > position).filter_map(|event| match &event.deed {
        LedgerEntry::AddManifest { repository, digest, tag: Some(tag) } => Some((repository, digest, tag)),
        _ => None,
    });
    pushes
        .filter(|(repository, digest, _)| is_being_deleted(repository, digest))
        .map(|(repository, _, tag)| (repository.clone(), tag.clone()))
        .collect()
}

/// The events of each tag: those that set it, and those that may have removed it.
fn tag_events<'a>(begun: &[&'a Event]) -> BTreeMap<Key, Vec<(&'a Event, Option<&'a str>)>> {
    let mut tags: BTreeMap<Key, Vec<(&Event, Option<&str>)>> = BTreeMap::new();
    for event in begun {
        if let LedgerEntry::AddManifest { repository, digest, tag: Some(tag) } = &event.deed {
            tags.entry((repository.clone(), tag.clone())).or_default().push((event, Some(digest)));
        }
    }
    for ((repository, tag), events) in &mut tags {
        let mut removals = Vec::new();
        for event in begun {
            let removes = match &event.deed {
                LedgerEntry::DeleteTag { repository: r, tag: t } => r == repository && t == tag,
                LedgerEntry::DeleteManifest { repository: r, digest } => {
                    r == repository && may_show(events, digest, event)
                }
                _ => false,
            };
            if removes {
                removals.push((*event, None));
            }
        }
        events.extend(removals);
    }
    tags
}

/// Whether a tag may have pointed at `digest` when `removal` read it.
fn may_show(sets: &[(&Event, Option<&str>)], digest: &str, removal: &Event) -> bool {
    let is_replaced = |set: &Event| {
        let between = |other: &Event| other.is_acknowledged && set.precedes(other) && other.precedes(removal);
        sets.iter().any(|(other, _)| between(other))
    };
    sets.iter().any(|(set, shown)| *shown == Some(digest) && !removal.precedes(set) && !is_replaced(set))
}

fn path_of(location: &str) -> &str {
    location.split('?').next().unwrap_or(location)
}

/// A tag shows its last change; of concurrent changes, any may be the last.
fn tag_states(events: &[(&Event, Option<&str>)], position: u64) -> TagStates {
    let superseded = |event: &Event, by_any: bool| {
        events.iter().any(|(other, set)| {
            (by_any || set.is_some()) && other.is_acknowledged_at(position) && event.precedes(other)
        })
    };
    let mut states = TagStates::default();
    let is_set = events.iter().any(|(event, set)| set.is_some() && event.is_acknowledged_at(position));
    states.may_be_absent = !is_set;
    for (event, set) in events {
        match set {
            // A deleted value may come back, a replaced one may not.
            Some(digest) if !superseded(event, false) => {
                states.digests.insert((*digest).to_owned());
                states.is_excused |= event.is_slow;
            }
            None if !superseded(event, true) => states.may_be_absent = true,
            Some(_) | None => {}
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger of sequential requests, with a position and an acknowledgement each.
    fn ledger(deeds: Vec<LedgerEntry>) -> Ledger {
        let event = |(number, deed)| {
            let number = number as u64;
            Event {
                before: number,
                after: number + 1,
                began: number * 2,
                ended: number * 2 + 1,
                is_acknowledged: true,
                is_slow: false,
                deed,
            }
        };
        Ledger { events: deeds.into_iter().enumerate().map(event).collect(), ..Ledger::default() }
    }

    fn set(digest: &str) -> LedgerEntry {
        let digest = digest.to_owned();
        LedgerEntry::AddManifest { repository: "r".to_owned(), digest, tag: Some("t".to_owned()) }
    }

    fn delete(digest: &str) -> LedgerEntry {
        LedgerEntry::DeleteManifest { repository: "r".to_owned(), digest: digest.to_owned() }
    }

    fn check_tag(deeds: Vec<LedgerEntry>, position: u64, digests: &[&str], may_be_absent: bool) {
        let expected = ledger(deeds).expectation(position);
        let states = &expected.tags[&("r".to_owned(), "t".to_owned())];
        assert_eq!(states.digests.iter().collect::<Vec<_>>(), digests);
        assert_eq!(states.may_be_absent, may_be_absent);
    }

    #[test]
    fn a_tag_has_its_last_digest_or_the_one_under_way() {
        check_tag(vec![set("a"), set("b")], 0, &["a"], true);
        check_tag(vec![set("a"), set("b")], 1, &["a", "b"], false);
        check_tag(vec![set("a"), set("b")], 2, &["b"], false);
    }

    #[test]
    fn a_deleted_tag_may_come_back_until_it_is_set_again() {
        let gone = LedgerEntry::DeleteTag { repository: "r".to_owned(), tag: "t".to_owned() };
        check_tag(vec![set("a"), gone.clone()], 2, &["a"], true);
        check_tag(vec![set("a"), gone, set("b")], 3, &["b"], false);
    }

    #[test]
    fn the_deletion_of_a_manifest_concerns_the_tags_that_point_at_it() {
        check_tag(vec![set("a"), delete("a")], 2, &["a"], true);
        check_tag(vec![set("a"), set("b"), delete("a")], 3, &["b"], false);
    }

    #[test]
    fn what_was_deleted_and_added_again_must_be_there() {
        let key = ("r".to_owned(), "a".to_owned());
        let deeds = vec![set("a"), delete("a"), set("a")];
        let has = |position| ledger(deeds.clone()).expectation(position).manifests.contains(&key);
        assert_eq!([0, 1, 2, 3].map(has), [false, false, false, true]);
    }
}
