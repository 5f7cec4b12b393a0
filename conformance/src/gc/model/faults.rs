//! `Faults`: the faults that actors of a scenario meet, and how often.

/// The kind of faults in a scenario.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Faults {
    /// No faults.
    Nothing,
    /// Processes stop for a while before any operation, clocks jump or stand still, the store takes any time, answers get lost,
    /// and the store carries out deletions late.
    Anywhere,
    /// Processes stop before deletions, collectors for longer than a registry remembers them, and the store carries out many
    /// deletions late. Two collectors run.
    AtDeletions,
}

/// For each fault, the number of operations of which one meets it; zero for none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odds {
    pub(super) stops: u32,
    pub(super) slow: u32,
    pub(super) lost: u32,
    /// Of deletions: the store carries out one late.
    pub(super) late: u32,
    /// Of deletions: a stop precedes one.
    pub(super) stops_before_deletion: u32,
}

impl Faults {
    pub(super) fn odds(self) -> Odds {
        match self {
            Self::Nothing => Odds { stops: 0, slow: 0, lost: 0, late: 0, stops_before_deletion: 0 },
            Self::Anywhere => Odds { stops: 120, slow: 40, lost: 250, late: 30, stops_before_deletion: 0 },
            Self::AtDeletions => Odds { stops: 0, slow: 0, lost: 0, late: 4, stops_before_deletion: 6 },
        }
    }

    /// Whether the scenario has any faults.
    pub(super) fn any(self) -> bool {
        self != Self::Nothing
    }
}
