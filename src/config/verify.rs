//! The section `verify`: the verification of the store in the running registry.

use std::time::Duration;

use super::findings::Findings;
use super::section::section;
use super::values::{ByteSize, DailyWindow};

section! {
    /// Whether and how fast the running registry looks for damaged content.
    pub struct VerifyConfig {
        /// Verifies the store while the registry runs.
        pub enabled: bool = "false",
        /// The time in which everything is hashed once; `24h` at least. Tags, links and manifests are read thirty times as often.
        pub cycle: Duration = "720h",
        /// The most that is read in a second; `64KiB` at least.
        pub rate: ByteSize = "50MiB",
        /// The part of each day in which the store is verified, in UTC, such as `22:00-06:00`.
        pub window: Option<DailyWindow>,
        /// Hashes the data, and not only tags, links and manifests. It costs a request for each blob, and the transfer of all
        /// data, so over an object store, which compares checksums itself, it is off.
        pub data: Option<bool>; default_meaning("`true`, over an object store `false`"),
        /// Writes missing links, replaces damaged manifests by the same bytes from memory, and moves damaged data aside, so that
        /// the next push of an image that has them brings them again. Otherwise damage is only reported.
        pub repair: bool = "true",
    }
}

impl VerifyConfig {
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        if self.cycle < DAY {
            found.mistake("verify.cycle", "must be a day at least, `24h`");
        }
        if self.rate.0 < 64 << 10 {
            found.mistake("verify.rate", "must be 64 KiB at least");
        }
        if !self.enabled && self.window.is_some() {
            found.warning("verify.window", "has no effect without `enabled: true`");
        }
    }
}
