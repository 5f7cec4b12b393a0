//! `Faults`: what befalls the actors of a scenario, and how often.

/// Of which kind the faults of a scenario are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Faults {
    /// There are none.
    Nothing,
    /// Processes stop for a while before any operation, clocks jump or stand still, the store takes any time, answers get lost,
    /// and deletions are carried out late.
    Anywhere,
    /// Processes stop before deletions, collectors for longer than a registry remembers them, and many deletions are carried out
    /// late. Two collectors run.
    AtDeletions,
}

/// Of how many operations one meets each fault; zero for none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Odds {
    pub(super) stops: u32,
    pub(super) slow: u32,
    pub(super) lost: u32,
    /// Of deletions: is carried out late.
    pub(super) late: u32,
    /// Of deletions: follows a stop.
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

    /// Whether there are any.
    pub(super) fn any(self) -> bool {
        self != Self::Nothing
    }
}
