//! Settings for unit tests.

use std::sync::Arc;
use std::time::Duration;

use crate::settings::{TagSettings, UpstreamSettings, WhenGone};

/// An upstream that is not there.
pub(crate) fn upstream(name: &str, prefix: Option<&str>) -> UpstreamSettings {
    UpstreamSettings {
        name: name.to_owned(),
        address: "http://127.0.0.1:1".parse().unwrap(),
        prefix: prefix.map(|text| text.parse().unwrap()),
        ns: Vec::new(),
        hosts: Vec::new(),
        library: false,
        path: None,
        allowed: Arc::new(|_| true),
        tags: TagSettings {
            fresh: Duration::from_secs(30),
            stale: None,
            deleted: WhenGone::Keep,
            refused: WhenGone::Forget,
            immutable: Arc::new(|_| false),
            missing: Duration::from_secs(30),
        },
        client: Default::default(),
        connections: 16,
        requests_per_second: 0,
        bytes_per_second: 0,
        complete: Duration::ZERO,
    }
}
