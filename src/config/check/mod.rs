//! What no single key can say: whether the values fit together. A file for each section that has something to be checked.

mod auth;
mod diagnostics;
mod health;
mod http;
mod listings;
mod middleware;
mod notifications;
mod redis;
mod storage;

use super::{Config, Diagnostic, Node};
use diagnostics::Diagnostics;

/// The contradictions of a configuration, and its oddities.
pub(crate) fn check(config: &Config, tree: &Node) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
    let mut diagnostics = Diagnostics::new(tree);
    diagnostics.http(&config.http);
    diagnostics.auth(&config.auth);
    diagnostics.health(config);
    diagnostics.notifications(config);
    diagnostics.storage(&config.storage);
    diagnostics.collection(&config.gc);
    diagnostics.middleware(config);
    diagnostics.redis(config);
    diagnostics.listings(config);
    diagnostics.into_mistakes_and_warnings()
}
