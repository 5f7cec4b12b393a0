//! Warnings, and what causes none.

use super::file;
use crate::checked::checked;

#[track_caller]
fn warns(file: &str, expected: &str) {
    let checked = checked(file, &[]);
    assert_eq!((checked.mistakes.as_str(), checked.warnings.as_str()), ("", expected), "{file}");
}

#[test]
fn plain_sections_cause_no_warning() {
    for proxy in [
        "remoteurl: 'https://registry-1.docker.io'",
        "remoteurl: 'http://10.0.0.1:5000', ttl: 1h",
        "remoteurl: 'https://quay.io', ttl: 0",
        "upstreams: [{ name: quay, url: 'https://quay.io' }], default: quay, local: ['team/**']",
        "upstreams: [{ name: a, url: 'https://a.example' }, { name: b, url: 'https://b.example', prefix: a.example-b }]",
        "upstreams: []",
        "remoteurl: '', username: '', password: '', ttl: 24h",
    ] {
        warns(&file(proxy), "");
    }
}

#[test]
fn keys_without_an_effect_are_named() {
    for (proxy, expected) in [
        (
            "username: u, default: hub",
            "config.yml:3:20: proxy.username: has no effect without `remoteurl` or `upstreams`\n\
             config.yml:3:32: proxy.default: has no effect without `remoteurl` or `upstreams`",
        ),
        (
            "remoteurl: 'https://quay.io', local: ['**']",
            "config.yml:3:47: proxy.local: has no effect with `remoteurl`, of which the whole registry is a cache",
        ),
        (
            "upstreams: [{ name: quay, url: 'https://quay.io' }], local: ['team/**']",
            "config.yml:3:70: proxy.local: has no effect without `default`: every name that is below no `prefix` is local",
        ),
        (
            "remoteurl: 'https://quay.io', public: true",
            "config.yml:3:48: proxy.public: has no effect without an account",
        ),
        (
            "upstreams: [{ name: lab, url: 'http://lab.example', ca: /ca.pem }]",
            "config.yml:3:66: proxy.upstreams[0].ca: has no effect, since `url` begins with `http://`",
        ),
        (
            "remoteurl: 'https://quay.io', spool: /tmp",
            "config.yml:3:47: proxy.spool: has no effect over the driver `inmemory`, whose files are read while they grow",
        ),
        (
            "maxsize: 1GiB, upstreams: [{ name: quay, url: 'https://quay.io', maxsize: 2GiB }]",
            "config.yml:3:84: proxy.upstreams[0].maxsize: is more than `proxy.maxsize`, the bound of all caches together",
        ),
    ] {
        warns(&file(proxy), expected);
    }
    let s3 = "version: 0.1\nstorage: { s3: { bucket: b } }\nproxy: { remoteurl: 'https://quay.io', spool: /tmp }\n";
    warns(s3, "");
}

#[test]
fn an_upstream_within_the_place_of_another_hides_a_part_of_it() {
    let (hub, private) = (
        "{ name: hub, url: 'https://docker.io' }",
        "{ name: p, url: 'https://p.example', prefix: docker.io/p/q }",
    );
    warns(
        &file(&format!("upstreams: [{hub}, {private}]")),
        "config.yml:3:108: proxy.upstreams[1].prefix: `docker.io/p/q` is below `docker.io`, the prefix of `hub` \
         (config.yml:3:22), and hides its repositories below `p/q/`",
    );
    warns(
        &file(&format!("upstreams: [{private}, {hub}]")),
        "config.yml:3:84: proxy.upstreams[1].prefix: `docker.io/p/q`, the prefix of `p` (config.yml:3:67), is below `docker.io` \
         and hides its repositories below `p/q/`",
    );
}

#[test]
fn the_clients_of_an_account_are_named_when_there_is_no_login() {
    let cases = [
        (
            "remoteurl: 'https://quay.io', username: robot, password: hush",
            "config.yml:3:67: proxy.password: without a login, every client may pull whatever `robot` may read at `quay.io`: set \
             `auth`, or `public: true` if that is meant",
        ),
        (
            "upstreams: [{ name: quay, url: 'https://quay.io', prefix: q, username: robot, passwordfile: /p }]",
            "config.yml:3:102: proxy.upstreams[0].passwordfile: without a login, every client may pull below `q/`, whatever \
             `robot` may read at `quay.io`: set `auth`, or `public: true` if that is meant",
        ),
        (
            "remoteurl: 'https://quay.io', exec: { command: helper }",
            "config.yml:3:46: proxy.exec: without a login, every client may pull whatever the account of `helper` may read at \
             `quay.io`: set `auth`, or `public: true` if that is meant",
        ),
        (
            "upstreams: [{ name: quay, url: 'https://quay.io', dockerconfig: /c.json }]",
            "config.yml:3:74: proxy.upstreams[0].dockerconfig: without a login, every client may pull below `quay.io/`, whatever \
             the account in /c.json may read at `quay.io`: set `auth`, or `public: true` if that is meant",
        ),
    ];
    for (proxy, expected) in cases {
        warns(&file(proxy), expected);
        for auth in [
            "auth: { htpasswd: { realm: r, path: /p } }",
            "auth: none\naccess: { rules: [{ who: anonymous, may: pull, on: 'open/**' }] }",
        ] {
            warns(&format!("{}{auth}\n", file(proxy)), "");
        }
    }
    warns(&file("remoteurl: 'https://quay.io', username: robot, password: hush, public: true"), "");
}

#[test]
fn credentials_in_the_clear_are_named() {
    let proxy =
        |host: &str| file(&format!("remoteurl: 'http://{host}', username: u, password: hush, public: true"));
    warns(
        &proxy("lab.example:5000"),
        "config.yml:3:71: proxy.password: goes to `lab.example` in the clear, since the URL begins with `http://`: use `https://`",
    );
    for host in ["localhost:5000", "127.0.0.1:5000", "[::1]:5000"] {
        warns(&proxy(host), "");
    }
}

#[test]
fn a_short_life_and_a_number_of_nanoseconds_are_named() {
    let short = "is short: images go an hour after their last pull at the earliest, when a collection runs; `0s` keeps them";
    warns(&file("remoteurl: 'https://quay.io', ttl: 30s"), &format!("config.yml:3:45: proxy.ttl: {short}"));
    warns(
        &file("remoteurl: 'https://quay.io', ttl: 168"),
        &format!(
            "config.yml:3:45: proxy.ttl: 168 without a unit is 168 nanoseconds; for seconds write `168s`\n\
             config.yml:3:45: proxy.ttl: {short}"
        ),
    );
}

#[test]
fn a_read_only_store_and_a_shared_host_are_named() {
    let read_only = "storage: { inmemory: {}, maintenance: { readonly: { enabled: true } } }";
    warns(
        &file("remoteurl: 'https://quay.io'").replace("storage: inmemory", read_only),
        "config.yml:3:8: proxy: stores nothing, since `storage.maintenance.readonly.enabled` is true (config.yml:2:62): each pull \
         of what the store lacks goes to the upstream",
    );
    let upstream = file("upstreams: [{ name: quay, url: 'https://quay.io', hosts: [r.example] }]");
    let expected = "config.yml:3:67: proxy.upstreams[0].hosts: `r.example:5000` is in `http.host`, and nothing but this cache can \
                    be reached by it";
    warns(&format!("{upstream}http: {{ host: 'https://r.example:5000' }}\n"), expected);
    warns(&format!("{upstream}http: {{ host: 'https://other.example' }}\n"), "");
}
