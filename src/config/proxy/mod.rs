//! The section `proxy`: caches of other registries.
//!
//! `keys.rs` has the keys as they are written, `upstream.rs` the registries with every default filled in, which the consumers
//! take, and `account.rs` their accounts; `check.rs`, `check_upstream.rs` and `conflicts.rs` have the checks across keys.

mod account;
mod check;
mod check_upstream;
mod conflicts;
mod keys;
mod upstream;

#[cfg(test)]
mod tests;

pub use account::UpstreamAccount;
pub use keys::{
    ProxyConfig, ProxyExecConfig, UpstreamConfig, UpstreamRepositories, UpstreamTags, UpstreamTimeouts,
    WhenGone,
};
pub use upstream::CacheUpstream;
pub(crate) use upstream::LocatedUpstream;
