//! Variables, what `config show` prints, and what Distribution makes of the section.

use std::time::Duration;

use super::file;
use crate::checked::{checked, stages};
use crate::{Config, Loaded, Source, UpstreamAccount, for_distribution, show};

const NO_SECTION: &str = "version: 0.1\nstorage: inmemory\n";

#[test]
fn distributions_variables_work() {
    let checked = checked(
        NO_SECTION,
        &[
            ("REGISTRY_PROXY_REMOTEURL", "https://registry-1.docker.io"),
            ("REGISTRY_PROXY_USERNAME", "robot"),
            ("REGISTRY_PROXY_PASSWORD", "hush"),
            ("REGISTRY_PROXY_TTL", "72h"),
            ("REGISTRY_PROXY_CACHEWRITETIMEOUT", "1m"),
        ],
    );
    assert_eq!(checked.mistakes, "");
    let proxy = checked.proxy();
    assert_eq!(proxy.expiry(), Some(Duration::from_secs(72 * 3600)));
    assert_eq!(proxy.write_timeout(), Duration::from_secs(60));
    let account = proxy.resolved_upstreams().remove(0).account;
    assert!(matches!(account, UpstreamAccount::Password { user, password }
        if user == "robot" && password.expose() == "hush"));
}

#[test]
fn distributions_variables_of_a_credential_helper_work() {
    let checked = checked(
        NO_SECTION,
        &[
            ("REGISTRY_PROXY_REMOTEURL", "https://quay.io"),
            ("REGISTRY_PROXY_EXEC_COMMAND", "docker-credential-x"),
            ("REGISTRY_PROXY_EXEC_LIFETIME", "0"),
        ],
    );
    assert_eq!(checked.mistakes, "");
    let (command, lifetime) = ("docker-credential-x".to_owned(), Some(Duration::ZERO));
    assert_eq!(checked.proxy().resolved_upstreams()[0].account, UpstreamAccount::Exec { command, lifetime });
}

#[test]
fn variables_reach_upstreams_by_index_and_as_a_list() {
    let by_index = checked(
        NO_SECTION,
        &[
            ("REGISTRY_PROXY_DEFAULT", "hub"),
            ("REGISTRY_PROXY_LOCAL_0", "team/**"),
            ("REGISTRY_PROXY_UPSTREAMS_0_NAME", "hub"),
            ("REGISTRY_PROXY_UPSTREAMS_0_URL", "https://docker.io"),
            ("REGISTRY_PROXY_UPSTREAMS_0_USERNAME", "robot"),
            ("REGISTRY_PROXY_UPSTREAMS_0_PASSWORDFILE", "/run/secrets/hub"),
            ("REGISTRY_PROXY_UPSTREAMS_0_HOSTS_0", "hub.mirror.example"),
            ("REGISTRY_PROXY_UPSTREAMS_0_TAGS_FRESH", "1m"),
            ("REGISTRY_PROXY_UPSTREAMS_1_NAME", "quay"),
            ("REGISTRY_PROXY_UPSTREAMS_1_URL", "https://quay.io"),
            ("REGISTRY_PROXY_UPSTREAMS_1_REPOSITORIES_ALLOW", "[prometheus/*, coreos/*]"),
        ],
    );
    assert_eq!(by_index.mistakes, "");
    let upstreams = by_index.proxy().resolved_upstreams();
    assert_eq!(upstreams.iter().map(|upstream| upstream.name.as_str()).collect::<Vec<_>>(), ["hub", "quay"]);
    assert_eq!(upstreams[0].hosts[0].as_str(), "hub.mirror.example");
    assert_eq!(upstreams[0].tags.fresh, Duration::from_secs(60));
    assert_eq!(upstreams[1].repositories.allow.len(), 2);

    let list = "[{ name: quay, url: 'https://quay.io' }]";
    let at_once = checked(NO_SECTION, &[("REGISTRY_PROXY_UPSTREAMS", list)]);
    assert_eq!(at_once.mistakes, "");
    assert_eq!(at_once.proxy().resolved_upstreams()[0].prefix.as_deref(), Some("quay.io"));
}

#[test]
fn a_mistake_in_a_variable_names_it() {
    let found = checked(
        NO_SECTION,
        &[("REGISTRY_PROXY_UPSTREAMS_0_NAME", "quay"), ("REGISTRY_PROXY_UPSTREAMS_0_URL", "quay.io")],
    );
    assert_eq!(
        found.mistakes,
        "environment variable REGISTRY_PROXY_UPSTREAMS_0_URL: proxy.upstreams[0].url: expected the full URL of a registry such as \
         `https://registry-1.docker.io`, found `quay.io`"
    );
}

/// A section that has all kinds of secrets, and a URL that is refused for its own.
const SECRETS: &str = "remoteurl: 'https://u:geheim@quay.io/?x=geheim', username: u, password: geheim, upstreams: [{ name: a, \
                       url: 'https://u:geheim@a.example', username: u, password: geheim }]";

/// The tree alone matters here.
fn loaded(file: &str) -> Loaded {
    let (config, tree) = (Config::default(), stages(file, &[]).tree);
    let source = Source::Text { name: "config.yml".to_owned(), text: file.to_owned() };
    Loaded { config, warnings: Vec::new(), tree, source }
}

#[test]
fn passwords_are_in_no_output() {
    let all = loaded(&file(SECRETS));
    let shown = show(&all) + &format!("{all:?}") + &checked(&file(SECRETS), &[]).mistakes;
    assert!(!shown.contains("geheim"), "{shown}");
    assert!(shown.contains("password: \"***\""), "{shown}");
    let path = show(&loaded(&file("upstreams: [{ name: a, passwordfile: /run/secrets/a }]")));
    assert!(path.contains("passwordfile: /run/secrets/a"), "{path}");
    let upstream = checked(
        &file("upstreams: [{ name: a, url: 'https://a.example', username: u, password: geheim }]"),
        &[],
    );
    let upstream = &upstream.proxy().resolved_upstreams()[0];
    assert!(!format!("{upstream:?}").contains("geheim"));
}

#[test]
fn a_password_in_the_file_is_a_secret_of_the_file() {
    let secret = |proxy: &str| loaded(&file(proxy)).secret_in_file().map(|found| found.path);
    assert_eq!(secret("remoteurl: 'https://a.example', password: geheim").as_deref(), Some("proxy.password"));
    assert_eq!(
        secret("upstreams: [{ name: a, password: geheim }]").as_deref(),
        Some("proxy.upstreams[0].password")
    );
    assert_eq!(secret("upstreams: [{ name: a, passwordfile: /p }]"), None);
}

#[test]
fn distribution_ignores_the_keys_that_it_lacks() {
    let ignored = |proxy: &str| {
        let found = for_distribution(&loaded(&file(proxy)));
        assert_eq!(found.refused, []);
        found.ignored.into_iter().map(|found| found.path).collect::<Vec<_>>()
    };
    assert_eq!(
        ignored("remoteurl: 'https://quay.io', username: u, password: p, ttl: 1h, cachewritetimeout: 1m"),
        [""; 0]
    );
    assert_eq!(ignored("remoteurl: 'https://quay.io', exec: { command: c, lifetime: 1h }"), [""; 0]);
    assert_eq!(
        ignored("remoteurl: 'https://quay.io', public: true, offline: true, maxsize: 1GiB, spool: /tmp"),
        ["proxy.public", "proxy.offline", "proxy.maxsize", "proxy.spool"]
    );
    assert_eq!(
        ignored("default: quay, local: [a], upstreams: [{ name: quay, url: 'https://quay.io' }]"),
        ["proxy.default", "proxy.local", "proxy.upstreams"]
    );
}
