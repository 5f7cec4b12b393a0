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
fn what_is_shown_can_be_loaded_again_and_means_the_same() {
    for text in [
        MINIMAL,
        "version: 0.1\nstorage: { filesystem: { rootdirectory: '/a b: c' } }\nlog: { fields: { a: '1', b: 1, c: ~, 'd e': x, e: {} } }\n",
    ] {
        let loaded = load(text, &[("REGISTRY_HTTP_ADDR", "[::1]:80")]).unwrap();
        let again = load(&show(&loaded), &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.config, loaded.config);
    }
}
