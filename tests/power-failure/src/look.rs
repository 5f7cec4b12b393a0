//! Compares the content that a registry serves with the pushed content.

use std::collections::BTreeMap;

use crate::client::{Client, blob_path, manifest_path};
use crate::content::Library;

/// A repository, and a digest or tag in it.
pub(crate) type Key = (String, String);

/// The violations, and the number of checks.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// A short name of the kind, and the details.
    pub(crate) violations: Vec<(&'static str, String)>,
    /// Blobs, manifests and tags that had to be there.
    pub(crate) required: usize,
    pub(crate) resumed: usize,
    /// The place of a sync that was left out.
    pub(crate) left_out: Option<String>,
    pub(crate) refused: usize,
}

impl Findings {
    pub(crate) fn add(&mut self, kind: &'static str, what: String) {
        self.violations.push((kind, what));
    }
}

/// A comparison with one registry.
pub(crate) struct StoreComparison<'a> {
    pub(crate) client: &'a Client,
    pub(crate) library: &'a Library,
    /// Content that was requested already, and whether it is there.
    pub(crate) served: BTreeMap<Key, bool>,
    pub(crate) findings: &'a mut Findings,
}

impl<'a> StoreComparison<'a> {
    pub(crate) fn new(client: &'a Client, library: &'a Library, findings: &'a mut Findings) -> Self {
        Self { client, library, served: BTreeMap::new(), findings }
    }
}

impl StoreComparison<'_> {
    /// Whether the registry serves content; wrong bytes and errors are findings.
    pub(crate) fn serves(&mut self, key: &Key) -> bool {
        if let Some(known) = self.served.get(key) {
            return *known;
        }
        let (repository, digest) = key;
        let path = match self.library.manifest(digest) {
            Some(_) => manifest_path(repository, digest),
            None => blob_path(repository, digest),
        };
        let is_there = match self.client.get(&path) {
            Ok(answer) if answer.status == 200 => {
                if answer.body != self.library.bytes(digest) {
                    self.findings.add("wrong bytes", path);
                }
                true
            }
            Ok(answer) if answer.status == 404 => false,
            Ok(answer) => {
                self.findings.add("error", format!("{path}: {}", answer.status));
                false
            }
            Err(error) => {
                self.findings.add("error", format!("{path}: {error:#}"));
                false
            }
        };
        self.served.insert(key.clone(), is_there);
        is_there
    }

    /// Whether the registry serves everything below a manifest.
    pub(crate) fn is_complete(&mut self, (repository, image): &Key, kind: &'static str) -> bool {
        let (manifests, blobs) = self.library.closure(image);
        for digest in manifests.into_iter().chain(blobs) {
            if !self.serves(&(repository.clone(), digest.clone())) {
                self.findings.add(kind, format!("{repository}@{image} lacks {digest}"));
                return false;
            }
        }
        true
    }
}
