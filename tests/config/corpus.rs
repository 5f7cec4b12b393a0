//! Configurations in use, each with its meaning.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sampan::config::{
    AuthConfig, Config, DescriptorCacheKind, Environment, ListenAddress, LogFormatter, LogLevel, Net, Origin,
    PlatformRule, Source, TlsVersion,
};

use super::{config, environment, load, warnings};
use crate::support::image_configs::{GUIDE, UPSTREAM};

#[test]
fn the_images_file_has_the_meaning_it_has_for_distribution() {
    let config = config(UPSTREAM, &[]);
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.log.formatter, LogFormatter::Text);
    assert_eq!(config.log.fields["service"], "registry");
    assert!(!config.log.accesslog.disabled);
    assert_eq!(config.storage.driver.name(), "filesystem");
    assert!(config.storage.delete.enabled);
    assert_eq!(config.storage.cache.blobdescriptor, Some(DescriptorCacheKind::InMemory));
    assert_eq!(config.storage.cache.limit(), Some(10_000));
    assert_eq!(config.storage.tag.concurrencylimit, Some(8));
    assert!(!config.storage.maintenance.uploadpurging.enabled);
    assert!(!config.storage.maintenance.readonly.enabled);
    assert_eq!(config.http.addr, ListenAddress::Tcp { host: None, port: 5000 });
    assert_eq!(config.http.headers["X-Content-Type-Options"], ["nosniff"]);
    assert_eq!(config.auth, AuthConfig::None);
    let debug = config.http.debug.unwrap();
    assert_eq!(debug.addr, Some(ListenAddress::Tcp { host: None, port: 5001 }));
    assert!(debug.prometheus.enabled && debug.prometheus.path == "/metrics");
    let health = config.health.unwrap().storagedriver;
    assert!(health.enabled);
    assert_eq!((health.interval, health.threshold), (Duration::from_secs(10), 3));
}

#[test]
fn the_guides_file_loads_with_a_warning_about_the_version() {
    let config = config(GUIDE, &[]);
    assert_eq!(config.http.addr.to_string(), ":5000");
    assert!(config.storage.delete.enabled);
    assert!(config.storage.maintenance.uploadpurging.enabled);
    assert_eq!(config.storage.maintenance.uploadpurging.age, Duration::from_secs(168 * 3600));
    assert_eq!(
        warnings(GUIDE, &[]),
        "config.yml:1:1: version: is missing; 0.1 is assumed, but Distribution requires `version: 0.1`"
    );
}

#[test]
fn the_guides_compose_files_give_tls_and_passwords() {
    let config = config(
        GUIDE,
        &[
            ("REGISTRY_HTTP_TLS_CERTIFICATE", "/certs/domain.crt"),
            ("REGISTRY_HTTP_TLS_KEY", "/certs/domain.key"),
            ("REGISTRY_AUTH", "htpasswd"),
            ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
            ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
        ],
    );
    let tls = config.http.tls.unwrap();
    assert_eq!(
        (tls.certificate.as_path(), tls.key.as_path()),
        (Path::new("/certs/domain.crt"), Path::new("/certs/domain.key"))
    );
    assert_eq!(tls.minimumtls, TlsVersion::Tls12);
    let AuthConfig::Htpasswd(htpasswd) = config.auth else { panic!("{:?}", config.auth) };
    assert_eq!(
        (htpasswd.path.as_path(), htpasswd.realm.as_str()),
        (Path::new("/auth/htpasswd"), "Registry Realm")
    );
}

#[test]
fn without_a_file_the_registry_serves_this_machine_alone() {
    let loaded = Config::load(Source::BuiltIn, &Environment::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(loaded.config.http.addr.to_string(), "127.0.0.1:5000");
    assert!(loaded.config.storage.delete.enabled);
    assert_eq!(loaded.config.storage.driver.origin(), &Origin::Default);
}

#[test]
fn variables_apply_without_a_file_too_and_may_choose_another_driver() {
    let variables =
        environment(&[("REGISTRY_STORAGE_INMEMORY_MAXSIZE", "1GiB"), ("REGISTRY_HTTP_ADDR", ":80")]);
    let config = Config::load(Source::BuiltIn, &variables).unwrap().config;
    assert_eq!(config.storage.driver.name(), "inmemory");
    assert!(config.storage.delete.enabled);
    assert_eq!(config.http.addr.to_string(), ":80");
}

#[test]
fn string_forms_and_flow_style_are_accepted() {
    for text in [
        "version: 0.1\nstorage: inmemory\nauth: none\n",
        "version: \"0.1\"\nstorage:\n  inmemory:\nauth: None\n",
        "{ version: 0.1, storage: { inmemory: {} } }",
    ] {
        let config = config(text, &[]);
        assert_eq!((config.storage.driver.name(), config.auth), ("inmemory", AuthConfig::None), "{text}");
    }
    let config = config("version: 0.1\nstorage: inmemory\nauth: { silly: { realm: r, service: s } }\n", &[]);
    assert!(matches!(config.auth, AuthConfig::Silly(silly) if silly.realm == "r" && silly.service == "s"));
}

#[test]
fn the_whole_http_section_is_read() {
    let config = config(
        "\
version: 0.1
storage: inmemory
http:
  net: unix
  addr: /run/registry.sock
  prefix: /registry/
  host: https://registry.example.com
  secret: 0123
  relativeurls: yes
  draintimeout: 60s
  tls:
    certificate: /c.pem
    key: /k.pem
    clientcas: [/a.pem, /b.pem]
    clientauth: verify-client-cert-if-given
    minimumtls: tls1.3
  headers:
    X-One: one
    X-Two: [a, b]
  http2: { disabled: true }
  limits: { headertimeout: 5s, maxmanifestsize: 1MiB, maxconnections: 0 }
",
        &[],
    );
    let http = config.http;
    assert_eq!((http.net, http.addr), (Net::Unix, ListenAddress::Unix("/run/registry.sock".into())));
    assert_eq!(http.prefix.as_str(), "/registry");
    assert_eq!(http.host.unwrap().as_url().host_str(), Some("registry.example.com"));
    assert!(http.relativeurls && http.http2.disabled);
    assert_eq!(http.draintimeout, Duration::from_secs(60));
    assert_eq!(http.tls.unwrap().clientcas.len(), 2);
    assert_eq!(http.headers["X-One"], ["one"]);
    assert_eq!(http.headers["X-Two"], ["a", "b"]);
    assert_eq!((http.limits.maxconnections, http.limits.maxmanifestsize.0), (0, 1 << 20));
    assert_eq!(http.limits.headertimeout, Duration::from_secs(5));
    assert_eq!(http.limits.idletimeout, Config::default().http.limits.idletimeout);
}

#[test]
fn validation_policy_and_listings_are_read() {
    let config = config(
        "\
version: 0.1
storage: inmemory
catalog: { maxentries: -1 }
tags: { maxtags: 50 }
validation:
  disabled: true
  manifests:
    urls:
      allow: ['^https?://([^/]+\\.)*example\\.com/']
      deny: ['^https?://www\\.example\\.com/']
    indexes:
      platforms: List
      platformlist:
        - { architecture: amd64, os: linux }
policy:
  repository:
    classes: [image]
",
        &[],
    );
    assert_eq!((config.catalog.maxentries.0, config.tags.maxtags.0), (1000, 50));
    assert!(config.validation.is_lifted());
    let manifests = config.validation.manifests;
    assert!(manifests.urls.allow[0].as_regex().is_match("http://a.example.com/x"));
    assert_eq!(manifests.urls.deny.len(), 1);
    assert_eq!(manifests.indexes.platforms, PlatformRule::List);
    assert_eq!(manifests.indexes.platformlist[0].architecture, "amd64");
    assert_eq!(config.policy.repository.classes, ["image"]);
}

#[test]
fn unsupported_sections_without_effect_are_accepted() {
    let text = "\
version: 0.1
storage: inmemory
notifications: { endpoints: [] }
proxy: {}
redis:
health: { storagedriver: { enabled: false } }
http:
  debug: { prometheus: { enabled: true } }
middleware: { storage: [{ name: redirect, disabled: true }] }
";
    assert_eq!(warnings(text, &[]), "");
    assert!(config(text, &[]).http.tls.is_none());
}

#[test]
fn old_spellings_load_with_a_warning() {
    let text = "version: 0.1\nloglevel: warn\nstorage: { inmemory: {}, cache: { layerinfo: inmemory } }\n";
    let config = config(text, &[]);
    assert_eq!(config.log.level, LogLevel::Warn);
    assert_eq!(config.storage.cache.blobdescriptor, Some(DescriptorCacheKind::InMemory));
    assert_eq!(
        warnings(text, &[]),
        "config.yml:2:1: loglevel: is deprecated; write `log: { level: … }`\n\
         config.yml:3:35: storage.cache.layerinfo: is deprecated; write `blobdescriptor`"
    );
    let both = load("version: 0.1\nloglevel: warn\nlog: { level: error }\nstorage: inmemory\n", &[]).unwrap();
    assert_eq!(both.config.log.level, LogLevel::Error);
}

#[test]
fn a_number_without_a_unit_is_nanoseconds_and_causes_a_warning() {
    let text = "version: 0.1\nstorage: inmemory\nhttp: { draintimeout: 60 }\n";
    assert_eq!(config(text, &[]).http.draintimeout, Duration::from_nanos(60));
    assert_eq!(
        warnings(text, &[]),
        "config.yml:3:23: http.draintimeout: 60 without a unit is 60 nanoseconds; for seconds write `60s`"
    );
}

#[test]
fn redis_keys_without_effect_cause_a_warning() {
    let warnings = |redis: &str| {
        let cached = "storage: { inmemory: {}, cache: { blobdescriptor: redis } }";
        warnings(&format!("version: 0.1\n{cached}\nredis: {{ {redis} }}\n"), &[])
    };
    assert_eq!(
        warnings("addrs: [a:6379], password: x, db: 1, dialtimeout: 1s, tls: { rootcas: [ca.pem] }"),
        ""
    );
    assert_eq!(
        warnings("addrs: [a:6379], poolsize: 10"),
        "config.yml:3:37: redis.poolsize: has no effect: one connection carries everything"
    );
    for several in ["addrs: [a:6379, b:6379]", "addrs: [a:26379], mastername: m"] {
        assert!(warnings(several).contains("clusters and sentinels are not supported"), "{several}");
    }
}

#[test]
fn every_sample_loads_without_a_warning() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("config-samples");
    for name in ["filesystem.yml", "inmemory.yml", "htpasswd-tls.yml"] {
        let path = directory.join(name);
        let loaded = Config::load(Source::Argument(path), &Environment::default())
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(loaded.warnings.is_empty(), "{name}: {:?}", loaded.warnings);
        let readme = fs::read_to_string(directory.join("README.md")).unwrap();
        assert!(readme.contains(name), "{name} is not explained in config-samples/README.md");
    }
}
