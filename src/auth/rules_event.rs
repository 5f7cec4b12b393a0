//! Events of rules in the audit record: read at the start, changed, or refused.

use sampan_config::AccessRules;
use sha2::{Digest, Sha256};

use super::audit::AuditEvent;

/// Rules, as the record identifies them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct RulesIdentity {
    rules: usize,
    sha256: String,
}

/// Why rules are read again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// Their file has changed.
    File,
    /// SIGHUP.
    Signal,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Signal => "SIGHUP",
        }
    }
}

impl RulesIdentity {
    /// These rules, whose file has the text.
    pub(super) fn new(rules: &AccessRules, text: &str) -> Self {
        Self { rules: rules.rules.len(), sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(text)) }
    }

    /// The event of rules that are in effect from the start.
    pub(super) fn read(&self, source: &str) -> AuditEvent {
        self.event("rules read", source).with("after", Some(&self.sha256))
    }

    /// The event of rules that replace `old` ones; `None` if they are the same.
    pub(super) fn changed(&self, old: &Self, source: &str, cause: Cause) -> Option<AuditEvent> {
        (self != old).then(|| {
            let event = self.event("rules changed", source).with("cause", Some(cause.as_str()));
            event.with("before", Some(&old.sha256)).with("after", Some(&self.sha256))
        })
    }

    /// The event of rules that are not usable, so that these stay in effect.
    pub(super) fn kept(&self, source: &str, cause: Cause, error: &str) -> AuditEvent {
        let event = self.event("rules refused", source).with("cause", Some(cause.as_str()));
        event.with("before", Some(&self.sha256)).with("error", Some(error))
    }

    fn event(&self, name: &'static str, source: &str) -> AuditEvent {
        AuditEvent::new(name).with("source", Some(source)).with("rules", Some(self.rules.to_string()))
    }
}
