//! The keys of an entry of `sync`.

use std::time::Duration;

use crate::section::section;
use crate::values::{DailyWindow, Pattern, RepositoryPattern, VersionRange};

section! {
    /// An entry of `sync`: a job that copies repositories of one upstream.
    pub struct SyncJob {
        /// A name for the log, the metrics and the job's report: lower-case letters, digits, `-`, `_` and `.`.
        pub name: String,
        /// The `name` of an entry of `proxy.upstreams`; `remote` is that of `proxy.remoteurl`.
        pub from: String,
        /// From the beginning of one run to that of the next; `1m` at least.
        pub interval: Duration = "6h",
        /// The part of each day in which the job may run, in UTC, such as `02:00-05:00` or `22:00-04:00`.
        pub window: Option<DailyWindow>,
        /// The job stops when the upstream says that so many pulls are left; `0` is no bound.
        pub reserve: u64 = "0",
        /// The repositories that are copied; one at least.
        pub repositories: Vec<SyncRepository>,
    }
}

section! {
    /// An entry of `repositories` of a job.
    pub struct SyncRepository {
        /// A repository by its name there, without the upstream's `path`, or a pattern for names; see
        /// [access.md](access.md#patterns).
        pub from: RepositoryPattern,
        /// An ordinary repository here, in place of the components of `from` before its pattern: `base` makes
        /// `library/debian` of `library/*` there `base/debian` here. Unset, the images go into the cache.
        pub to: Option<String>,
        /// Which tags.
        pub tags: SyncTags,
        /// Only images for these platforms, such as `linux/amd64` or `linux/arm64/v8`; none means all.
        pub platforms: Vec<String>,
        /// Also copies what refers to the images, such as signatures and SBOMs.
        pub referrers: bool = "true",
        /// Removes tags here that the upstream has no more; needs `to`.
        pub prune: bool = "false",
    }
}

section! {
    /// `tags` of an entry of `repositories`. A tag must fit all of them.
    pub struct SyncTags {
        /// Regular expressions, which match anywhere unless anchored; a tag fits one of them. None means all tags.
        pub allow: Vec<Pattern>,
        /// Exceptions to `allow`.
        pub deny: Vec<Pattern>,
        /// A range of versions, such as `>=12, <14`; a leading `v` of a tag does not count, and other tags do not fit.
        pub semver: Option<VersionRange>,
        /// Of the versions that are left, only so many of the newest; 1 at least.
        pub newest: Option<usize>,
    }
}
