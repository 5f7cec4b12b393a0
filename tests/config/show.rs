//! `config show`.

use sampan::config::show;

use super::{MINIMAL, load};

const FILE: &str = "\
version: 0.1
http:
  addr: :5000
  secret: geheim
  headers: { X-One: \"yes\" }
storage:
  delete: { enabled: true }
  s3: { bucket: b, accesskey: AKIA, secretkey: s3cret, chunksize: 5242880 }
redis: { addrs: [h:1], password: pa55 }
notifications: { endpoints: [{ name: n, disabled: true, headers: { Authorization: [Bearer x] } }] }
";

#[test]
fn each_value_has_its_origin() {
    let loaded = load(FILE, &[("REGISTRY_LOG_LEVEL", "debug")]).unwrap();
    let shown = show(&loaded);
    for line in [
        "# config.yml",
        "version: 0.1  # config.yml:1",
        "  level: debug  # REGISTRY_LOG_LEVEL",
        "  formatter: text  # default",
        "    bucket: b  # config.yml:8",
        "    enabled: true  # config.yml:7",
        "      age: 168h  # default",
        "  addr: :5000  # config.yml:3",
        "    X-One:",
        "      - \"yes\"  # config.yml:5",
        "  none: {}  # default",
        "    - name: n  # config.yml:10",
        "      disabled: true  # config.yml:10",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
}

#[test]
fn secrets_are_not_shown_anywhere() {
    let loaded = load(FILE, &[("REGISTRY_REDIS_SENTINELPASSWORD", "hush")]).unwrap();
    let shown = show(&loaded) + &format!("{loaded:?}");
    for secret in ["geheim", "AKIA", "s3cret", "pa55", "Bearer", "hush"] {
        assert!(!shown.contains(secret), "{secret} is in\n{shown}");
    }
    assert!(shown.contains("    secretkey: \"***\"  # config.yml:8"), "{shown}");
}

#[test]
fn the_output_loads_again_with_the_same_meaning() {
    for text in [
        MINIMAL,
        "version: 0.1\nstorage: { filesystem: { rootdirectory: '/a b: c' } }\nlog: { fields: { a: '1', b: 1, c: ~, 'd e': x, e: {} } }\n",
        "version: 0.1\nstorage: inmemory\nlog: { fields: { a: -1, b: '-1', c: +.5 } }\nnotifications: { endpoints: [{ disabled: true, threshold: -1 }] }\n",
        // Characters that YAML 1.1 takes for line breaks, a tab in a key, words that YAML 1.1 takes for flags.
        "version: 0.1\nstorage: inmemory\nlog: { fields: { a: \"x\\Ny\\Lz\", \"b\\tc\\u0007\": 'on', 'yes': 1_000, d: '1_000' } }\n",
    ] {
        let loaded = load(text, &[("REGISTRY_HTTP_ADDR", "[::1]:80")]).unwrap();
        let again = load(&show(&loaded), &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.config, loaded.config);
        let breaks = ['\u{85}', '\u{2028}', '\t'];
        assert!(!show(&loaded).contains(breaks), "{}", show(&loaded));
    }
}

#[test]
fn urls_are_shown_without_their_secrets() {
    let text = r#"
version: 0.1
storage: { s3: { bucket: b, regionendpoint: "https://key:pa55@s3.example:9000", region: r } }
http: { host: "https://me:pa55@registry.example/" }
auth: { token: { realm: "https://auth.example/token?key=pa55", service: s, issuer: i, jwks: "https://u:pa55@auth.example/jwks" } }
health: { http: [{ uri: "http://svc:pa55@10.0.0.1/health?token=pa55" }] }
notifications: { endpoints: [{ name: n, url: "http://hook:pa55@10.0.0.2/events?key=pa55" }] }
middleware: { storage: [{ name: redirect, options: { baseurl: "https://cdn.example/?sig=pa55" } }] }
validation: { manifests: { urls: { allow: ["https://[a-z]+@?example.com/"] } } }
"#;
    let shown = show(&load(text.trim_start(), &[]).unwrap());
    assert!(!shown.contains("pa55"), "{shown}");
    for line in [
        "    regionendpoint: https://s3.example:9000  # config.yml:2, without user info and query",
        "  host: https://registry.example/  # config.yml:3, without user info and query",
        "    realm: https://auth.example/token  # config.yml:4, without user info and query",
        "    - uri: http://10.0.0.1/health  # config.yml:5, without user info and query",
        "      url: http://10.0.0.2/events  # config.yml:6, without user info and query",
        "        - \"https://[a-z]+@?example.com/\"  # config.yml:8",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
}

#[test]
fn mistakes_show_no_secrets_of_urls() {
    for text in [
        "health: { http: [{ uri: 'ftp://svc:pa55@host/x?token=pa55' }] }",
        "health: { http: [{ uri: 'svc:pa55@host/x?token=pa55' }] }",
        "health: { http: [{ uri: 'http://s:pa55@h/' }, { uri: 'http://s:pa55@h/' }] }",
        "notifications: { endpoints: [{ url: 'svc:pa55@host' }] }",
        "http: { host: 'registry:pa55@example.com' }",
        "auth: { token: { realm: 'u:pa55@auth', service: s, issuer: i, jwks: j } }",
        "auth: { token: { realm: 'https://a', service: s, issuer: i, jwks: 'http://u:pa55@auth.example/' } }",
    ] {
        let error = super::mistakes(&format!("{MINIMAL}{text}\n"), &[]);
        assert!(!error.contains("pa55"), "{error}");
    }
}
