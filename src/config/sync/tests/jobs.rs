//! Mistakes of jobs, each with its place and its remedy.

use super::{from_hub, is_accepted, is_refused, jobs, with_other_proxy, with_proxy};
use crate::checked::{checked, load};

#[test]
fn a_job_has_a_name_of_its_own() {
    let two = |one: &str, other: &str| {
        let job = |name: &str| format!("{{ name: {name}, from: quay, repositories: [{{ from: a/b }}] }}");
        jobs(&format!("{}, {}", job(one), job(other)))
    };
    is_accepted(&two("a", "b"));
    is_refused(
        &two("a", "a"),
        "config.yml:4:72: sync[1].name: `a` is the name of another job, too (config.yml:4:16): give each its own",
    );
    let rule =
        "must be lower-case letters, digits, `-`, `_` and `.`, 64 at most, with a letter or digit first";
    let long = "a".repeat(65);
    for name in ["Base", ".a", "-a", "_a", "a/b", "'a b'", "ü", &long] {
        is_refused(&two(name, "b"), &format!("config.yml:4:16: sync[0].name: {rule}"));
    }
    is_accepted(&two("0._-a", &long[1..]));
}

#[test]
fn a_job_needs_its_keys() {
    is_refused(
        &jobs("{ name: base, from: hub }"),
        "config.yml:4:8: sync[0].repositories: names no repository; write one such as `- from: library/debian`",
    );
    is_refused(
        &jobs("{ name: base, from: hub, repositories: [] }"),
        "config.yml:4:47: sync[0].repositories: names no repository; write one such as `- from: library/debian`",
    );
    for (job, expected) in [
        (
            "{ from: hub, repositories: [{ from: a/b }] }",
            "config.yml:4:8: sync[0]: the key `name` is missing",
        ),
        (
            "{ name: base, repositories: [{ from: a/b }] }",
            "config.yml:4:8: sync[0]: the key `from` is missing",
        ),
        (
            "{ name: base, from: hub, repositories: [{ to: a/b }] }",
            "config.yml:4:48: sync[0].repositories[0]: the key `from` is missing",
        ),
    ] {
        assert_eq!(load(&jobs(job)).mistakes, expected, "{job}");
    }
}

#[test]
fn a_job_does_not_run_all_the_time() {
    let job =
        |keys: &str| jobs(&format!("{{ name: base, from: quay, {keys}, repositories: [{{ from: a/b }}] }}"));
    is_accepted(&job("interval: 1m"));
    is_refused(
        &job("interval: 59s"),
        "config.yml:4:44: sync[0].interval: must be `1m` or more: each run asks the upstream for every tag",
    );
    is_refused(
        &job("interval: 0s"),
        "config.yml:4:44: sync[0].interval: must be `1m` or more: each run asks the upstream for every tag",
    );
    let no_unit = "config.yml:4:44: sync[0].interval: 30 has no unit; write `30h` for hours, `30m` for minutes, `30s` for seconds";
    assert!(checked(&job("interval: 30"), &[]).mistakes.starts_with(no_unit));
    is_refused(
        &job("window: 2-5"),
        "config.yml:4:42: sync[0].window: expected two times of the day (UTC) such as 02:00-05:00, found `2-5`",
    );
    is_refused(
        &job("reserve: -1"),
        "config.yml:4:43: sync[0].reserve: expected a whole number that is not negative, found the number -1",
    );
}

#[test]
fn from_is_the_name_of_an_upstream() {
    let job = |from: &str| jobs(&format!("{{ name: base, from: {from}, repositories: [{{ from: a/b }}] }}"));
    is_refused(
        &job("quai"),
        "config.yml:4:28: sync[0].from: `quai` is the name of no upstream; did you mean `quay`?",
    );
    is_refused(
        &job("gcr"),
        "config.yml:4:28: sync[0].from: `gcr` is the name of no upstream; known here: hub, quay",
    );
    for proxy in ["", "proxy: {}"] {
        is_refused(
            &with_other_proxy(proxy, &job("hub")),
            "config.yml:4:28: sync[0].from: there is no upstream `hub`: `proxy.upstreams` has to name the registry",
        );
    }
    let remote = |from: &str| with_other_proxy("proxy: { remoteurl: 'https://quay.io' }", &job(from));
    is_accepted(&remote("remote"));
    is_refused(
        &remote("remoteurl"),
        "config.yml:4:28: sync[0].from: `remoteurl` is the name of no upstream; did you mean `remote`?",
    );
    is_refused(
        &remote("hub"),
        "config.yml:4:28: sync[0].from: `hub` is the name of no upstream; known here: remote",
    );
}

/// A mistake of the upstream is the only one.
#[test]
fn an_upstream_with_mistakes_is_not_unknown_too() {
    for (proxy, expected) in [
        (
            "upstreams: [{ name: hub }]",
            "config.yml:3:22: proxy.upstreams[0].url: is missing; give the registry's, such as `https://registry-1.docker.io`",
        ),
        (
            "upstreams: [{ url: 'https://docker.io' }]",
            "config.yml:3:22: proxy.upstreams[0].name: is missing; give one such as `hub`, for `default`, the log and the metrics",
        ),
        (
            "upstreams: [{ name: hub, url: docker.io }]",
            "config.yml:3:40: proxy.upstreams[0].url: expected the full URL of a registry such as `https://registry-1.docker.io`, found `docker.io`",
        ),
    ] {
        let file = with_other_proxy(&format!("proxy: {{ {proxy} }}"), &from_hub("from: a/b"));
        assert_eq!(load(&file).mistakes, expected, "{proxy}");
    }
    let delete = from_hub("from: a/b, to: c, prune: true").replace("enabled: true", "enabled: ja");
    assert_eq!(
        load(&delete).mistakes,
        "config.yml:2:45: storage.delete.enabled: expected a boolean, found the text `ja`"
    );
}

#[test]
fn a_read_only_store_is_named() {
    let read_only = "delete: { enabled: true }, maintenance: { readonly: { enabled: true } }";
    let found = checked(&from_hub("from: a/b").replace("delete: { enabled: true }", read_only), &[]);
    assert_eq!(found.mistakes, "");
    assert!(found.warnings.ends_with(
            "config.yml:4:7: sync: the jobs store nothing, since `storage.maintenance.readonly.enabled` is true (config.yml:2:89)"
        ), "{}", found.warnings);
    // A site may be offline for a while.
    is_accepted(&with_proxy("offline: true", &from_hub("from: a/b")));
}

#[test]
fn a_mistake_in_a_variable_names_it() {
    let found = checked(&from_hub("from: a/b"), &[("REGISTRY_SYNC_0_FROM", "hubb")]);
    assert_eq!(
        found.mistakes,
        "environment variable REGISTRY_SYNC_0_FROM: sync[0].from: `hubb` is the name of no upstream; did you mean `hub`?"
    );
}
