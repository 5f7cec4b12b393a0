//! `Layout`: the offset of every entry of a bundle, a pure function of its plan.

use std::collections::BTreeSet;
use std::ops::Range;

use sampan_engine::oci::Algorithm;

use crate::content::path_of;
use crate::header::{self, BLOCK, END};
use crate::{Plan, PlanProblem, PlannedContent};

/// The first entry of every image layout (OCI image-spec, `image-layout.md`, "oci-layout file").
pub(crate) const OCI_LAYOUT: (&str, &[u8]) = ("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);

/// The entry of the plan.
pub(crate) const PLAN: &str = "bundle.json";

/// The entry of the signature.
pub(crate) const SIGNATURE: &str = "bundle.json.sig";

/// The longest signature, in bytes.
pub(crate) const MAX_SIGNATURE_BYTES: u64 = 4096;

/// The offsets of a bundle, in bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    /// The offset of each content's header.
    headers: Vec<u64>,
    /// The offset behind the last content.
    contents_end: u64,
}

/// An entry before the content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum HeadEntry {
    File { name: &'static str, size_bytes: u64 },
    Directory(String),
}

impl Layout {
    /// The layout of a bundle whose plan and signature have these lengths.
    ///
    /// # Errors
    ///
    /// When the bundle would be longer than a file can be.
    pub fn of(plan: &Plan, plan_bytes: u64, signature_bytes: Option<u64>) -> Result<Self, PlanProblem> {
        let mut offset = 0u64;
        for entry in head_entries(plan, plan_bytes, signature_bytes) {
            offset = entry.len().and_then(|len| offset.checked_add(len)).ok_or(PlanProblem::Overflow)?;
        }
        let mut headers = Vec::with_capacity(plan.contents.len());
        for content in &plan.contents {
            headers.push(offset);
            let len = padded(header::len(&content.path()), content.size_bytes);
            offset = len.and_then(|len| offset.checked_add(len)).ok_or(PlanProblem::Overflow)?;
        }
        offset.checked_add(END).filter(|len| i64::try_from(*len).is_ok()).ok_or(PlanProblem::Overflow)?;
        Ok(Self { headers, contents_end: offset })
    }

    /// The length of the bundle.
    pub fn len_bytes(&self) -> u64 {
        self.contents_end + END
    }

    /// The offset of the first content, where the head ends.
    pub fn head_len(&self) -> u64 {
        self.header(0)
    }

    /// The offset of the header of the content with this index; with the number of contents, the offset behind them.
    pub fn header(&self, index: usize) -> u64 {
        self.headers.get(index).copied().unwrap_or(self.contents_end)
    }

    /// The range of the bytes of a content.
    pub fn data(&self, index: usize, content: &PlannedContent) -> Range<u64> {
        let start = self.header(index) + header::len(&content.path());
        start..start + content.size_bytes
    }

    /// The index of the content that the byte at `offset` belongs to: header, data or padding.
    pub fn content_at(&self, offset: u64) -> Option<usize> {
        if offset >= self.contents_end {
            return None;
        }
        self.headers.partition_point(|header| *header <= offset).checked_sub(1)
    }

    /// The number of contents.
    pub fn count(&self) -> usize {
        self.headers.len()
    }
}

impl HeadEntry {
    fn len(&self) -> Option<u64> {
        match self {
            Self::File { name, size_bytes } => padded(header::len(name), *size_bytes),
            Self::Directory(_) => Some(BLOCK),
        }
    }
}

/// The entries before the content, in their order.
pub(crate) fn head_entries(plan: &Plan, plan_bytes: u64, signature_bytes: Option<u64>) -> Vec<HeadEntry> {
    let (name, content) = OCI_LAYOUT;
    let mut entries = vec![HeadEntry::File { name, size_bytes: content.len() as u64 }];
    entries.push(HeadEntry::File { name: PLAN, size_bytes: plan_bytes });
    entries.extend(signature_bytes.map(|size_bytes| HeadEntry::File { name: SIGNATURE, size_bytes }));
    let files = plan.files.iter().zip(Plan::FILES);
    entries.extend(files.map(|(file, name)| HeadEntry::File { name, size_bytes: file.size_bytes }));
    entries.push(HeadEntry::Directory("blobs/".to_owned()));
    let mut algorithms: BTreeSet<Algorithm> =
        plan.contents.iter().map(|content| content.digest.algorithm()).collect();
    algorithms.insert(Algorithm::Sha256);
    entries
        .extend(algorithms.into_iter().map(|algorithm| HeadEntry::Directory(format!("blobs/{algorithm}/"))));
    entries
}

fn padded(header_len: u64, size_bytes: u64) -> Option<u64> {
    header_len.checked_add(size_bytes)?.checked_add(header::padding(size_bytes))
}

/// The header of a content.
pub(crate) fn content_header(content: &PlannedContent) -> bytes::Bytes {
    header::file(&path_of(&content.digest), content.size_bytes)
}
