//! Properties of every section without a mistake.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::file;
use crate::checked::checked;
use crate::{CacheUpstream, RepositoryPath};

const URLS: &[&str] = &[
    "https://docker.io",
    "https://registry-1.docker.io/v2/",
    "https://quay.io",
    "https://QUAY.io:443/",
    "http://localhost:5000",
    "https://[::1]:5000",
    "https://h.example/artifactory/api/docker/r",
    "https://bücher.example",
    "https://u:hush@quay.io",
    "https://quay.io?hush",
    "quay.io",
];

/// Keys of an upstream, with values of which some are wrong alone or together.
const KEYS: &[&str] = &[
    "prefix: docker.io",
    "prefix: a/b",
    "prefix: a",
    "prefix: A",
    "ns: [quay.io]",
    "ns: ['Docker.io', docker.io]",
    "ns: [a, 'b:5000']",
    "hosts: [m.example]",
    "hosts: ['[::1]:5000']",
    "library: false",
    "path: team",
    "path: ''",
    "username: u",
    "password: hush",
    "passwordfile: /p",
    "dockerconfig: /c",
    "exec: { command: c }",
    "exec: {}",
    "realms: [a.example]",
    "connections: 0",
    "maxsize: 1GiB",
    "tags: { fresh: 0s }",
    "public: true",
];

fn upstream() -> impl Strategy<Value = String> {
    let name = select(&["a", "b", "c", "d", "e", ""][..]);
    (name, select(URLS), subsequence(KEYS, 0..4)).prop_map(|(name, url, keys)| {
        let mut seen = BTreeSet::new();
        let keys: Vec<_> = keys.into_iter().filter(|key| seen.insert(key.split(':').next())).collect();
        format!("{{ name: '{name}', url: '{url}', {} }}", keys.join(", "))
    })
}

/// The names of an upstream, written out.
fn written(upstream: &CacheUpstream) -> String {
    let ns: Vec<String> = upstream.ns.iter().map(|host| format!("'{host}'")).collect();
    let prefix = upstream.prefix.as_deref().unwrap_or_default();
    let path = upstream.path.as_deref().unwrap_or_default();
    format!(
        "{{ name: {}, url: '{}', prefix: '{prefix}', path: '{path}', ns: [{}], library: {} }}",
        upstream.name,
        upstream.url,
        ns.join(", "),
        upstream.library
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn without_a_mistake_each_upstream_is_resolved_and_told_from_the_others(
        list in prop::collection::vec(upstream(), 1..4)
    ) {
        let checked = checked(&file(&format!("upstreams: [{}]", list.join(", "))), &[]);
        prop_assert!(!checked.mistakes.contains("hush") && !checked.warnings.contains("hush"));
        if !checked.mistakes.is_empty() {
            return Ok(());
        }
        let upstreams = checked.proxy().resolved_upstreams();
        prop_assert_eq!(upstreams.len(), list.len());
        let distinct = |of: &dyn Fn(&CacheUpstream) -> Vec<String>| {
            let all: Vec<String> = upstreams.iter().flat_map(of).collect();
            all.iter().collect::<BTreeSet<_>>().len() == all.len()
        };
        prop_assert!(distinct(&|upstream| vec![upstream.name.clone()]));
        prop_assert!(distinct(&|upstream| upstream.prefix.clone().into_iter().collect()));
        prop_assert!(distinct(&|upstream| upstream.ns.iter().map(ToString::to_string).collect()));
        prop_assert!(distinct(&|upstream| upstream.hosts.iter().map(ToString::to_string).collect()));
        for upstream in &upstreams {
            prop_assert!(upstream.prefix.as_ref().is_some_and(|prefix| prefix.parse::<RepositoryPath>().is_ok()));
            let url = &upstream.url;
            prop_assert!(url.username().is_empty() && url.query().is_none() && url.path().ends_with('/'));
            prop_assert!(upstream.connections > 0);
        }
        // An upstream whose defaults belong to others has no `ns`, which cannot be written.
        if upstreams.iter().any(|upstream| upstream.ns.is_empty()) {
            return Ok(());
        }
        let written: Vec<String> = upstreams.iter().map(written).collect();
        let again = crate::checked::checked(&file(&format!("upstreams: [{}]", written.join(", "))), &[]);
        let names = |upstream: &CacheUpstream| {
            (upstream.name.clone(), upstream.url.clone(), upstream.prefix.clone(), upstream.ns.clone(), upstream.path.clone())
        };
        prop_assert_eq!(
            again.proxy().resolved_upstreams().iter().map(names).collect::<Vec<_>>(),
            upstreams.iter().map(names).collect::<Vec<_>>(),
            "{}", again.mistakes
        );
    }
}
