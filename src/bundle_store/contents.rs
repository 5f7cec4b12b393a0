//! `Contents`: the manifests and blobs of all bundles, by digest.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use sampan_bundle::{ContentKind, Fault, PartFiles, Plan, PlannedContent, Reader};
use sampan_engine::oci::Digest;

/// One content of one bundle. A plan has less than 2³² contents, since its length has a limit.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct ContentIndex {
    bundle: u32,
    index: u32,
}

/// An open bundle.
#[derive(Debug)]
struct OpenBundle {
    reader: Reader,
    files: Arc<PartFiles>,
}

/// The contents of all bundles.
pub(crate) struct Contents {
    bundles: Vec<OpenBundle>,
    /// One place for each digest, in the order of the digests.
    sorted: Vec<ContentIndex>,
}

impl Contents {
    /// The contents of bundles, each opened from files.
    pub(crate) fn of(readers: Vec<Reader>) -> Self {
        let opened = readers.into_iter().filter_map(|reader| {
            let files = reader.files()?.clone();
            Some(OpenBundle { reader, files })
        });
        let mut contents = Self { bundles: opened.collect(), sorted: Vec::new() };
        for (bundle, opened) in contents.bundles.iter().enumerate() {
            let indexes = 0..opened.reader.plan().contents.len();
            contents
                .sorted
                .extend(indexes.map(|index| ContentIndex { bundle: bundle as u32, index: index as u32 }));
        }
        let mut sorted = std::mem::take(&mut contents.sorted);
        // Content that one bundle has as a manifest is one, and else the first bundle counts.
        let rank = |place: &ContentIndex| (contents.planned(*place).kind != ContentKind::Manifest, *place);
        sorted.sort_unstable_by(|a, b| {
            contents.digest(*a).cmp(contents.digest(*b)).then_with(|| rank(a).cmp(&rank(b)))
        });
        sorted.dedup_by(|a, b| contents.digest(*a) == contents.digest(*b));
        sorted.shrink_to_fit();
        contents.sorted = sorted;
        contents
    }

    /// The plans of the bundles in their order.
    pub(crate) fn plans(&self) -> impl ExactSizeIterator<Item = &Plan> {
        self.bundles.iter().map(|opened| opened.reader.plan())
    }

    /// The bundles in their order.
    pub(crate) fn bundles(&self) -> impl ExactSizeIterator<Item = (&Reader, &Arc<PartFiles>)> {
        self.bundles.iter().map(|opened| (&opened.reader, &opened.files))
    }

    /// The plan of one bundle.
    pub(crate) fn plan(&self, bundle: usize) -> &Plan {
        self.bundles[bundle].reader.plan()
    }

    /// The path of the file of one bundle.
    pub(crate) fn path(&self, bundle: usize) -> &Path {
        self.bundles[bundle].files.path()
    }

    /// Every digest's place, in the order of the digests, which is also that of the paths of data.
    pub(crate) fn sorted(&self) -> &[ContentIndex] {
        &self.sorted
    }

    /// The place of a digest.
    pub(crate) fn find(&self, digest: &Digest) -> Option<ContentIndex> {
        let found = self.sorted.binary_search_by(|place| self.digest(*place).cmp(digest));
        found.ok().map(|found| self.sorted[found])
    }

    /// The content as its plan has it.
    pub(crate) fn planned(&self, place: ContentIndex) -> &PlannedContent {
        &self.bundles[place.bundle as usize].reader.plan().contents[place.index as usize]
    }

    /// The digest of a content.
    pub(crate) fn digest(&self, place: ContentIndex) -> &Digest {
        &self.planned(place).digest
    }

    /// The length of a content in bytes.
    pub(crate) fn size_bytes(&self, place: ContentIndex) -> u64 {
        self.planned(place).size_bytes
    }

    /// The files that have a content.
    pub(crate) fn files(&self, place: ContentIndex) -> &Arc<PartFiles> {
        &self.bundles[place.bundle as usize].files
    }

    /// The range of a content in its bundle.
    pub(crate) fn range(&self, place: ContentIndex) -> Range<u64> {
        let reader = &self.bundles[place.bundle as usize].reader;
        reader.layout().data(place.index as usize, self.planned(place))
    }

    /// A fault of a content, with its entry, part and offset.
    pub(crate) fn fault(&self, place: ContentIndex, problem: String) -> Fault {
        self.bundles[place.bundle as usize].reader.fault(place.index as usize, problem)
    }

    /// The fault of a content whose bytes hash to `actual`.
    pub(crate) fn wrong_digest(&self, place: ContentIndex, actual: &Digest) -> Fault {
        self.bundles[place.bundle as usize].reader.wrong_digest(place.index as usize, actual)
    }
}
