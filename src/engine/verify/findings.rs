//! `Findings`: the problems of a run, each once, with everything that needs it.

use std::collections::{BTreeMap, HashMap};

use super::problem::{Need, Problem, ProblemKind};
use super::sizes::{Hash, digest};
use crate::oci::{Digest, RepositoryName};

/// The most problems of a report. More are only counted.
pub(super) const MAX_PROBLEMS: usize = 10_000;

/// The most images that a problem names.
pub(super) const MAX_NEEDS: usize = 100;

/// The problems of a run, by the path of the file.
#[derive(Debug, Default)]
pub(super) struct Findings {
    by_path: BTreeMap<String, Problem>,
    more: u64,
}

/// The images that need some content, and the repositories that link it.
#[derive(Debug, Default)]
pub(super) struct Users {
    needs: HashMap<Hash, Vec<Need>>,
    /// The repositories that link any of it, in the order of the pass.
    names: Vec<RepositoryName>,
    linked_in: HashMap<Hash, Links>,
    /// How many links are in `linked_in`.
    links: usize,
    required_in: HashMap<Hash, Vec<RepositoryName>>,
}

/// The repositories that link some content.
#[derive(Debug, Default)]
struct Links {
    /// Positions in [`Users::names`].
    places: Vec<usize>,
    /// The position of the last repository that was added, in `places` or not.
    last: Option<usize>,
    /// How many more there are.
    left_out: u64,
}

/// The most links that a run remembers: a damaged layer that thousands of repositories have is not alone.
const MAX_LINKS: usize = 1_000_000;

impl Findings {
    /// Adds a problem; if it is known already, adds the images that need it.
    pub(super) fn add(&mut self, problem: Problem) {
        if let Some(known) = self.by_path.get_mut(&problem.path) {
            let room = MAX_NEEDS.saturating_sub(known.needed_by.len());
            known.needed_by.extend(problem.needed_by.into_iter().take(room));
        } else if self.by_path.len() < MAX_PROBLEMS {
            self.by_path.insert(problem.path.clone(), problem);
        } else {
            self.more += 1;
        }
    }

    /// Adds the problems of another pass.
    pub(super) fn merge(&mut self, others: Self) {
        others.by_path.into_values().for_each(|problem| self.add(problem));
        self.more += others.more;
    }

    /// Counts problems beyond the limit of the list.
    pub(super) fn add_unlisted(&mut self, count: u64) {
        self.more += count;
    }

    /// Adds what needs the content of each problem, in whichever repository.
    pub(super) fn add_needs(&mut self, users: &Users) {
        for problem in self.by_path.values_mut().filter(|problem| problem.kind.is_of_content()) {
            let hash = problem.digest.as_ref().and_then(Digest::canonical_hash);
            let needs = hash.and_then(|hash| users.needs.get(&hash));
            problem.needed_by.extend(needs.into_iter().flatten().cloned());
        }
    }

    pub(super) fn problems_mut(&mut self) -> impl Iterator<Item = &mut Problem> {
        self.by_path.values_mut()
    }

    /// The canonical digests of the content that has a problem.
    pub(super) fn digests(&self) -> impl Iterator<Item = Hash> {
        self.by_path.values().filter_map(|problem| problem.digest.as_ref()?.canonical_hash())
    }

    pub(super) fn count(&self) -> u64 {
        self.by_path.len() as u64 + self.more
    }

    /// How many files are damaged or cannot be read.
    pub(super) fn damaged(&self) -> u64 {
        let is_ill = |problem: &&Problem| {
            matches!(problem.kind, ProblemKind::Damaged { .. } | ProblemKind::Unreadable { .. })
        };
        self.by_path.values().filter(is_ill).count() as u64 + self.more
    }

    /// All problems in the order of their paths, and how many more there are.
    pub(super) fn into_parts(self) -> (Vec<Problem>, u64) {
        let mut problems: Vec<Problem> = self.by_path.into_values().collect();
        for problem in &mut problems {
            problem.needed_by.sort_unstable();
            problem.needed_by.dedup();
            problem.needed_by.truncate(MAX_NEEDS);
        }
        (problems, self.more)
    }
}

impl Users {
    pub(super) fn add_need(&mut self, hash: Hash, need: Need) {
        let needs = self.needs.entry(hash).or_default();
        if needs.len() < MAX_NEEDS {
            needs.push(need);
        }
    }

    /// Adds a repository that links the content.
    pub(super) fn add_link(&mut self, hash: Hash, name: &RepositoryName) {
        // A pass comes to a repository once.
        if self.names.last() != Some(name) {
            self.names.push(name.clone());
        }
        let place = self.names.len() - 1;
        let links = self.linked_in.entry(hash).or_default();
        if links.last.replace(place) == Some(place) {
            return;
        }
        if self.links == MAX_LINKS {
            links.left_out += 1;
            return;
        }
        self.links += 1;
        links.places.push(place);
    }

    /// Adds a repository with a manifest that it took only together with the content. A few are enough to heal it.
    pub(super) fn add_requirement(&mut self, hash: Hash, name: &RepositoryName) {
        let names = self.required_in.entry(hash).or_default();
        if names.len() < MAX_NEEDS && names.last() != Some(name) {
            names.push(name.clone());
        }
    }

    /// The repositories that link the content; if all links are lost, those that had them. No other repository must get it: that a
    /// manifest names some content gives no right to it.
    pub(super) fn repositories(&self, hash: &Hash) -> Vec<&RepositoryName> {
        match self.linked_in.get(hash) {
            Some(links) => links.places.iter().filter_map(|place| self.names.get(*place)).collect(),
            None => self.required_in.get(hash).into_iter().flatten().collect(),
        }
    }

    /// How many repositories that link the content are not among [`repositories`](Self::repositories).
    pub(super) fn left_out(&self, hash: &Hash) -> u64 {
        self.linked_in.get(hash).map_or(0, |links| links.left_out)
    }
}

/// The canonical digest of a problem's content.
pub(super) fn canonical(problem: &Problem) -> Option<Digest> {
    problem.digest.as_ref()?.canonical_hash().map(|hash| digest(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_repositories_link_what_is_damaged_few_links_are_remembered_and_the_rest_counted() {
        let mut users = Users::default();
        let hash = |number: u64| {
            let mut hash = Hash::default();
            hash[..8].copy_from_slice(&number.to_be_bytes());
            hash
        };
        let (blobs, repositories) = (200, 6_000);
        for repository in 0..repositories {
            let name: RepositoryName = format!("team/app-{repository}").parse().unwrap();
            for blob in 0..blobs {
                users.add_link(hash(blob), &name);
                users.add_link(hash(blob), &name);
                users.add_requirement(hash(blob), &name);
            }
        }
        assert_eq!((users.links, users.names.len()), (MAX_LINKS, repositories));
        for blob in 0..blobs {
            let known = users.repositories(&hash(blob));
            assert_eq!(known.len() as u64 + users.left_out(&hash(blob)), repositories as u64);
            assert_eq!(known[1].as_str(), "team/app-1");
            assert!(users.required_in[&hash(blob)].len() <= MAX_NEEDS);
        }
        assert!(users.repositories(&hash(blobs)).is_empty() && users.left_out(&hash(blobs)) == 0);
    }
}
