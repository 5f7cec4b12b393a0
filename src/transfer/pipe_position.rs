//! `PipePosition`: how far an import has read a pipe, which does not go back.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use sampan_bundle::Plan;
use sampan_engine::oci::Digest;

/// The place in a pipe, and those where the content of images and referrers begins.
#[derive(Debug)]
pub(crate) struct PipePosition {
    /// The index of the content behind the last one that was read.
    next: AtomicUsize,
    /// The indexes of the manifests of images and referrers, sorted.
    roots: Vec<usize>,
}

impl PipePosition {
    pub(crate) fn new(plan: &Plan) -> Self {
        let places = plan.contents.iter().enumerate();
        let places: HashMap<&Digest, usize> = places.map(|(index, it)| (&it.digest, index)).collect();
        let digests = plan.images().flat_map(|(_, image)| {
            let referrers = image.referrers.iter().map(|referrer| &referrer.digest);
            std::iter::once(&image.digest).chain(referrers)
        });
        let mut roots: Vec<usize> = digests.filter_map(|digest| places.get(digest).copied()).collect();
        roots.sort_unstable();
        Self { next: AtomicUsize::new(0), roots }
    }

    /// Notes that a content is read.
    pub(crate) fn add(&self, index: usize) {
        self.next.fetch_max(index + 1, Ordering::Relaxed);
    }

    /// What the pipe has still to pass of the root whose manifest is `own`, out of `len` contents.
    pub(crate) fn rest_of(&self, own: usize, len: usize) -> Range<usize> {
        let next = self.next.load(Ordering::Relaxed);
        let behind = next.max(own + 1);
        let end = self.roots.partition_point(|root| *root < behind);
        next..self.roots.get(end).copied().unwrap_or(len)
    }
}

#[cfg(test)]
mod tests {
    use sampan_bundle::{ContentKind, PlannedContent, PlannedImage, PlannedRepository};

    use super::*;

    #[test]
    fn the_rest_of_a_root_ends_before_the_next_one() {
        let digest = |number: u8| Digest::sha256_of(&[number]);
        let contents = (0..7).map(|number| PlannedContent {
            digest: digest(number),
            size_bytes: 1,
            kind: ContentKind::Blob,
        });
        let image = |number| PlannedImage {
            digest: digest(number),
            tags: Vec::new(),
            media_type: String::new(),
            left_out: Vec::new(),
            referrers: Vec::new(),
        };
        let name = "a".parse().unwrap();
        let images = vec![image(0), image(3)];
        let plan = Plan {
            contents: contents.collect(),
            repositories: vec![PlannedRepository { name, complete: false, images }],
            ..Plan::default()
        };
        let passed = PipePosition::new(&plan);
        assert_eq!(passed.rest_of(0, 7), 0..3);
        passed.add(0);
        assert_eq!(passed.rest_of(0, 7), 1..3);
        assert_eq!(passed.rest_of(3, 7), 1..7);
        passed.add(2);
        passed.add(1);
        assert_eq!(passed.rest_of(0, 7), 3..3);
        // The manifest of a root may have passed before, as the content of another one.
        passed.add(4);
        assert_eq!(passed.rest_of(2, 7), 5..7);
    }
}
