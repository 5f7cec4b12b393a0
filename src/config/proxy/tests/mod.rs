//! Resolved upstreams, and the messages of mistakes.

mod mistakes;
mod oddities;
mod outside;
mod properties;
mod resolution;

use crate::ProxyConfig;
use crate::checked::Checked;

impl Checked {
    fn proxy(&self) -> &ProxyConfig {
        self.config.proxy.as_ref().unwrap()
    }
}

/// The third line of a file is the section `proxy`, in flow style.
fn file(proxy: &str) -> String {
    format!("version: 0.1\nstorage: inmemory\nproxy: {{ {proxy} }}\n")
}
