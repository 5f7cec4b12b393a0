//! Marking: what is live, repository by repository. Pure: all reading was done before.

use super::ids::{Id, IdHashSet, IdMap, IdSet};
use super::inventory::{Contents, Data, Inventory};
use super::library::{Library, State};

/// What is live in the whole store.
#[derive(Debug)]
pub(super) struct Marks {
    /// Whose data are live.
    pub(super) data: IdSet,
    /// Whose data stay for a while because a link to them is young.
    pub(super) young: IdSet,
    /// In the order of the inventory.
    pub(super) repositories: Vec<RepositoryMarks>,
}

/// What is live in one repository: one word for each link of it.
#[derive(Debug)]
pub(super) struct RepositoryMarks {
    pub(super) revisions: Vec<bool>,
    pub(super) layers: Vec<bool>,
    /// Everything stays, because something cannot be read.
    pub(super) is_obscure: bool,
}

/// Marks everything.
pub(super) fn mark(inventory: &Inventory, data: &Data, library: &Library, delete_untagged: bool) -> Marks {
    let mut marks = Marks { data: IdSet::default(), young: IdSet::default(), repositories: Vec::new() };
    for contents in &inventory.repositories {
        let marker = Marker::new(contents, data, library, delete_untagged);
        let repository = marker.mark(&mut marks.data, &mut marks.young);
        marks.repositories.push(repository);
    }
    marks
}

struct Marker<'a> {
    contents: &'a Contents,
    data: &'a Data,
    library: &'a Library,
    delete_untagged: bool,
    /// Where in the list of revisions a manifest is.
    places: IdMap<usize>,
    /// Who is attached to whom.
    referrers: IdMap<Vec<Id>>,
}

impl<'a> Marker<'a> {
    fn new(contents: &'a Contents, data: &'a Data, library: &'a Library, delete_untagged: bool) -> Self {
        let revisions = contents.revisions.iter().enumerate();
        let places = revisions.map(|(place, link)| (link.id, place)).collect();
        let mut referrers: IdMap<Vec<Id>> = IdMap::default();
        for link in &contents.revisions {
            let subject = library.get(link.id).and_then(|reading| reading.subject);
            if let Some(subject) = subject.and_then(|subject| contents.resolve(subject)) {
                referrers.entry(subject).or_default().push(link.id);
            }
        }
        Self { contents, data, library, delete_untagged, places, referrers }
    }

    fn mark(&self, live_data: &mut IdSet, young_data: &mut IdSet) -> RepositoryMarks {
        let is_obscure = self.is_obscure();
        let mut revisions = vec![false; self.contents.revisions.len()];
        let mut needed = IdHashSet::default();
        let mut met = IdHashSet::default();
        let mut todo = self.roots(is_obscure);
        while let Some(id) = todo.pop() {
            if !met.insert(id) {
                continue;
            }
            if let Some(place) = self.places.get(&id) {
                revisions[*place] = true;
            }
            live_data.insert(id);
            let references = self.library.get(id).map(|reading| &*reading.references).unwrap_or_default();
            for reference in references.iter().filter_map(|reference| self.contents.resolve(*reference)) {
                live_data.insert(reference);
                needed.insert(reference);
                if self.is_manifest(reference) {
                    todo.push(reference);
                }
            }
            todo.extend(self.referrers.get(&id).into_iter().flatten());
        }
        let mut keep = |link: &super::inventory::Link| {
            let is_live = is_obscure || needed.contains(&link.id);
            if is_live {
                live_data.insert(link.id);
            } else if link.is_young() {
                young_data.insert(link.id);
            }
            is_live || link.is_young()
        };
        let layers = self.contents.layers.iter().map(&mut keep).collect();
        RepositoryMarks { revisions, layers, is_obscure }
    }

    fn is_obscure(&self) -> bool {
        let obscure =
            |id| matches!(self.library.get(id), Some(reading) if matches!(reading.state, State::Obscure(_)));
        self.contents.obscure || self.contents.revisions.iter().any(|link| obscure(link.id))
    }

    fn roots(&self, is_obscure: bool) -> Vec<Id> {
        let revisions = self.contents.revisions.iter();
        if !self.delete_untagged || is_obscure {
            return revisions.map(|link| link.id).collect();
        }
        let guessed =
            |id| matches!(self.library.get(id), Some(reading) if matches!(reading.state, State::Guessed(_)));
        let stays = revisions
            .filter(|link| link.is_young() || self.data.is_young(link.id) || guessed(link.id))
            .map(|link| link.id);
        let tagged = self.contents.tags.iter().filter_map(|history| history.current);
        stays.chain(tagged.filter(|id| self.places.contains_key(id))).collect()
    }

    /// Whether something that is referred to is a manifest of this repository, and refers to more.
    fn is_manifest(&self, id: Id) -> bool {
        self.places.contains_key(&id)
            // Linked like a layer, as very old registries did.
            || (self.library.get(id).is_some() && self.contents.layers.iter().any(|link| link.id == id))
    }
}
