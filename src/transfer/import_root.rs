//! `Root`: an image or a referrer that an import stores whole.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sampan_engine::oci::{Descriptor, Digest, Manifest, Tag};

use crate::import_checks::SelectedImage;

/// A manifest that is imported with everything below it: an image, or one of its referrers.
pub(crate) struct Root<'a> {
    pub(crate) image: &'a SelectedImage<'a>,
    pub(crate) is_image: bool,
    /// Whether no referrer of the image follows.
    pub(crate) is_last: bool,
    pub(crate) digest: &'a Digest,
    pub(crate) tags: Vec<Tag>,
    pub(crate) left_out: HashSet<&'a Digest>,
    /// Shared by the roots of an image.
    failed: Arc<AtomicBool>,
}

impl<'a> Root<'a> {
    /// The image and its referrers, in the order in which they are stored.
    pub(crate) fn of_image(
        image: &'a SelectedImage<'a>,
        kept: &HashSet<String>,
    ) -> impl Iterator<Item = Self> + use<'a> {
        let tags = image.tags.iter().filter(|tag| !kept.contains(&format!("{}:{tag}", image.target)));
        let tags: Vec<Tag> = tags.cloned().collect();
        let (failed, last) = (Arc::new(AtomicBool::new(false)), image.planned.referrers.len());
        let digests = image.planned.referrers.iter().map(|referrer| &referrer.digest);
        let digests = std::iter::once(&image.planned.digest).chain(digests);
        digests.enumerate().map(move |(place, digest)| Self {
            image,
            is_image: place == 0,
            is_last: place == last,
            digest,
            tags: if place == 0 { tags.clone() } else { Vec::new() },
            left_out: image.planned.left_out.iter().map(|it| &it.digest).collect(),
            failed: failed.clone(),
        })
    }

    /// The lines of its tags in a receipt, without those that were `kept` as they are.
    pub(crate) fn named(&self, kept: &[Tag]) -> impl Iterator<Item = String> {
        let set = self.tags.iter().filter(|tag| !kept.contains(tag));
        set.map(|tag| format!("{}:{tag} {}", self.image.target, self.digest))
    }

    /// Whether it sets this tag, shown with its repository.
    pub(crate) fn sets(&self, tag: &str) -> bool {
        self.tags.iter().any(|set| format!("{}:{set}", self.image.target) == tag)
    }

    /// Whether the bundle leaves a reference of this manifest out.
    pub(crate) fn leaves_out(&self, manifest: &Manifest, reference: &Descriptor) -> bool {
        self.left_out.contains(&reference.digest) && manifest.may_lack(reference)
    }

    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}
