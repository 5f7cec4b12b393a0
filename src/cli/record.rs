//! The audit record of commands that change a store, in the file of the running registry.

use sampan_config::Config;

use super::terminal::warn;
use crate::auth::AuditEvent;

/// The user of this machine.
pub(super) fn system_user() -> Option<String> {
    std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).ok()
}

/// Records what was done, and by whom. `done` says it in the warning that a file which cannot be written causes, as in
/// `the tag is restored`.
pub(super) fn record(config: &Config, done: &str, event: AuditEvent) {
    let Some(file) = config.audit.as_ref().and_then(|audit| audit.file.as_deref()) else { return };
    if let Err(error) = event.with("by", system_user()).append_to(file) {
        warn(format!("{done}, but audit.file {} was not written: {error}", file.display()));
    }
}
