//! Caches of other registries, with real clients in front and Debian's docker-registry behind.

mod containerd;
mod docker;
mod hub;
mod offline;
mod podman;
mod referrers;
mod roundtrip;

use std::path::Path;

use self::hub::{Hub, Login};
use super::support::{RegistryProcess, blocks, filesystem_config, registry};

/// The entry of `upstreams` for a hub as `docker.io`; `rest` are more keys.
fn upstream(hub: &Hub, rest: &str) -> String {
    format!("{{name: hub, url: 'http://{}', prefix: docker.io, library: true{rest}}}", hub.host())
}

/// The keys of the account at a hub.
const ACCOUNT: &str = ", username: anne, password: secret, public: true";

/// A registry that is a cache of `upstreams`, with more keys of `proxy` and more sections.
#[track_caller]
fn cache(folder: &Path, upstreams: &str, proxy: &str, sections: &str) -> RegistryProcess {
    std::fs::create_dir_all(folder).unwrap();
    let data = folder.join("data");
    let config =
        format!("{}proxy: {{upstreams: [{upstreams}]{proxy}}}\n{sections}", filesystem_config(&data));
    registry(folder, &config)
}

/// The requests for a new image of one platform: `blobs` are its layers and its configuration.
fn cold(blobs: usize) -> Vec<String> {
    let mut asked = vec!["GET blobs 200".to_owned(); blobs];
    asked.extend(["GET manifests 200".to_owned(), "HEAD manifests 200".to_owned()]);
    asked
}

/// A block of `docs/pull-through.md` that has `text`, for the cache at this address in place of `registry.example.com`.
#[track_caller]
fn from_page(text: &str, cache: &RegistryProcess) -> String {
    let mut found = blocks("docs/pull-through.md").into_iter().filter(|block| block.text.contains(text));
    let block = found.next().unwrap_or_else(|| panic!("the page has no block with {text:?}"));
    block.text.replace("https://registry.example.com", &format!("http://{}", cache.host()))
}
