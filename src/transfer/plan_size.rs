//! `PlanSize`: the least length that a plan will have as a file, counted while it is made.
//!
//! The lists of a plan grow by what a source answers, so each addition is counted before the next request. No plan that would
//! fit as a file is refused.

use sampan_bundle::{LeftOut, PlanProblem, PlannedImage, PlannedReferrer};
use sampan_engine::oci::Digest;

use crate::Result;

#[derive(Debug)]
pub(crate) struct PlanSize {
    bytes: u64,
    max: u64,
}

impl PlanSize {
    /// Counts up to `max` bytes.
    pub(crate) fn new(max: u64) -> Self {
        Self { bytes: 0, max }
    }

    /// Adds texts of the plan, each with its quotes.
    ///
    /// # Errors
    ///
    /// `TooLarge` when the plan cannot fit any more.
    pub(crate) fn add<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.bytes += texts.into_iter().map(|text| text.len() as u64 + 2).sum::<u64>();
        match self.bytes > self.max {
            true => Err(PlanProblem::TooLarge(self.bytes).into()),
            false => Ok(()),
        }
    }

    pub(crate) fn add_digest(&mut self, digest: &Digest) -> Result<()> {
        self.add([digest.algorithm().as_str(), digest.hex()])
    }

    pub(crate) fn add_left_out(&mut self, left_out: &LeftOut) -> Result<()> {
        self.add_digest(&left_out.digest)?;
        self.add([left_out.platform.as_str()])
    }

    pub(crate) fn add_referrer(&mut self, referrer: &PlannedReferrer) -> Result<()> {
        self.add_digest(&referrer.digest)?;
        self.add_digest(&referrer.subject)?;
        self.add([referrer.media_type.as_str(), &referrer.artifact_type])
    }

    pub(crate) fn add_image(&mut self, image: &PlannedImage) -> Result<()> {
        self.add_digest(&image.digest)?;
        self.add(image.tags.iter().map(|tag| tag.as_str()))?;
        self.add([image.media_type.as_str()])?;
        image.left_out.iter().try_for_each(|it| self.add_left_out(it))?;
        image.referrers.iter().try_for_each(|it| self.add_referrer(it))
    }
}
