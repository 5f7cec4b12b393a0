//! The checks of one upstream.

use super::check::USER_IN_PATTERN;
use super::{CacheUpstream, UpstreamConfig};
use crate::findings::{Findings, is_this_machine};
use crate::{AuthConfig, Config, RegistryHost};

impl UpstreamConfig {
    /// Checks the keys of the entry at `path`, as they are written.
    pub(super) fn check(&self, path: &str, config: &Config, found: &mut Findings<'_>) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.as_deref().is_some_and(|name| !name.chars().all(is_plain) || name.len() > MAX_NAME) {
            let message = format!("must be letters, digits, `-`, `_` and `.`, {MAX_NAME} at most");
            found.mistake(&format!("{path}.name"), message);
        }
        if self.connections == 0 {
            found.mistake(
                &format!("{path}.connections"),
                "must be 1 at least, since nothing could be fetched",
            );
        }
        let timeouts = &self.timeouts;
        for (key, value) in
            [("connect", timeouts.connect), ("answer", timeouts.answer), ("stall", timeouts.stall)]
        {
            if value.is_zero() {
                let message = "must be longer than zero, since every request would fail";
                found.mistake(&format!("{path}.timeouts.{key}"), message);
            }
        }
        for (key, patterns) in [("allow", &self.repositories.allow), ("deny", &self.repositories.deny)] {
            for (index, pattern) in patterns.iter().enumerate() {
                if pattern.names_user() {
                    found.mistake(&format!("{path}.repositories.{key}[{index}]"), USER_IN_PATTERN);
                }
            }
        }
        for (key, hosts) in [("realms", &self.realms), ("redirects", &self.redirects)] {
            for (index, host) in hosts.iter().enumerate().filter(|(_, host)| host.has_port()) {
                let message =
                    format!("a port has no meaning here: write `{}`, which is any port of it", host.host());
                found.mistake(&format!("{path}.{key}[{index}]"), message);
            }
        }
        let own = config.http.host.as_ref().map(|url| RegistryHost::of_url(url.as_url()));
        if let Some(host) =
            own.filter(|own| self.hosts.iter().any(|host| host == own || host.as_str() == own.host()))
        {
            let message =
                format!("`{host}` is in `http.host`, and nothing but this cache can be reached by it");
            found.warning(&format!("{path}.hosts"), message);
        }
        if self.clientkey.is_some() && self.clientcertificate.is_none() {
            found.mistake(&format!("{path}.clientkey"), "needs `clientcertificate` beside it");
        }
        if self.url.as_ref().is_some_and(|url| url.as_url().scheme() == "http") {
            let keys = [("ca", self.ca.is_some()), ("clientcertificate", self.clientcertificate.is_some())];
            for (key, _) in keys.into_iter().filter(|(_, is_given)| *is_given) {
                found.warning(&format!("{path}.{key}"), "has no effect, since `url` begins with `http://`");
            }
        }
    }
}

impl CacheUpstream {
    /// Checks who gets the credentials, and who can read what they open. `path` is that of the section.
    pub(super) fn check(&self, path: &str, config: &Config, found: &mut Findings<'_>) {
        let Some((key, account)) = self.account.shown() else {
            if self.public {
                found.warning(&format!("{path}.public"), "has no effect without an account");
            }
            return;
        };
        let key = format!("{path}.{key}");
        if self.url.scheme() == "http" && !is_this_machine(&self.url) {
            let host = self.url.host_str().unwrap_or_default();
            found.warning(
                &key,
                format!("goes to `{host}` in the clear, since the URL begins with `http://`: use `https://`"),
            );
        }
        let is_open = config.auth == AuthConfig::None && config.access.is_none();
        if is_open && !self.public {
            let place = match &self.prefix {
                Some(prefix) => format!("below `{prefix}/`, "),
                None => String::new(),
            };
            let message = format!(
                "without a login, every client may pull {place}whatever {account} may read at `{}`: set `auth`, or `public: true` \
                 if that is meant",
                RegistryHost::of_url(&self.url)
            );
            found.warning(&key, message);
        }
    }
}

/// The longest name of an upstream, in bytes: it is a label of metrics.
const MAX_NAME: usize = 64;
