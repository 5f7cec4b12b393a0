//! Mistakes of what jobs copy: repositories, tags, platforms.

use super::{from_hub, from_quay, is_accepted, is_refused, with_other_proxy};
use crate::checked::checked;

#[test]
fn from_is_a_name_or_a_pattern() {
    for from in ["a/b", "'*'", "'**'", "'a/{b,c}'", "a"] {
        is_accepted(&from_quay(&format!("{{ from: {from} }}")));
    }
    is_refused(
        &from_quay("{ from: 'home/${user}/*' }"),
        "config.yml:4:57: sync[0].repositories[0].from: `${user}` has no meaning here, since a job has no user: write a pattern without it",
    );
    is_refused(
        &from_quay("{ from: a..b }"),
        "config.yml:4:57: sync[0].repositories[0].from: `a..b` is no repository name: components are letters and digits, separated by `.`, `_`, `__` or dashes",
    );
    is_refused(
        &from_quay("{ from: A/b }"),
        "config.yml:4:57: sync[0].repositories[0].from: `A/b`: repository names are in lower case, and `A` is not",
    );
}

#[test]
fn docker_hub_has_no_list_of_its_repositories() {
    is_refused(
        &from_hub("from: 'library/*'"),
        "config.yml:4:56: sync[0].repositories[0].from: is a pattern, and Docker Hub (`hub`) has no list of its repositories: name each, as `library/debian`",
    );
    is_refused(
        &from_hub("from: 'library/{debian,alpine}'"),
        "config.yml:4:56: sync[0].repositories[0].from: is a pattern, and Docker Hub (`hub`) has no list of its repositories: name each, as `library/debian`",
    );
    let remote = "proxy: { remoteurl: 'https://index.docker.io' }";
    let job = from_hub("from: 'library/*'").replace("from: hub", "from: remote");
    is_refused(
        &with_other_proxy(remote, &job),
        "config.yml:4:59: sync[0].repositories[0].from: is a pattern, and Docker Hub (`remote`) has no list of its repositories: name each, as `library/debian`",
    );
    is_accepted(&from_hub("from: debian"));
}

#[test]
fn from_is_among_the_repositories_of_the_upstream() {
    let file = |rules: &str, from: &str| {
        let proxy = format!(
            "proxy: {{ upstreams: [{{ name: hub, url: 'https://docker.io', repositories: {{ {rules} }} }}] }}"
        );
        with_other_proxy(&proxy, &from_hub(&format!("from: {from}")))
    };
    is_accepted(&file("allow: ['library/**']", "library/debian"));
    is_accepted(&file("allow: ['library/**']", "debian"));
    is_accepted(&file("deny: ['secret/*']", "secret/a/b"));
    is_refused(
        &file("allow: [library/alpine]", "debian"),
        "config.yml:4:56: sync[0].repositories[0].from: `proxy.upstreams[0].repositories` (config.yml:3:75) does not allow `library/debian`: change these rules, or leave the repository out",
    );
    is_refused(
        &file("deny: ['secret/*']", "secret/a"),
        "config.yml:4:56: sync[0].repositories[0].from: `proxy.upstreams[0].repositories` (config.yml:3:75) does not allow `secret/a`: change these rules, or leave the repository out",
    );
    let quay = "proxy: { upstreams: [{ name: hub, url: 'https://quay.io', repositories: { deny: [a/b] } }] }";
    is_accepted(&with_other_proxy(quay, &from_hub("from: 'a/*'")));
}

#[test]
fn tags_and_platforms_have_their_forms() {
    for platform in ["linux/amd64", "linux/arm64/v8", "windows/amd64"] {
        is_accepted(&from_hub(&format!("from: a/b, platforms: [{platform}]")));
    }
    for platform in ["amd64", "linux/", "/amd64", "a//b", "a/b/c/d", "Linux/amd64", "'linux/amd64 '", "''"] {
        let found = checked(&from_hub(&format!("from: a/b, platforms: [x/y, {platform}]")), &[]);
        let expected = format!(
            "config.yml:4:78: sync[0].repositories[0].platforms[1]: expected `os/architecture` or `os/architecture/variant` in \
             lower case, such as `linux/arm64`, found `{}`",
            platform.trim_matches('\'')
        );
        assert_eq!(found.mistakes, expected);
    }
    is_refused(
        &from_hub("from: a/b, tags: { newest: 0 }"),
        "config.yml:4:77: sync[0].repositories[0].tags.newest: must be 1 at least; leave it out for all versions",
    );
    is_refused(
        &from_hub("from: a/b, tags: { semver: '12' }"),
        "config.yml:4:77: sync[0].repositories[0].tags.semver: `12` has no operator: write `=12` for its own versions alone, or `^12` for all that are compatible",
    );
    is_refused(
        &from_hub("from: a/b, tags: { allow: ['(', x] }"),
        "config.yml:4:77: sync[0].repositories[0].tags.allow[0]: the regular expression `(` is not valid: unclosed group",
    );
    is_refused(
        &from_hub("from: a/b, tag: { allow: [x] }"),
        "config.yml:4:61: sync[0].repositories[0].tag: unknown key; did you mean `tags`?",
    );
}
