//! The section `proxy`: caches of other registries.
//!
//! `keys.rs` has the keys as they are written, `upstream.rs` the registries with every default filled in, which the consumers
//! take, and `check.rs` the checks across keys.

mod check;
mod keys;
mod upstream;

#[cfg(test)]
mod tests;

pub use keys::{
    ProxyConfig, ProxyExecConfig, UpstreamConfig, UpstreamRepositories, UpstreamTags, UpstreamTimeouts,
    WhenGone,
};
pub use upstream::{CacheUpstream, UpstreamAccount};
