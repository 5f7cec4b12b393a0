//! Checks across keys: whether the values fit together. One file per section.

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

/// The mistakes and the warnings of a configuration.
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
