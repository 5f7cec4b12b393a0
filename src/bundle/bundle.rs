//! `Bundle`: a plan with the files around it, ready to be written.

use std::fmt;

use bytes::Bytes;
use sampan_engine::oci::Digest;

use crate::header;
use crate::layout::{HeadEntry, OCI_LAYOUT, PLAN, SIGNATURE, head_entries};
use crate::plan::PlannedFile;
use crate::{KeyError, Layout, Plan, PlanProblem, SigningKey};

/// A bundle without its content.
#[derive(Clone)]
pub struct Bundle {
    plan: Plan,
    head: LeadingFiles,
    layout: Layout,
}

/// The files before the content.
#[derive(Clone)]
pub struct LeadingFiles {
    /// The plan, `bundle.json`.
    pub plan: Bytes,
    /// The signature of the plan, `bundle.json.sig`.
    pub signature: Option<Bytes>,
    /// The files for other tools, in the order of the plan.
    pub files: Vec<Bytes>,
}

impl Bundle {
    /// Assembles a bundle of `plan` and the [files for other tools](crate::index_json), and signs it.
    ///
    /// # Errors
    ///
    /// When the plan contradicts itself or is too long, or the key does not sign.
    pub fn assemble(
        mut plan: Plan,
        index_json: Bytes,
        manifest_json: Option<Bytes>,
        key: Option<&SigningKey>,
    ) -> Result<Self, AssembleError> {
        let files: Vec<Bytes> = [index_json].into_iter().chain(manifest_json).collect();
        let planned = Plan::FILES.iter().zip(&files).map(|(name, content)| PlannedFile {
            name: (*name).to_owned(),
            size_bytes: content.len() as u64,
            digest: Digest::sha256_of(content),
        });
        plan.files = planned.collect();
        let json = plan.encode()?;
        let signature = key.map(|key| key.sign(&json)).transpose()?;
        Ok(Self::of(plan, LeadingFiles { plan: json, signature, files })?)
    }

    /// The bundle with this head, whose `plan` is the decoded one.
    ///
    /// # Errors
    ///
    /// When the bundle would be longer than a file can be.
    pub fn of(plan: Plan, head: LeadingFiles) -> Result<Self, PlanProblem> {
        let signature = head.signature.as_ref().map(|signature| signature.len() as u64);
        let layout = Layout::of(&plan, head.plan.len() as u64, signature)?;
        Ok(Self { plan, head, layout })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The files before the content.
    pub fn head(&self) -> &LeadingFiles {
        &self.head
    }

    /// The offsets.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The name of the bundle: the digest of its plan, which fixes every other byte but for the signature.
    pub fn name(&self) -> Digest {
        Digest::sha256_of(&self.head.plan)
    }

    /// The bytes before the first content, in pieces.
    pub(crate) fn head_pieces(&self) -> Vec<Bytes> {
        let signature = self.head.signature.as_ref();
        let entries = head_entries(
            &self.plan,
            self.head.plan.len() as u64,
            signature.map(|signature| signature.len() as u64),
        );
        let mut pieces = Vec::new();
        for entry in entries {
            let (name, size_bytes) = match entry {
                HeadEntry::File { name, size_bytes } => (name, size_bytes),
                HeadEntry::Directory(name) => {
                    pieces.push(header::directory(&name));
                    continue;
                }
            };
            pieces.push(header::file(name, size_bytes));
            pieces.extend(match name {
                PLAN => Some(self.head.plan.clone()),
                SIGNATURE => signature.cloned(),
                name if name == OCI_LAYOUT.0 => Some(Bytes::from_static(OCI_LAYOUT.1)),
                name => {
                    let place = Plan::FILES.iter().position(|file| *file == name);
                    place.and_then(|place| self.head.files.get(place).cloned())
                }
            });
            pieces.push(zeros(header::padding(size_bytes)));
        }
        pieces
    }
}

/// Up to a kilobyte of zeros.
pub(crate) fn zeros(len: u64) -> Bytes {
    static ZEROS: [u8; header::END as usize] = [0; header::END as usize];
    Bytes::from_static(&ZEROS[..(len as usize).min(ZEROS.len())])
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").field("name", &self.name()).field("len", &self.layout.len_bytes()).finish()
    }
}

impl fmt::Debug for LeadingFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("is_signed", &self.signature.is_some()).finish_non_exhaustive()
    }
}

/// Why a bundle could not be assembled.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The plan is invalid.
    #[error("cannot plan the bundle: {0}")]
    Plan(#[from] PlanProblem),
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}
