//! The last uses of the manifests in one repository, as far as they depend on each other. Pure.

use super::super::graph::ReferenceGraph;
use super::super::interner::{Id, IdMap};
use super::super::inventory::Contents;
use super::super::plan::referring_first;

/// The use of what must stay.
pub(super) const ALWAYS: u32 = u32::MAX;

/// A manifest of a cache.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Used {
    pub(super) id: Id,
    /// The hour of its last use, those of others included that keep it; [`ALWAYS`] if it stays.
    pub(super) hour: u32,
    /// The manifest of the same repository that it is attached to.
    pub(super) subject: Option<Id>,
}

/// The manifests of a repository in an order in which each comes before its children and the artifacts attached to it.
/// `own` is the hour of each one's own last use.
///
/// - An index counts as used when a child was, unless another index was used at that time, which explains the use of the
///   child. Otherwise all indexes of an image that ever shared a child would stay with the newest.
/// - A child was used whenever one of its indexes was.
/// - An attached artifact was used when its subject was, and at no other time.
pub(super) fn last_uses(contents: &Contents, graph: &ReferenceGraph, own: &IdMap<u32>) -> Vec<Used> {
    let linked: Vec<Id> = contents.revisions.iter().map(|link| link.id).collect();
    let order: Vec<Id> = referring_first(&linked, contents, graph).collect();
    let children = |id: Id| {
        let references = graph.get(id).map(|reading| &*reading.references).unwrap_or_default();
        let references = references.iter().filter_map(|reference| contents.resolve(*reference));
        references.filter(|child| own.contains_key(child))
    };
    let own_hour = |id: Id| own.get(&id).copied().unwrap_or_default();

    let mut of_indexes: IdMap<u32> = IdMap::default();
    for id in &order {
        for child in children(*id) {
            let latest = of_indexes.entry(child).or_default();
            *latest = own_hour(*id).max(*latest);
        }
    }
    let mut hours = own.clone();
    for id in order.iter().rev() {
        let unexplained = children(*id).filter_map(|child| {
            let hour = hours.get(&child).copied()?;
            // A pull may begin in one hour and end in the next.
            let explained = of_indexes.get(&child).copied().unwrap_or_default().saturating_add(1);
            (explained < hour || own_hour(*id).saturating_add(1) >= hour).then_some(hour)
        });
        let latest = unexplained.max().unwrap_or_default();
        hours.entry(*id).and_modify(|hour| *hour = latest.max(*hour));
    }
    let mut used = Vec::with_capacity(order.len());
    for id in order {
        let subject = graph.get(id).and_then(|reading| reading.subject);
        let subject = subject.and_then(|subject| contents.resolve(subject));
        let subject = subject.filter(|subject| own.contains_key(subject));
        let of_subject = subject.and_then(|subject| hours.get(&subject).copied());
        let hour = match (hours.get(&id).copied().unwrap_or_default(), of_subject) {
            (ALWAYS, _) | (_, None) => hours.get(&id).copied().unwrap_or_default(),
            (_, Some(hour)) => hour,
        };
        hours.insert(id, hour);
        for child in children(id) {
            hours.entry(child).and_modify(|of_child| *of_child = hour.max(*of_child));
        }
        used.push(Used { id, hour, subject });
    }
    used
}
