//! `FoundProblems`: the problems that verifications of this process found last. The store keeps none.

use std::collections::VecDeque;
use std::time::SystemTime;

use parking_lot::Mutex;
use sampan_engine::verify::Problem;

use super::Verifier;

/// The most problems that are kept, images that need each, and tags of an image: about a mebibyte together.
const MAX_KEPT: usize = 100;
const MAX_IMAGES: usize = 10;
const MAX_TAGS: usize = 5;

/// The problems that were found last, each file once, the latest first.
#[derive(Debug, Default)]
pub(super) struct FoundProblems {
    /// A plain mutex: held to copy or add.
    found: Mutex<VecDeque<FoundProblem>>,
}

/// A problem that a verification has found.
#[derive(Clone, Debug)]
pub struct FoundProblem {
    /// The time of the finding.
    pub at: SystemTime,
    /// The problem, with some of the images that need the content.
    pub problem: Problem,
    /// Further images.
    pub more_images: u64,
}

impl FoundProblems {
    /// Adds what was found now.
    pub(super) fn add(&self, problems: &[Problem]) {
        let (now, mut found) = (SystemTime::now(), self.found.lock());
        for problem in problems.iter().take(MAX_KEPT) {
            found.retain(|known| known.problem.path != problem.path);
            found.push_front(FoundProblem::of(problem, now));
        }
        found.truncate(MAX_KEPT);
    }

    /// All of them, the latest first.
    pub(super) fn all(&self) -> Vec<FoundProblem> {
        self.found.lock().iter().cloned().collect()
    }
}

impl FoundProblem {
    fn of(problem: &Problem, at: SystemTime) -> Self {
        let mut problem = problem.clone();
        let more_images = problem.needed_by.len().saturating_sub(MAX_IMAGES) as u64;
        problem.needed_by.truncate(MAX_IMAGES);
        problem.needed_by.iter_mut().for_each(|need| need.tags.truncate(MAX_TAGS));
        Self { at, problem, more_images }
    }
}

impl Verifier {
    /// The problems that were found last, each file once, the latest first.
    pub fn found(&self) -> Vec<FoundProblem> {
        self.record.found.all()
    }
}

#[cfg(test)]
mod tests {
    use sampan_engine::oci::Digest;
    use sampan_engine::verify::{Need, ProblemKind, RepairOutcome};

    use super::*;

    #[test]
    fn the_problems_that_were_found_last_are_kept() {
        let kept = FoundProblems::default();
        let need = Need {
            repository: "app".to_owned(),
            manifest: Digest::sha256_of(b""),
            tags: vec!["v1".to_owned(); 20],
        };
        let problem = |number: usize, outcome: &str| Problem {
            path: format!("/{number}"),
            kind: ProblemKind::Missing,
            digest: None,
            needed_by: vec![need.clone(); 100],
            outcome: RepairOutcome::Left(outcome.to_owned()),
        };
        for number in 0..MAX_KEPT + 1 {
            kept.add(&[problem(number, "first")]);
        }
        kept.add(&[problem(7, "again")]);
        let more_images = kept.all()[0].more_images;
        let found: Vec<Problem> = kept.all().into_iter().map(|found| found.problem).collect();
        assert_eq!((found.len(), found[0].path.as_str()), (MAX_KEPT, "/7"));
        assert_eq!(found[0].outcome, RepairOutcome::Left("again".to_owned()));
        assert_eq!(found[1].path, format!("/{MAX_KEPT}"));
        assert!(found.iter().all(|problem| problem.path != "/0"), "the first one has no room");
        let need = (found[0].needed_by.len(), found[0].needed_by[0].tags.len(), more_images);
        assert_eq!(need, (MAX_IMAGES, MAX_TAGS, 90));
    }
}
