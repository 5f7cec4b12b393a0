//! `Report`: the result of a verification.

use serde::{Deserialize, Serialize};

use super::problem::{Problem, RepairOutcome};

/// The result of a verification.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Report {
    /// The report of the structure; `None` if that step was left out.
    pub structure: Option<StructureReport>,
    /// The report of the data; `None` if that step was left out.
    pub data: Option<DataReport>,
    /// How the run ended.
    pub ending: EndReason,
    /// Why it ended, if it failed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The problems, at most ten thousand of them.
    pub problems: Vec<Problem>,
    /// Further problems that are not in the list.
    pub more_problems: u64,
    /// When the structure of the whole store was read to its end, in milliseconds since 1970. `acknowledge` writes it down: until
    /// then its problems are shown nowhere.
    #[serde(skip)]
    pub structure_ms: Option<u64>,
}

/// The report of the structure.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct StructureReport {
    /// Repositories.
    pub repositories: u64,
    /// Tags.
    pub tags: u64,
    /// Manifests, once for each repository that has them.
    pub manifests: u64,
    /// Links to blobs.
    pub layer_links: u64,
    /// Children of indexes that their repository does not have. Registries can accept such indexes, so this is no problem.
    pub absent_children: u64,
    /// Files that belong to no registry.
    pub foreign: u64,
}

/// The report of the data.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct DataReport {
    /// Blobs and manifests that were hashed in this run.
    pub blobs: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Those that earlier runs of this cycle had hashed.
    pub blobs_before: u64,
    /// All blobs and manifests of the store at the beginning, or of the part of it that was to be hashed.
    pub of_blobs: u64,
    /// Their length in bytes.
    pub of_bytes: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// It checked everything that its options name.
    #[default]
    Finished,
    /// It was stopped, or its time was over; the next run continues there.
    Stopped,
    /// So much is damaged or unreadable that the disk or the memory must be defective: the run stopped, and moved nothing.
    TooMuch,
    /// The store did not answer, or nothing of it can be seen: the run stopped, and moved nothing. The report has what was found
    /// until then, and the next run continues there.
    Failed,
}

impl Report {
    /// Whether nothing is wrong, or nothing any more. A run that failed has not seen everything.
    pub fn is_whole(&self) -> bool {
        self.error.is_none() && self.more_problems == 0 && self.problems.iter().all(Problem::is_mended)
    }

    /// The number of problems.
    pub fn count(&self) -> u64 {
        self.problems.len() as u64 + self.more_problems
    }

    /// How many problems are repaired now.
    pub fn repaired(&self) -> u64 {
        self.problems.iter().filter(|problem| problem.is_mended()).count() as u64
    }

    /// How many data were moved aside.
    pub fn moved(&self) -> u64 {
        let is_moved = |problem: &&Problem| matches!(problem.outcome, RepairOutcome::MovedAside(_));
        self.problems.iter().filter(is_moved).count() as u64
    }
}
