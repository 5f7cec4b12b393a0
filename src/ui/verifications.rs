//! `Verifications`: what the running registry has found in its store, as far as the page shows it.

use std::fmt;
use std::time::SystemTime;

use sampan_engine::verify::Problem;

/// The verifications of the running registry. How far they are is in the store, where other replicas write it too.
pub trait Verifications: fmt::Debug + Send + Sync + 'static {
    /// Whether the registry verifies its store by itself.
    fn is_enabled(&self) -> bool;

    /// The problems that this process has found, each file once, the latest first.
    fn problems(&self) -> Vec<FoundProblem>;
}

/// A problem, and when it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FoundProblem {
    /// When it was found.
    pub at: SystemTime,
    /// The problem.
    pub problem: Problem,
}
