//! The section `audit`: who did what.

use std::path::PathBuf;

use super::findings::Findings;
use super::section::section;

section! {
    /// A record of logins, tokens, refusals and deletions.
    pub struct AuditConfig {
        /// The file, to which a line of JSON is added for each event; at SIGHUP it is opened again. Without one, the events are
        /// in the log, with `audit=true`.
        pub file: Option<PathBuf>,
    }
}

impl AuditConfig {
    /// Checks what no single key can say.
    pub(crate) fn check(has_rules: bool, found: &mut Findings<'_>) {
        if !has_rules {
            found.mistake(
                "audit",
                "records the decisions of the section `access`, which is missing: add it, or remove `audit`",
            );
        }
    }
}
