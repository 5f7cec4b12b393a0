//! Mistakes and warnings, each with its place and its remedy.

use super::{PROXY, checked};
use crate::{Config, ConfigError, Environment, Source};

/// The fourth line of a file has jobs, in flow style.
fn jobs(jobs: &str) -> String {
    format!("{PROXY}sync: [{jobs}]\n")
}

/// A job that copies from `hub`, with one repository.
fn from_hub(repository: &str) -> String {
    jobs(&format!("{{ name: base, from: hub, repositories: [{{ {repository} }}] }}"))
}

/// A job that copies from `quay`.
fn from_quay(repositories: &str) -> String {
    jobs(&format!("{{ name: base, from: quay, repositories: [{repositories}] }}"))
}

/// With other keys of `proxy` beside its upstreams.
fn with_proxy(keys: &str, file: &str) -> String {
    file.replace("proxy: {", &format!("proxy: {{ {keys},"))
}

/// With another section `proxy`.
fn with_other_proxy(proxy: &str, file: &str) -> String {
    let line = PROXY.lines().find(|line| line.starts_with("proxy:")).unwrap();
    file.replace(line, proxy)
}

#[track_caller]
fn is_refused(file: &str, expected: &str) {
    let checked = checked(file, &[]);
    assert_eq!((checked.mistakes.as_str(), checked.warnings.as_str()), (expected, ""), "{file}");
}

#[track_caller]
fn is_accepted(file: &str) {
    is_refused(file, "");
}

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
        assert_eq!(load(&jobs(job)), expected, "{job}");
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
    let no_unit =
        "config.yml:4:44: sync[0].interval: 30 has no unit; write `30h` for hours, `30m` for minutes";
    assert!(checked(&job("interval: 30"), &[]).mistakes.starts_with(no_unit));
    is_refused(
        &job("window: 2-5"),
        "config.yml:4:42: sync[0].window: expected two times of the day (UTC) such as 02:00-05:00, found `2-5`",
    );
    is_refused(&job("reserve: -1"), "config.yml:4:43: sync[0].reserve: expected u64, found the number -1");
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
        assert_eq!(load(&file), expected, "{proxy}");
    }
    let delete = from_hub("from: a/b, to: c, prune: true").replace("enabled: true", "enabled: ja");
    assert_eq!(
        load(&delete),
        "config.yml:2:45: storage.delete.enabled: expected a boolean, found the text `ja`"
    );
}

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

/// All mistakes of a file that is loaded.
fn load(text: &str) -> String {
    let source = Source::Text { name: "config.yml".to_owned(), text: text.to_owned() };
    match Config::load(source, &Environment::default()) {
        Ok(_) => String::new(),
        Err(ConfigError::Invalid { mistakes, .. }) => super::lines(&mistakes),
        Err(other) => panic!("{other}"),
    }
}
