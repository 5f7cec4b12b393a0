//! `JobReport`: what a run of a job did.

use serde::{Deserialize, Serialize};

/// The result of a run of a job, or its progress so far.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct JobReport {
    /// The repositories that were looked at.
    pub repositories: u64,
    /// The images that were stored, or got a tag.
    pub copied: u64,
    /// The images that were here already.
    pub unchanged: u64,
    /// The blobs that were stored.
    pub blobs: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// The tags that went, since the upstream has them no more.
    pub removed_tags: u64,
    /// The images and repositories that were not copied.
    pub failed: u64,
    /// The first of these.
    pub failures: Vec<JobFailure>,
    /// Why the run stopped before its end; `None` if it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// When the next run may begin, in seconds from the end of this one, if the upstream said so or that is known otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_secs: Option<u64>,
}

/// An image or a repository that was not copied.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct JobFailure {
    /// Its name here.
    pub image: String,
    /// The problem.
    pub problem: String,
}

/// How many failures a report names.
const MAX_FAILURES: usize = 20;

impl JobReport {
    /// Whether everything that the job wants is here.
    pub fn is_whole(&self) -> bool {
        self.failed == 0 && self.stopped.is_none()
    }

    pub(crate) fn fail(&mut self, image: String, problem: String) {
        self.failed += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(JobFailure { image, problem });
        }
    }
}
