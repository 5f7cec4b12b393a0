//! `Sabotage`: the rules of the protocol; a play breaks one at a time.

/// The broken rule, and the side that breaks it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sabotage {
    /// No rule.
    Nothing,
    /// Clients see neither runs nor pending deletions.
    ClientsDoNotLook,
    /// Clients do not renew the leases of what the registry confirms.
    ClientsDoNotRenew,
    /// Clients believe that a file which they have seen exists for ever: they skip the last check and cache existence.
    ClientsTrustTheirMemory,
    /// The collector does not publish its pending deletions.
    CollectorDoesNotPublish,
    /// The collector's notice becomes visible only after the collector has waited.
    CollectorIsNotNoticed,
    /// The collector does not walk again after it has published.
    CollectorDoesNotLookAgain,
    /// The collector takes every layer link for old.
    CollectorIgnoresLinks,
    /// The collector takes all data for old.
    CollectorIgnoresData,
    /// A collector continues after a stop of any length as if it had not stopped.
    CollectorDoesNotNoticeItsSilence,
    /// A deletion goes to the store although the process was stopped until long after its deadline.
    DeletionsIgnoreTheDeadline,
    /// A driver reports a file as deleted while the store may still carry out a request for it.
    DeletionsUnderWayAreDone,
    /// Clients forget the pending deletions of a run as soon as it is over.
    ClientsForgetDeadRuns,
    /// Clients do not see that a deletion is about to remove a tag.
    ClientsDoNotSeeRemovals,
    /// All collectors publish their pending deletions in one file.
    RunsShareFiles,
}

impl Sabotage {
    /// Every rule that a play can break.
    pub const ALL: [Self; 14] = [
        Self::ClientsDoNotLook,
        Self::ClientsDoNotRenew,
        Self::ClientsTrustTheirMemory,
        Self::CollectorDoesNotPublish,
        Self::CollectorIsNotNoticed,
        Self::CollectorDoesNotLookAgain,
        Self::CollectorIgnoresLinks,
        Self::CollectorIgnoresData,
        Self::CollectorDoesNotNoticeItsSilence,
        Self::DeletionsIgnoreTheDeadline,
        Self::DeletionsUnderWayAreDone,
        Self::ClientsForgetDeadRuns,
        Self::ClientsDoNotSeeRemovals,
        Self::RunsShareFiles,
    ];
}
