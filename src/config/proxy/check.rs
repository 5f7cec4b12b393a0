//! The checks of `proxy` across keys.

use super::ProxyConfig;
use crate::findings::Findings;

/// The last of the checks, as long as nothing serves the section.
pub(super) const NOT_SERVED: &str = "this version has no pull-through cache; remove `proxy`";

impl ProxyConfig {
    /// Checks what no single key can say.
    pub(crate) fn check(&self, found: &mut Findings<'_>) {
        if self.remoteurl.is_some() && !self.upstreams.is_empty() {
            found.mistake("proxy.remoteurl", "excludes `upstreams`: make it one of them, with a prefix");
        }
        for (path, message) in self.resolve().problems {
            found.mistake(&path, message);
        }
        if self.is_cache() {
            let key = if self.remoteurl.is_some() { "proxy.remoteurl" } else { "proxy.upstreams" };
            found.mistake(key, NOT_SERVED);
        }
    }
}
