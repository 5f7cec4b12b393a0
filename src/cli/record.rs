//! The audit record of commands that change a store, in the file of the running registry.

use sampan_config::Config;

use super::terminal::warn;
use crate::auth::AuditEvent;

/// The user of this machine: by the environment, else by `/etc/passwd`, else the number.
pub(super) fn system_user() -> String {
    let named = |name| std::env::var(name).ok().filter(|user| !user.is_empty());
    named("SUDO_USER").or_else(|| named("USER")).unwrap_or_else(|| {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        name_of(rustix::process::getuid().as_raw(), &passwd)
    })
}

/// The name of a user in the format of `passwd(5)`, else the number.
fn name_of(uid: u32, passwd: &str) -> String {
    let uid = uid.to_string();
    let mut lines = passwd.lines().map(|line| line.split(':'));
    let name = lines.find_map(|mut fields| {
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1) == Some(uid.as_str())).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

/// Records what was done, and by whom. `done` says it in the warning that a file which cannot be written causes, as in
/// `the tag is restored`.
pub(super) fn record(config: &Config, done: &str, event: AuditEvent) {
    let Some(file) = config.audit.as_ref().and_then(|audit| audit.file.as_deref()) else { return };
    if let Err(error) = event.with("by", Some(system_user())).append_to(file) {
        warn(format!("{done}, but audit.file {} was not written: {error}", file.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_name_is_a_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\nodd\n:x:7:7::/:/bin/sh\nann:x:1000:100::/home/ann:/bin/sh\n";
        for (uid, expected) in [(0, "root"), (1000, "ann"), (100, "100"), (7, "7")] {
            assert_eq!(name_of(uid, passwd), expected);
        }
    }
}
