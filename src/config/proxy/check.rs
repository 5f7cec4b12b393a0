//! The checks of `proxy` across keys.

use std::time::Duration;

use super::{ProxyConfig, conflicts};
use crate::findings::Findings;
use crate::{Config, suggest};

impl ProxyConfig {
    /// Checks what no single key can say.
    pub(crate) fn check(&self, config: &Config, found: &mut Findings<'_>) {
        self.check_form(found);
        if !self.is_cache() {
            return;
        }
        let resolution = self.resolve();
        for (path, message) in &resolution.problems {
            found.mistake(path, message);
        }
        conflicts::check(&resolution.names, found);
        self.check_default(found);
        for (index, upstream) in self.upstreams.iter().enumerate() {
            upstream.check(&format!("proxy.upstreams[{index}]"), config, found);
        }
        for (path, upstream) in &resolution.upstreams {
            upstream.check(path, config, found);
        }
        self.check_store(config, found);
    }

    /// `remoteurl` and the account beside it, or `upstreams` with their own.
    fn check_form(&self, found: &mut Findings<'_>) {
        let account = [
            ("username", self.username.is_some()),
            ("password", self.password.is_some()),
            ("exec", self.exec.is_some()),
            ("public", self.public),
        ];
        let of_upstreams = [("default", self.default.is_some()), ("local", !self.local.is_empty())];
        let given = |keys: &[(&'static str, bool)]| {
            keys.iter()
                .filter(|(_, is_given)| *is_given)
                .map(|(key, _)| format!("proxy.{key}"))
                .collect::<Vec<_>>()
        };
        match (self.remoteurl.is_some(), self.upstreams.is_empty()) {
            (true, false) => {
                let message = format!(
                    "excludes `upstreams` ({}): make it one of them, with a `name` and a place of its own",
                    found.place("proxy.upstreams")
                );
                found.mistake("proxy.remoteurl", message);
            }
            (false, false) => {
                for key in given(&account) {
                    found.mistake(&key, "is for `remoteurl`: move it to the upstream that it concerns");
                }
            }
            (true, true) => {
                for key in given(&of_upstreams) {
                    found.warning(
                        &key,
                        "has no effect with `remoteurl`, of which the whole registry is a cache",
                    );
                }
            }
            (false, true) => {
                for key in given(&account).iter().chain(&given(&of_upstreams)) {
                    found.warning(key, "has no effect without `remoteurl` or `upstreams`");
                }
            }
        }
    }

    fn check_default(&self, found: &mut Findings<'_>) {
        let names = || self.upstreams.iter().filter_map(|upstream| upstream.name.as_deref());
        if self.upstreams.is_empty() {
            return;
        }
        match &self.default {
            Some(default) if !names().any(|name| name == default) => {
                let hint = suggest::hint(default, names());
                found.mistake("proxy.default", format!("`{default}` is the name of no upstream{hint}"));
            }
            Some(_) => {}
            None if self.local.is_empty() => {}
            None => found.warning(
                "proxy.local",
                "has no effect without `default`: every name that is below no `prefix` is local",
            ),
        }
        for (index, pattern) in self.local.iter().enumerate() {
            if pattern.names_user() {
                found.mistake(&format!("proxy.local[{index}]"), USER_IN_PATTERN);
            }
        }
    }

    /// Checks that depend on the store, and on how long it keeps content.
    fn check_store(&self, config: &Config, found: &mut Findings<'_>) {
        const SHORT: Duration = Duration::from_secs(60 * 60);
        if self.expiry().is_some_and(|ttl| ttl < SHORT) {
            found.warning(
                "proxy.ttl",
                "is short: images go an hour after their last pull at the earliest, when a collection runs; `0s` keeps them",
            );
        }
        let driver = config.storage.driver.name();
        if self.spool.is_some() && matches!(driver, "inmemory" | "bundle") {
            let message =
                format!("has no effect over the driver `{driver}`, whose files are read while they grow");
            found.warning("proxy.spool", message);
        }
        if config.storage.maintenance.readonly.enabled {
            let readonly = "storage.maintenance.readonly.enabled";
            let message = format!(
                "stores nothing, since `{readonly}` is true ({}): each pull of what the store lacks goes to the upstream",
                found.place(readonly)
            );
            found.warning("proxy", message);
        }
        for (index, upstream) in self.upstreams.iter().enumerate() {
            if self.max_size_bytes().is_some_and(|all| upstream.maxsize.0 > all) {
                let path = format!("proxy.upstreams[{index}].maxsize");
                found.warning(&path, "is more than `proxy.maxsize`, the bound of all caches together");
            }
        }
    }
}

/// A cache is filled for all users.
pub(super) const USER_IN_PATTERN: &str =
    "`${user}` has no meaning here, since a cache is the same for all users: write a pattern without it";
