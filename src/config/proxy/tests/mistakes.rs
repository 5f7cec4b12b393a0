//! Mistakes, each with its place and its remedy.

use super::file;
use crate::checked::{checked, load};

/// An entry of `upstreams` with a name and a URL.
fn quay(keys: &str) -> String {
    format!("upstreams: [{{ name: quay, url: 'https://quay.io', {keys} }}]")
}

/// `proxy` with an upstream at `quay.io` and another.
fn beside_quay(upstream: &str) -> String {
    format!("upstreams: [{{ name: quay, url: 'https://quay.io' }}, {{ {upstream} }}]")
}

#[track_caller]
fn each_is_named(cases: &[(String, &str)]) {
    for (proxy, expected) in cases {
        assert_eq!(checked(&file(proxy), &[]).mistakes, *expected, "{proxy}");
    }
}

#[test]
fn the_two_forms_do_not_mix() {
    let both = "\
version: 0.1
storage: inmemory
proxy:
  remoteurl: https://registry-1.docker.io
  upstreams:
    - { name: quay, url: https://quay.io }
";
    assert_eq!(
        checked(both, &[]).mistakes,
        "config.yml:4:14: proxy.remoteurl: excludes `upstreams` (config.yml:6:5): make it one of them, with a `name` and a \
         place of its own"
    );
    each_is_named(&[(
        quay("maxsize: 1GiB") + ", username: u, password: hush",
        "config.yml:3:88: proxy.username: is for `remoteurl`: move it to the upstream that it concerns\n\
         config.yml:3:101: proxy.password: is for `remoteurl`: move it to the upstream that it concerns",
    )]);
}

/// An entry with a mistake does not make the keys beside it useless.
#[test]
fn keys_beside_a_mistaken_upstream_are_not_warned_of() {
    let refused = load(&file("upstreams: [{ name: hub, url: docker.io }], default: hub, local: ['team/**']"));
    assert!(
        refused.mistakes.contains("proxy.upstreams[0].url: expected the full URL"),
        "{}",
        refused.mistakes
    );
    assert_eq!(refused.warnings, "");
}

#[test]
fn an_upstream_needs_its_name_its_url_and_its_place() {
    each_is_named(&[
        (
            "upstreams: [{ url: 'https://quay.io' }]".to_owned(),
            "config.yml:3:22: proxy.upstreams[0].name: is missing; give one such as `hub`, for `default`, the log and the metrics",
        ),
        (
            "upstreams: [{ name: quay }]".to_owned(),
            "config.yml:3:22: proxy.upstreams[0].url: is missing; give the registry's, such as `https://registry-1.docker.io`",
        ),
        (
            "upstreams: [{ name: 'a b', url: 'https://quay.io' }]".to_owned(),
            "config.yml:3:30: proxy.upstreams[0].name: must be letters, digits, `-`, `_` and `.`, 64 at most",
        ),
        (
            "upstreams: [{ name: lab, url: 'https://lab.example:5000' }]".to_owned(),
            "config.yml:3:22: proxy.upstreams[0].prefix: is missing, and its default `lab.example:5000`, the host of `url`, cannot \
             begin a repository name: give `prefix`, such as `lab.example`",
        ),
        (
            "upstreams: [{ name: lab, url: 'https://[::1]' }]".to_owned(),
            "config.yml:3:22: proxy.upstreams[0].prefix: is missing, and its default `[::1]`, the host of `url`, cannot begin a \
             repository name: give `prefix`, such as `mirror`",
        ),
        (
            quay("prefix: Quay"),
            "config.yml:3:68: proxy.upstreams[0].prefix: `Quay` cannot begin a repository name: names are in lower case",
        ),
        (
            quay("prefix: 'quay.io:5000'"),
            "config.yml:3:68: proxy.upstreams[0].prefix: `quay.io:5000` cannot begin a repository name: a name has no port in it",
        ),
        (
            quay("path: /team/"),
            "config.yml:3:66: proxy.upstreams[0].path: `/team/` cannot begin a repository name: write it without slashes at its \
             ends, and one slash between components",
        ),
        (
            quay("ns: ['https://quay.io']"),
            "config.yml:3:65: proxy.upstreams[0].ns[0]: expected a host such as `quay.io` or `registry.example:5000`, found a \
             URL: write its host only",
        ),
        (
            "upstreams: [{ name: quay, url: quay.io }]".to_owned(),
            "config.yml:3:41: proxy.upstreams[0].url: expected the full URL of a registry such as \
             `https://registry-1.docker.io`, found `quay.io`",
        ),
        (
            "remoteurl: 'https://u:hush@quay.io/x?y'".to_owned(),
            "config.yml:3:21: proxy.remoteurl: has a user in it, and URLs end up in logs: write `https://quay.io/x`, with \
             `username` and `password` beside it",
        ),
        (
            "remoteurl: 'https://quay.io/?y#z'".to_owned(),
            "config.yml:3:21: proxy.remoteurl: has a query or a fragment, which the URL of a registry has not: write \
             `https://quay.io/`",
        ),
    ]);
    let long = quay(&format!("prefix: {}", "a".repeat(300)));
    let found = checked(&file(&long), &[]).mistakes;
    assert!(found.contains("prefix: has 300 characters, which leaves no room"), "{found}");
}

#[test]
fn what_means_one_upstream_means_no_other() {
    each_is_named(&[
        (
            beside_quay("name: quay, url: 'https://ghcr.io'"),
            "config.yml:3:70: proxy.upstreams[1].name: `quay` is the name of another upstream, too (config.yml:3:30): give each \
             its own",
        ),
        (
            beside_quay("name: b, url: 'https://b.example', prefix: quay.io"),
            "config.yml:3:107: proxy.upstreams[1].prefix: `quay.io` is the place of `quay` (config.yml:3:22), too: give one of \
             them a `prefix` of its own\n\
             config.yml:3:62: proxy.upstreams[1].ns: `quay.io` means `quay` (config.yml:3:22), too: give one of them an `ns` of \
             its own",
        ),
        (
            beside_quay("name: b, url: 'https://quay.io', prefix: b"),
            "config.yml:3:62: proxy.upstreams[1].ns: `quay.io` means `quay` (config.yml:3:22), too: give one of them an `ns` of \
             its own",
        ),
        (
            "upstreams: [{ name: a, url: 'https://a.example', ns: [q.example] }, { name: b, url: 'https://b.example', \
             ns: ['Q.example:443'] }]"
                .to_owned(),
            "config.yml:3:119: proxy.upstreams[1].ns: `q.example` means `a` (config.yml:3:63), too: give one of them an `ns` of \
             its own",
        ),
        (
            "upstreams: [{ name: a, url: 'https://a.example', hosts: [m.example] }, { name: b, url: 'https://b.example', \
             hosts: [x.example, m.example] }]"
                .to_owned(),
            "config.yml:3:125: proxy.upstreams[1].hosts: `m.example` means `a` (config.yml:3:66), too: keep one of the two",
        ),
    ]);
}

#[test]
fn default_names_an_upstream() {
    each_is_named(&[
        (
            quay("public: false") + ", default: quai",
            "config.yml:3:87: proxy.default: `quai` is the name of no upstream; did you mean `quay`?",
        ),
        (
            quay("public: false") + ", default: hub",
            "config.yml:3:87: proxy.default: `hub` is the name of no upstream; known here: quay",
        ),
    ]);
}

#[test]
fn an_account_is_given_in_one_way_and_whole() {
    each_is_named(&[
        (
            quay("username: u, password: hush, passwordfile: /p"),
            "config.yml:3:103: proxy.upstreams[0].passwordfile: is a second way to the account, beside `password`: keep one of them",
        ),
        (
            quay("exec: { command: c }, dockerconfig: /c"),
            "config.yml:3:96: proxy.upstreams[0].dockerconfig: is a second way to the account, beside `exec`: keep one of them",
        ),
        (
            quay("username: u, exec: { command: c }"),
            "config.yml:3:70: proxy.upstreams[0].username: has no use beside `exec`, which gives the user, too: remove it",
        ),
        (
            quay("username: u, dockerconfig: /c"),
            "config.yml:3:70: proxy.upstreams[0].username: has no use beside `dockerconfig`, which gives the user, too: remove it",
        ),
        (
            quay("username: u"),
            "config.yml:3:70: proxy.upstreams[0].username: has no password: give `password` beside it",
        ),
        (quay("password: hush"), "config.yml:3:70: proxy.upstreams[0].password: needs `username` beside it"),
        (
            quay("passwordfile: /p"),
            "config.yml:3:74: proxy.upstreams[0].passwordfile: needs `username` beside it",
        ),
        (
            quay("exec: { lifetime: 1h }"),
            "config.yml:3:66: proxy.upstreams[0].exec.command: is missing; name a program such as `docker-credential-ecr-login`",
        ),
        (
            "remoteurl: 'https://quay.io', password: hush".to_owned(),
            "config.yml:3:50: proxy.password: needs `username` beside it",
        ),
        (
            "remoteurl: 'https://quay.io', username: u, password: hush, exec: { command: c }".to_owned(),
            "config.yml:3:75: proxy.exec: is a second way to the account, beside `password`: keep one of them",
        ),
    ]);
}

#[test]
fn values_without_a_meaning_are_refused() {
    each_is_named(&[
        (
            quay("connections: 0"),
            "config.yml:3:73: proxy.upstreams[0].connections: must be 1 at least, since nothing could be fetched",
        ),
        (
            quay("timeouts: { connect: 0 }"),
            "config.yml:3:81: proxy.upstreams[0].timeouts.connect: must be longer than zero, since every request would fail",
        ),
        (
            quay("tags: { fresh: 30 }"),
            "config.yml:3:75: proxy.upstreams[0].tags.fresh: 30 has no unit; write `30h` for hours, `30m` for minutes, `30s` for seconds",
        ),
        (
            quay("tags: { stale: forever }"),
            "config.yml:3:75: proxy.upstreams[0].tags.stale: expected a duration such as 30s, 1h30m or 168h, found `forever`",
        ),
        (
            quay("tags: { deleted: drop }"),
            "config.yml:3:77: proxy.upstreams[0].tags.deleted: expected one of keep, forget, found `drop`",
        ),
        (
            quay("repositories: { allow: ['${user}/*'], deny: ['a/${user}'] }"),
            "config.yml:3:84: proxy.upstreams[0].repositories.allow[0]: `${user}` has no meaning here, since a cache is the same \
             for all users: write a pattern without it\n\
             config.yml:3:105: proxy.upstreams[0].repositories.deny[0]: `${user}` has no meaning here, since a cache is the same \
             for all users: write a pattern without it",
        ),
        (
            quay("realms: ['auth.example:8443']"),
            "config.yml:3:69: proxy.upstreams[0].realms[0]: a port has no meaning here: write `auth.example`, which is any port of \
             it",
        ),
        (
            quay("redirects: ['[::1]:9000']"),
            "config.yml:3:72: proxy.upstreams[0].redirects[0]: a port has no meaning here: write `[::1]`, which is any port of it",
        ),
        (
            quay("clientkey: /k"),
            "config.yml:3:71: proxy.upstreams[0].clientkey: needs `clientcertificate` beside it",
        ),
        (
            "upstream: [{ name: quay }]".to_owned(),
            "config.yml:3:10: proxy.upstream: unknown key; did you mean `upstreams`?",
        ),
    ]);
}

#[test]
fn a_value_that_cannot_be_read_is_not_reported_as_missing_too() {
    let text = "\
version: 0.1
storage: inmemory
proxy:
  default: hub
  upstreams:
    - { name: hub, url: docker.io, username: u, password: hush }
    - { name: quay, url: https://quay.io, prefix: Quay }
";
    assert_eq!(
        load(text).mistakes,
        "config.yml:6:25: proxy.upstreams[0].url: expected the full URL of a registry such as \
         `https://registry-1.docker.io`, found `docker.io`\n\
         config.yml:7:51: proxy.upstreams[1].prefix: `Quay` cannot begin a repository name: names are in lower case"
    );
}
