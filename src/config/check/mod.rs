//! What no single key can say: whether the values fit together. A file for each section that has something to be checked.

mod auth;
mod findings;
mod health;
mod http;
mod listings;
mod middleware;
mod notifications;
mod redis;
mod storage;

use super::{Config, Finding, Node};
use findings::Findings;

/// The contradictions of a configuration, and its oddities.
pub(crate) fn check(config: &Config, tree: &Node) -> (Vec<Finding>, Vec<Finding>) {
    let mut findings = Findings::new(tree);
    findings.http(&config.http);
    findings.auth(&config.auth);
    findings.health(config);
    findings.notifications(config);
    findings.storage(&config.storage);
    findings.collection(&config.gc);
    findings.middleware(config);
    findings.redis(config);
    findings.listings(config);
    findings.into_mistakes_and_warnings()
}
