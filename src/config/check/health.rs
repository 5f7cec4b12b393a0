//! Checks `health`: each check has a target.

use std::collections::BTreeMap;

use super::diagnostics::{Diagnostics, is_http_url};
use crate::Config;
use sampan_shown_url::ShownUrl;

impl Diagnostics<'_> {
    /// Each check needs a target and a unique name for its result.
    pub(super) fn health(&mut self, config: &Config) {
        let Some(health) = &config.health else { return };
        let storage = format!("storagedriver_{}", config.storage.driver.name());
        let storage =
            health.storagedriver.enabled.then_some(("health.storagedriver".to_owned(), Some(storage)));
        let file = health.file.iter().map(|check| check.file.clone());
        let http = health.http.iter().map(|check| check.uri.clone());
        let tcp = health.tcp.iter().map(|check| check.addr.clone());
        let at = |list: &str, key: &str, index: usize| format!("health.{list}[{index}].{key}");
        let named = storage
            .into_iter()
            .chain(file.enumerate().map(|(index, name)| (at("file", "file", index), name)))
            .chain(http.enumerate().map(|(index, name)| (at("http", "uri", index), name)))
            .chain(tcp.enumerate().map(|(index, name)| (at("tcp", "addr", index), name)));
        let mut seen = BTreeMap::new();
        for (path, name) in named {
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                self.mistake(&path, "is missing; name the file, URL or address to check".to_owned());
                continue;
            };
            if let Some(first) = seen.insert(name.clone(), path.clone()) {
                self.mistake(
                    &path,
                    format!("`{}` is already checked by {first}; keep one of the two", ShownUrl::new(&name)),
                );
            }
        }
        for (index, check) in health.http.iter().enumerate() {
            let path = at("http", "uri", index);
            let uri = check.uri.as_deref().unwrap_or_default();
            if !uri.is_empty() && !is_http_url(uri) {
                let found = ShownUrl::new(uri);
                self.mistake(
                    &path,
                    format!("expected a URL such as `https://example.com/`, found `{found}`"),
                );
            }
        }
        for (index, check) in health.tcp.iter().enumerate() {
            let address = check.addr.as_deref().unwrap_or_default();
            let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            if !address.is_empty() && !has_port {
                let path = at("tcp", "addr", index);
                self.mistake(&path, format!("expected `host:port`, such as `redis:6379`, found `{address}`"));
            }
        }
        if health.diskspace.enabled && config.storage.driver.name() != "filesystem" {
            let driver = config.storage.driver.name();
            self.mistake(
                "health.diskspace.enabled",
                format!("works only with the storage driver `filesystem`, not with `{driver}`"),
            );
        }
    }
}
