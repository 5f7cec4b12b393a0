//! The verifier as the web page sees it.

use sampan_ui::{FoundProblem, Verifications};

use crate::maintenance::Verifier;

impl Verifications for Verifier {
    fn is_enabled(&self) -> bool {
        self.is_enabled()
    }

    fn problems(&self) -> Vec<FoundProblem> {
        let found = self.found().into_iter();
        found.map(|found| FoundProblem { at: found.at, problem: found.problem }).collect()
    }
}
