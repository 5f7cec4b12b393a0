//! `Queue`: the images of a repository that are still to be planned, each once, with their tags.

use std::collections::{HashMap, VecDeque};

use futures::{StreamExt, stream};
use sampan_engine::oci::{Digest, Tag};

use crate::Result;
use crate::draft::Draft;

/// How many images are looked up at a time.
pub(crate) const CONCURRENT_IMAGES: usize = 4;

/// Images in the order in which a bundle will have them. A few of the first ones are looked up ahead.
#[derive(Default)]
pub(crate) struct Queue {
    order: VecDeque<Digest>,
    tags: HashMap<Digest, Vec<Tag>>,
    /// At most [`CONCURRENT_IMAGES`].
    drafts: HashMap<Digest, Result<Draft>>,
}

impl Queue {
    pub(crate) fn push_back(&mut self, digest: Digest, tag: Option<Tag>) {
        if !self.tags.contains_key(&digest) {
            self.order.push_back(digest.clone());
        }
        self.tags.entry(digest).or_default().extend(tag);
    }

    pub(crate) fn push_front(&mut self, digest: Digest, tag: Tag) {
        if !self.tags.contains_key(&digest) {
            self.order.push_front(digest.clone());
        }
        self.tags.entry(digest).or_default().push(tag);
    }

    /// The first image with its tags, and its content as `draft` finds it.
    ///
    /// All lookups that this begins have ended when it returns: one that waits for its turn unpolled could hold what the
    /// next one needs.
    pub(crate) async fn pop_front(
        &mut self,
        draft: impl AsyncFn(&Digest) -> Result<Draft>,
    ) -> Option<(Digest, Vec<Tag>, Result<Draft>)> {
        let digest = self.order.pop_front()?;
        let tags = self.tags.remove(&digest).unwrap_or_default();
        if let Some(known) = self.drafts.remove(&digest) {
            return Some((digest, tags, known));
        }
        let room = CONCURRENT_IMAGES - 1 - self.drafts.len().min(CONCURRENT_IMAGES - 1);
        let ahead = self.order.iter().filter(|digest| !self.drafts.contains_key(digest)).take(room);
        let ahead = stream::iter(ahead.cloned()).map(async |digest| (draft(&digest).await, digest));
        let ahead = ahead.buffer_unordered(CONCURRENT_IMAGES).collect::<Vec<_>>();
        let (found, ahead) = futures::join!(draft(&digest), ahead);
        self.drafts.extend(ahead.into_iter().map(|(draft, digest)| (digest, draft)));
        Some((digest, tags, found))
    }
}
