//! `Sabotage`: the rules of the protocol, to be broken one at a time.

/// Which rule is broken, by whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sabotage {
    /// None.
    Nothing,
    /// Clients do not see that there is a run, nor what is doomed.
    ClientsDoNotLook,
    /// Clients do not renew what they are told to be here.
    ClientsDoNotRenew,
    /// Clients believe that a file that they have seen is there for ever: no last sight, and a cache of existence.
    ClientsTrustTheirMemory,
    /// The collector does not publish what it is about to delete.
    CollectorDoesNotPublish,
    /// The collector's notice comes up when it has waited already.
    CollectorIsNotNoticed,
    /// The collector does not walk again after it has published.
    CollectorDoesNotLookAgain,
    /// The collector takes every layer link for an old one.
    CollectorIgnoresLinks,
    /// The collector takes all data for old.
    CollectorIgnoresData,
    /// A collector that was stopped for any time goes on as if it had not been.
    CollectorDoesNotNoticeItsSilence,
    /// A deletion goes to the store although the process was stopped until long after its deadline.
    DeletionsIgnoreTheDeadline,
    /// A driver says that a file is deleted while a request for it may still be under way.
    DeletionsUnderWayAreDone,
    /// Clients forget what a run was about to delete as soon as it is over.
    ClientsForgetDeadRuns,
    /// Clients do not see that a deletion is about to remove a tag.
    ClientsDoNotSeeRemovals,
    /// All collectors publish what they are about to delete in one file.
    RunsShareFiles,
}

impl Sabotage {
    /// Every rule that can be broken.
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
