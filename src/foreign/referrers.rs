//! `Referrers`: manifests without a name that are attached to an image of the same file (OCI image-spec, `subject`).

use std::collections::{HashMap, HashSet, VecDeque};

use sampan_bundle::{MAX_PLAN_BYTES, PlanProblem, PlannedReferrer};
use sampan_engine::oci::{Digest, MediaType};

use crate::listing::{ListedImage, Naming};
use crate::walk::{ImageRepositories, Walker};
use crate::{Error, Result};

/// The least that a referrer takes in a plan, in bytes.
const MIN_REFERRER_BYTES: u64 = 160;

/// The referrers of a file, by their subjects.
#[derive(Debug, Default)]
pub(crate) struct Referrers {
    by_subject: HashMap<Digest, Vec<PlannedReferrer>>,
    attached: HashSet<Digest>,
    planned: u64,
}

impl Referrers {
    /// Finds the referrers among the images without a name.
    ///
    /// # Errors
    ///
    /// `Damaged` when a manifest is; when the file cannot be read.
    pub(crate) fn of(listed: &[ListedImage], walker: &Walker<'_>) -> Result<Self> {
        let (mut referrers, mut seen) = (Self::default(), HashSet::new());
        for image in listed.iter().filter(|image| image.naming == Naming::Nothing) {
            if !seen.insert(&image.digest) {
                continue;
            }
            let Some((_, bytes, manifest)) = walker.manifest(&image.digest)? else { continue };
            let Some(subject) = &manifest.subject else { continue };
            referrers.by_subject.entry(subject.digest.clone()).or_default().push(PlannedReferrer {
                digest: image.digest.clone(),
                subject: subject.digest.clone(),
                media_type: MediaType::of_manifest(&bytes).as_str().to_owned(),
                artifact_type: manifest.effective_artifact_type().unwrap_or_default().to_owned(),
            });
        }
        Ok(referrers)
    }

    /// The referrers of these manifests of an image, of theirs, and so on; their content is added to `walker`.
    ///
    /// # Errors
    ///
    /// As [`Walker::walk`]; when they are too many for a plan.
    pub(crate) fn attached_to(
        &mut self,
        manifests: &[Digest],
        homes: &ImageRepositories,
        walker: &mut Walker<'_>,
    ) -> Result<Vec<PlannedReferrer>> {
        let (mut found, mut known) = (Vec::new(), HashSet::new());
        let mut subjects: VecDeque<Digest> = manifests.iter().cloned().collect();
        while let Some(subject) = subjects.pop_front() {
            for referrer in self.by_subject.get(&subject).into_iter().flatten() {
                if !known.insert(&referrer.digest) {
                    continue;
                }
                subjects.extend(walker.walk(&referrer.digest, homes)?.manifests);
                self.attached.insert(referrer.digest.clone());
                found.push(referrer.clone());
            }
        }
        self.planned += found.len() as u64;
        match self.planned.saturating_mul(MIN_REFERRER_BYTES) {
            bytes if bytes > MAX_PLAN_BYTES => {
                Err(Error::damaged("index.json", PlanProblem::TooLarge(bytes).to_string()))
            }
            _ => Ok(found),
        }
    }

    /// The digests of all referrers.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Digest> {
        self.by_subject.values().flatten().map(|referrer| &referrer.digest)
    }

    /// How many are attached to nothing in the file.
    pub(crate) fn orphans(&self) -> u64 {
        self.all().filter(|digest| !self.attached.contains(*digest)).count() as u64
    }
}
