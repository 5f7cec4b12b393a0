//! `ImageWalk`: the content of one image in the order of a bundle.
//!
//! Manifests come before blobs, parents before children: a client that reads a bundle once knows every blob that it needs
//! before the first one comes.

use std::collections::{HashMap, HashSet, VecDeque};

use sampan_engine::oci::{Descriptor, Digest, Manifest};

/// How a manifest's reference is treated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The content is a manifest, whose references follow.
    Manifest,
    /// The content is a blob.
    Blob,
    /// The content is absent.
    LeftOut,
}

/// A blob that an image needs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WalkedBlob {
    /// The digest.
    pub digest: Digest,
    /// The length in bytes, as the manifest says.
    pub size_bytes: u64,
    /// Whether it is the configuration of its manifest.
    pub is_config: bool,
}

/// A walk over the manifests of an image. The caller reads each manifest that [`next`](Self::next) names, and passes it to
/// [`add`](Self::add).
#[derive(Debug)]
pub struct ImageWalk {
    pending: VecDeque<Digest>,
    seen: HashSet<Digest>,
    children: HashMap<Digest, Vec<Digest>>,
    manifests: Vec<Digest>,
    blobs: Vec<WalkedBlob>,
}

impl ImageWalk {
    /// A walk over the image whose manifest is `root`.
    pub fn new(root: &Digest) -> Self {
        Self {
            pending: VecDeque::from([root.clone()]),
            seen: HashSet::from([root.clone()]),
            children: HashMap::new(),
            manifests: Vec::new(),
            blobs: Vec::new(),
        }
    }

    /// The next manifest.
    #[expect(clippy::should_implement_trait, reason = "the caller adds to the walk between two calls")]
    pub fn next(&mut self) -> Option<Digest> {
        self.pending.pop_front()
    }

    /// Adds the references of a manifest, each with the role that `role` gives it.
    pub fn add(&mut self, digest: &Digest, manifest: &Manifest, mut role: impl FnMut(&Descriptor) -> Role) {
        self.manifests.push(digest.clone());
        let mut children = Vec::new();
        let is_config = |index| index == 0 && manifest.config.is_some();
        let references = manifest.config.iter().chain(&manifest.layers).chain(&manifest.manifests);
        for (index, descriptor) in references.enumerate() {
            match role(descriptor) {
                Role::LeftOut => {}
                Role::Manifest => {
                    children.push(descriptor.digest.clone());
                    if self.seen.insert(descriptor.digest.clone()) {
                        self.pending.push_back(descriptor.digest.clone());
                    }
                }
                Role::Blob => {
                    if self.seen.insert(descriptor.digest.clone()) {
                        self.blobs.push(WalkedBlob {
                            digest: descriptor.digest.clone(),
                            size_bytes: descriptor.size,
                            is_config: is_config(index),
                        });
                    }
                }
            }
        }
        self.children.insert(digest.clone(), children);
    }

    /// The manifests so far, parents before children.
    pub fn manifests(&self) -> &[Digest] {
        &self.manifests
    }

    /// The blobs of the manifests so far, in the order of the manifests.
    pub fn blobs(&self) -> &[WalkedBlob] {
        &self.blobs
    }

    /// The manifests, children before parents.
    pub fn bottom_up(&self) -> Vec<Digest> {
        let (mut sorted, mut done) = (Vec::new(), HashSet::new());
        let mut stack: Vec<(&Digest, bool)> =
            self.manifests.first().map(|root| (root, false)).into_iter().collect();
        while let Some((digest, children_are_done)) = stack.pop() {
            if children_are_done {
                sorted.push(digest.clone());
            } else if done.insert(digest) {
                stack.push((digest, true));
                let children = self.children.get(digest).into_iter().flatten();
                stack
                    .extend(children.rev().filter(|child| !done.contains(child)).map(|child| (child, false)));
            }
        }
        sorted
    }
}
