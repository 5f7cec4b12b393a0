//! The section `health`.

use std::collections::BTreeMap;
use std::time::Duration;

use sampan_shown_url::ShownUrl;

use super::Secret;
use super::findings::{Findings, is_http_url};
use super::section::section;
use super::values::ByteSize;

section! {
    /// The regular health checks.
    pub struct HealthConfig {
        /// The check of the store.
        pub storagedriver: StorageDriverCheck,
        /// The check of the free space for the store's files.
        pub diskspace: DiskSpaceCheck; ours,
        /// Files whose existence makes the registry unhealthy.
        pub file: Vec<FileCheck>; field("FILECHECKERS"),
        /// Servers that must answer.
        pub http: Vec<HttpCheck>; field("HTTPCHECKERS"),
        /// Ports that must be open.
        pub tcp: Vec<TcpCheck>; field("TCPCHECKERS"),
    }
}

section! {
    /// `health.storagedriver`.
    pub struct StorageDriverCheck {
        /// Looks at the store.
        pub enabled: bool = "false",
        /// How often to look; a look that takes longer has failed.
        pub interval: Duration = "10s",
        /// How many failures in a row count; 0 means the first.
        pub threshold: i64 = "0",
    }
}

section! {
    /// `health.diskspace`.
    pub struct DiskSpaceCheck {
        /// Refuses new uploads while the directory of the driver `filesystem` has little room, and continues with everything else.
        pub enabled: bool = "false",
        /// The least free space.
        pub floor: ByteSize = "1GiB",
        /// How often to look.
        pub interval: Duration = "10s",
    }
}

section! {
    /// An entry of `health.file`.
    pub struct FileCheck {
        /// While this file exists, the registry is out of service.
        pub file: Option<String>; default_meaning("required"),
        /// How often to look.
        pub interval: Duration = "10s",
        /// How many sightings in a row count; 0 means the first. Without effect in Distribution.
        pub threshold: i64 = "0",
    }
}

section! {
    /// An entry of `health.http`.
    pub struct HttpCheck {
        /// The URL to request with `HEAD`; a redirect is not followed, and its status is the answer.
        pub uri: Option<String>; default_meaning("required"),
        /// Headers of the request; a map of names to lists of values.
        pub headers: BTreeMap<String, Vec<Secret<String>>>,
        /// The status of a healthy server.
        pub statuscode: u16 = "200",
        /// How long an answer may take; 0 means the interval.
        pub timeout: Duration = "0s",
        /// How often to look; a look that takes longer has failed.
        pub interval: Duration = "10s",
        /// How many failures in a row count; 0 means the first.
        pub threshold: i64 = "0",
    }
}

section! {
    /// An entry of `health.tcp`.
    pub struct TcpCheck {
        /// `host:port` that must take connections.
        pub addr: Option<String>; default_meaning("required"),
        /// How long connecting may take; 0 means the interval.
        pub timeout: Duration = "0s",
        /// How often to look; a look that takes longer has failed.
        pub interval: Duration = "10s",
        /// How many failures in a row count; 0 means the first.
        pub threshold: i64 = "0",
    }
}

impl HealthConfig {
    /// Checks that each check has a target and a unique name for its result; `driver` is the name of the storage driver.
    pub(crate) fn check(&self, driver: &str, found: &mut Findings<'_>) {
        let storage = self.storagedriver.enabled.then(|| format!("storagedriver_{driver}"));
        let storage = storage.map(|name| ("health.storagedriver".to_owned(), Some(name)));
        let file = self.file.iter().map(|check| check.file.clone());
        let http = self.http.iter().map(|check| check.uri.clone());
        let tcp = self.tcp.iter().map(|check| check.addr.clone());
        let at = |list: &str, key: &str, index: usize| format!("health.{list}[{index}].{key}");
        let named = storage
            .into_iter()
            .chain(file.enumerate().map(|(index, name)| (at("file", "file", index), name)))
            .chain(http.enumerate().map(|(index, name)| (at("http", "uri", index), name)))
            .chain(tcp.enumerate().map(|(index, name)| (at("tcp", "addr", index), name)));
        let mut seen = BTreeMap::new();
        for (path, name) in named {
            let Some(name) = name.filter(|name| !name.is_empty()) else {
                found.mistake(&path, "is missing; name the file, URL or address to check");
                continue;
            };
            if let Some(first) = seen.insert(name.clone(), path.clone()) {
                found.mistake(
                    &path,
                    format!("`{}` is already checked by {first}; keep one of the two", ShownUrl::new(&name)),
                );
            }
        }
        for (index, check) in self.http.iter().enumerate() {
            let uri = check.uri.as_deref().unwrap_or_default();
            if !uri.is_empty() && !is_http_url(uri) {
                let uri = ShownUrl::new(uri);
                let message = format!("expected a URL such as `https://example.com/`, found `{uri}`");
                found.mistake(&at("http", "uri", index), message);
            }
        }
        for (index, check) in self.tcp.iter().enumerate() {
            let address = check.addr.as_deref().unwrap_or_default();
            let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            if !address.is_empty() && !has_port {
                let message = format!("expected `host:port`, such as `redis:6379`, found `{address}`");
                found.mistake(&at("tcp", "addr", index), message);
            }
        }
        if self.diskspace.enabled && driver != "filesystem" {
            found.mistake(
                "health.diskspace.enabled",
                format!("works only with the storage driver `filesystem`, not with `{driver}`"),
            );
        }
    }
}
