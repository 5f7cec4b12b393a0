//! Mistakes of the places that jobs copy to.

use super::{from_hub, from_quay, is_accepted, is_refused, jobs, with_other_proxy, with_proxy};

#[test]
fn to_is_a_name() {
    let longest = format!("{}{}", "a/".repeat(126), "aaa");
    is_accepted(&from_quay(&format!("{{ from: a/b, to: {longest} }}")));
    is_accepted(&from_quay(&format!("{{ from: 'a/*', to: {} }}", &longest[2..])));
    is_refused(
        &from_quay(&format!("{{ from: 'a/*', to: {longest} }}")),
        "config.yml:4:68: sync[0].repositories[0].to: has 255 characters, and may have 253",
    );
    is_refused(
        &from_quay(&format!("{{ from: a/b, to: {longest}a }}")),
        "config.yml:4:66: sync[0].repositories[0].to: has 256 characters, and may have 255",
    );
    is_refused(
        &from_quay("{ from: a/b, to: Base }"),
        "config.yml:4:66: sync[0].repositories[0].to: `Base` is no repository name: names are in lower case",
    );
    is_refused(
        &from_quay("{ from: a/b, to: base/ }"),
        "config.yml:4:66: sync[0].repositories[0].to: `base/` is no repository name: write it without slashes at its ends, and one slash between components",
    );
    is_refused(
        &from_quay("{ from: a/b, to: 'base:1' }"),
        "config.yml:4:66: sync[0].repositories[0].to: `base:1` is no repository name: a name has no port in it",
    );
    is_refused(
        &from_quay("{ from: a/b, to: 'base/*' }"),
        "config.yml:4:66: sync[0].repositories[0].to: `base/*` is no repository name: components are letters and digits, separated by `.`, `_`, `__` or dashes",
    );
}

#[test]
fn to_is_outside_the_caches() {
    is_refused(
        &from_quay("{ from: a/b, to: docker.io/a/b }"),
        "config.yml:4:66: sync[0].repositories[0].to: `docker.io/a/b` is within the cache of `hub`, whose prefix is `docker.io` (config.yml:3:22): choose another place, or remove `to` for the cache",
    );
    is_refused(
        &from_quay("{ from: 'a/*', to: quay.io }"),
        "config.yml:4:68: sync[0].repositories[0].to: `quay.io` is within the cache of `quay`, whose prefix is `quay.io` (config.yml:3:63): choose another place, or remove `to` for the cache",
    );
    is_refused(
        &from_quay("{ from: '{quay.io,b}/*', to: quay }")
            .replace("'https://quay.io'", "'https://quay.io', prefix: quay/quay.io"),
        "config.yml:4:78: sync[0].repositories[0].to: `quay` is within the cache of `quay`, whose prefix is `quay/quay.io` (config.yml:3:109): choose another place, or remove `to` for the cache",
    );
    // A cache has names below its prefix alone.
    is_accepted(&from_quay("{ from: a/b, to: quay.io }"));
    is_accepted(&from_quay("{ from: 'a/*', to: quay.iox }"));
    let remote = from_quay("{ from: a/b, to: a/b }").replace("from: quay", "from: remote");
    is_refused(
        &with_other_proxy("proxy: { remoteurl: 'https://quay.io' }", &remote),
        "config.yml:4:68: sync[0].repositories[0].to: is not possible with `proxy.remoteurl`, of which the whole registry is a cache: remove it, or make the registry an entry of `proxy.upstreams`",
    );
}

#[test]
fn to_can_be_reached_beside_a_default_upstream() {
    let file = |local: &str, repository: &str| {
        with_proxy(&format!("default: hub, local: [{local}]"), &from_quay(&format!("{{ {repository} }}")))
    };
    is_refused(
        &file("", "from: a/b, to: base/b"),
        "config.yml:4:66: sync[0].repositories[0].to: clients that ask for it get what `hub` has, the upstream in `proxy.default`: add `base/**` to `proxy.local`",
    );
    is_refused(
        &file("", "from: a/b, to: base"),
        "config.yml:4:66: sync[0].repositories[0].to: clients that ask for it get what `hub` has, the upstream in `proxy.default`: add `base` to `proxy.local`",
    );
    is_refused(
        &file("", "from: 'a/*', to: base"),
        "config.yml:4:68: sync[0].repositories[0].to: clients that ask for it get what `hub` has, the upstream in `proxy.default`: add `base/**` to `proxy.local`",
    );
    is_refused(
        &file("base/*", "from: 'a/**', to: base"),
        "config.yml:4:69: sync[0].repositories[0].to: clients that ask for it get what `hub` has, the upstream in `proxy.default`: add `base/**` to `proxy.local`",
    );
    is_refused(
        &file("base/b", "from: 'a/*', to: base"),
        "config.yml:4:68: sync[0].repositories[0].to: clients that ask for it get what `hub` has, the upstream in `proxy.default`: add `base/**` to `proxy.local`",
    );
    for (local, repository) in [
        ("'base/**'", "from: a/b, to: base/b"),
        ("x, 'base/*'", "from: 'a/*', to: base"),
        ("'**'", "from: 'a/**', to: base"),
        ("'base/**'", "from: 'a/**', to: base"),
        ("base/x/c", "from: 'a/{x,x}/c', to: base"),
        ("'t/*/c'", "from: 'a/?x*/c', to: t"),
        ("", "from: 'a/**'"),
    ] {
        is_accepted(&file(local, repository));
    }
}

#[test]
fn a_repository_is_filled_from_one_other() {
    let two = |one: &str, other: &str| from_quay(&format!("{{ {one} }}, {{ {other} }}"));
    is_refused(
        &two("from: a/b, to: c", "from: a/d, to: c"),
        "config.yml:4:88: sync[0].repositories[1].to: `c` is the place of `a/b` of `quay`, too (config.yml:4:66): give each repository its own",
    );
    let of_two = |other: &str| {
        let job = |name: &str, repository: &str| {
            format!("{{ name: {name}, from: {name}, repositories: [{{ {repository}, to: c }}] }}")
        };
        jobs(&format!("{}, {}", job("quay", "from: a/b"), job("hub", other)))
    };
    is_refused(
        &of_two("from: a/b"),
        "config.yml:4:130: sync[1].repositories[0].to: `c` is the place of `a/b` of `quay`, too (config.yml:4:66): give each repository its own",
    );
    // The same repository with other tags.
    is_accepted(&two("from: a/b, to: c", "from: a/b, to: c, tags: { allow: [x] }"));
    is_accepted(&two("from: a/b, to: c", "from: a/d, to: d"));
    is_accepted(&two("from: 'a/*', to: c", "from: 'b/*', to: c"));
    is_accepted(&from_hub("from: debian, to: c }, { from: library/debian, to: c"));
}

#[test]
fn pruning_is_for_ordinary_repositories_with_deletion() {
    is_accepted(&from_hub("from: a/b, to: c, prune: true"));
    is_refused(
        &from_hub("from: a/b, prune: true"),
        "config.yml:4:68: sync[0].repositories[0].prune: needs `to`: in the cache, `proxy.upstreams[0].tags.deleted` says what happens to tags that the upstream has no more",
    );
    let remote = from_quay("{ from: a/b, prune: true }").replace("from: quay", "from: remote");
    is_refused(
        &with_other_proxy("proxy: { remoteurl: 'https://quay.io' }", &remote),
        "config.yml:4:71: sync[0].repositories[0].prune: needs `to`: the cache of `proxy.remoteurl` keeps its tags; in an entry of `proxy.upstreams`, `tags.deleted` says otherwise",
    );
    let unknown = from_quay("{ from: a/b, prune: true }").replace("from: quay", "from: gcr");
    is_refused(
        &unknown,
        "config.yml:4:28: sync[0].from: `gcr` is the name of no upstream; known here: hub, quay\nconfig.yml:4:68: sync[0].repositories[0].prune: needs `to`: in the cache, `tags.deleted` of the upstream says what happens to tags that it has no more",
    );
    let no_delete = from_hub("from: a/b, to: c, prune: true").replace(", delete: { enabled: true }", "");
    is_refused(
        &no_delete,
        "config.yml:4:75: sync[0].repositories[0].prune: removes tags, which needs `storage.delete.enabled: true`",
    );
}
