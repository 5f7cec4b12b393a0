//! Mistakes, and the messages that their authors read.

use std::path::PathBuf;

use sampan::config::{Config, ConfigError, Environment, Source};
use sampan::drivers::Drivers;

use super::{MINIMAL, environment, lines, load, mistakes};

#[test]
fn each_mistake_is_named_with_its_place_and_remedy() {
    for (lines, expected) in [
        ("http:\n  adr: :5000", "config.yml:4:3: http.adr: unknown key; did you mean `addr`?"),
        ("htpp: {}", "config.yml:3:1: htpp: unknown key; did you mean `http`?"),
        ("catalog: { size: 5 }", "config.yml:3:12: catalog.size: unknown key; known here: maxentries"),
        (
            "http: { addr: '127.0.0.1:5000', debug: { addr: ':5000' } }",
            "config.yml:3:48: http.debug.addr: `:5000` is taken by `http.addr: 127.0.0.1:5000`: choose another port",
        ),
        (
            "http: { limits: { maxconnections: -1 } }",
            "config.yml:3:35: http.limits.maxconnections: expected a whole number that is not negative, found the number -1",
        ),
        ("http: { net: udp }", "config.yml:3:14: http.net: expected one of tcp, unix, found `udp`"),
        (
            "log: { level: trace }",
            "config.yml:3:15: log.level: expected one of error, warn, info, debug, found `trace`",
        ),
        (
            "middleware: { storage: [{ name: redirekt }] }",
            "config.yml:3:25: middleware.storage[0]: there is no storage middleware `redirekt`; there are `redirect` and \
             `rewrite`",
        ),
        (
            "middleware: { storage: [{ name: redirect, options: { baseurl: cdn.example.com } }] }",
            "config.yml:3:25: middleware.storage[0]: options: expected a full URL such as `https://registry.example.com`, \
             found `cdn.example.com`",
        ),
        (
            "middleware: { storage: [{ name: rewrite, options: { hots: a } }] }",
            "config.yml:3:25: middleware.storage[0]: options: unknown field `hots`, expected one of `scheme`, `host`, \
             `trimpathprefix`",
        ),
        (
            "middleware: { storage: [{ name: cloudfront }] }",
            "config.yml:3:25: middleware.storage[0]: `cloudfront` is not supported: this registry cannot sign its URLs; use \
             `redirect` with the `baseurl` of a distribution that needs none, or set `disabled: true`",
        ),
        ("redis: { addr: a:6379 }", "config.yml:3:10: redis.addr: unknown key; did you mean `addrs`?"),
        ("log: [debug]", "config.yml:3:6: log: expected a section of keys, found a list"),
        (
            "http: { relativeurls: \"true\" }",
            "config.yml:3:23: http.relativeurls: expected a boolean, found the text `true`",
        ),
        (
            "http: { draintimeout: -5s }",
            "config.yml:3:23: http.draintimeout: a duration cannot be negative here, found `-5s`",
        ),
        (
            "http: { addr: localhost }",
            "config.yml:3:15: http.addr: expected `host:port`, such as `:5000` or `127.0.0.1:5000`, found `localhost`",
        ),
        (
            "http: { addr: /run/registry.sock }",
            "config.yml:3:15: http.addr: expected `host:port`, such as `:5000` or `127.0.0.1:5000`, found \
             `/run/registry.sock`; the path of a socket needs `http.net: unix`",
        ),
        (
            "http: { net: unix }",
            "config.yml:3:14: http.net: with `net: unix`, `http.addr` must be the path of a socket, such as \
             `/run/registry.sock`, not `:5000`",
        ),
        (
            "http: { host: registry.example.com }",
            "config.yml:3:15: http.host: expected a full URL such as `https://registry.example.com`, found \
             `registry.example.com`",
        ),
        (
            "http: { prefix: registry }",
            "config.yml:3:17: http.prefix: expected a path that begins with a slash, such as `/registry`, found `registry`",
        ),
        ("http: { tls: { certificate: /c } }", "config.yml:3:14: http.tls: the key `key` is missing"),
        (
            "http: { tls: { minimumtls: tls1.3 } }",
            "config.yml:3:14: http.tls: the key `certificate` is missing",
        ),
        (
            "http: { tls: { certificate: /c, key: /k, minimumtls: tls1.0 } }",
            "config.yml:3:54: http.tls.minimumtls: expected one of tls1.2, tls1.3, found `tls1.0`",
        ),
        (
            "http: { headers: { \"a b\": [c] } }",
            "config.yml:3:27: http.headers.a b: is not a valid HTTP header",
        ),
        (
            "http: { headers: { content-length: ['5'] } }",
            "config.yml:3:36: http.headers.content-length: says where an answer ends, which differs for each: remove it",
        ),
        (
            "http: { limits: { headertimeout: 0s } }",
            "config.yml:3:34: http.limits.headertimeout: must be longer than zero, since no request would be in time",
        ),
        (
            "http: { limits: { maxmanifestsize: 0 } }",
            "config.yml:3:36: http.limits.maxmanifestsize: must be more than zero, since every push would fail",
        ),
        ("auth: htpasswd", "config.yml:3:7: auth.htpasswd: the key `realm` is missing"),
        ("auth: { htpasswd: { realm: r } }", "config.yml:3:9: auth.htpasswd: the key `path` is missing"),
        (
            "auth: { htpaswd: { realm: r } }",
            "config.yml:3:9: auth.htpaswd: unknown key; did you mean `htpasswd`?",
        ),
        (
            "auth: { silly: { realm: r, service: s }, htpasswd: { realm: r, path: p } }",
            "config.yml:3:42: auth: names more than one type: `silly` (config.yml:3:9) and `htpasswd` (config.yml:3:42); keep \
             one",
        ),
        (
            "auth: { token: { realm: r, service: s, issuer: i, jwks: j } }",
            "config.yml:3:25: auth.token.realm: expected the URL of the token server, such as \
             `https://auth.example.com/token`, found `r`",
        ),
        (
            "auth: { token: { realm: https://a, service: '', issuer: i, jwks: j } }",
            "config.yml:3:9: auth.token: the key `service` is missing",
        ),
        (
            "auth: { token: { realm: https://a, service: s, issuer: i } }",
            "config.yml:3:16: auth.token: has no key to check tokens with: give `rootcertbundle` or `jwks`",
        ),
        (
            "auth: { token: { realm: https://a, service: s, issuer: i, jwks: http://a/keys } }",
            "config.yml:3:65: auth.token.jwks: keys cannot be fetched safely over `http`: use `https`, found `http://a/keys`",
        ),
        (
            "auth: { token: { realm: https://a, service: s, issuer: i, jwks: j, signingalgorithms: [none] } }",
            "config.yml:3:88: auth.token.signingalgorithms[0]: expected one of EdDSA, HS256, HS384, HS512, RS256, RS384, RS512, \
             ES256, ES384, ES512, PS256, PS384, PS512, found `none`",
        ),
        (
            "proxy: { remoteurl: registry-1.docker.io }",
            "config.yml:3:21: proxy.remoteurl: expected the full URL of a registry such as `https://registry-1.docker.io`, found \
             `registry-1.docker.io`",
        ),
        (
            "notifications: { endpoints: [{ name: a, url: portal.example.com }] }",
            "config.yml:3:46: notifications.endpoints[0].url: expected the URL that receives events, such as \
             `https://portal.example.com/events`, found `portal.example.com`",
        ),
        (
            "validation: { manifests: { urls: { allow: ['^https://('] } } }",
            "config.yml:3:44: validation.manifests.urls.allow[0]: the regular expression `^https://(` is not valid: unclosed \
             group",
        ),
        (
            "validation: { manifests: { indexes: { platformlist: [{ os: linux }] } } }",
            "config.yml:3:54: validation.manifests.indexes.platformlist[0]: the key `architecture` is missing",
        ),
        (
            "http: { debug: { addr: ':5001', prometheus: { path: metrics } } }",
            "config.yml:3:53: http.debug.prometheus.path: expected a path that begins with a slash, such as `/metrics`, \
             found `metrics`",
        ),
        (
            "health: { tcp: [{ addr: 'redis:6379' }, { addr: 'redis:6379' }] }",
            "config.yml:3:49: health.tcp[1].addr: `redis:6379` is already checked by health.tcp[0].addr; keep one of the \
             two",
        ),
        (
            "health: { file: [{ interval: 1s }] }",
            "config.yml:3:18: health.file[0].file: is missing; name the file, URL or address to check",
        ),
        (
            "health: { diskspace: { enabled: true } }",
            "config.yml:3:33: health.diskspace.enabled: works only with the storage driver `filesystem`, not with \
             `inmemory`",
        ),
        ("tags: { maxtags: -1 }", "config.yml:3:18: tags.maxtags: cannot be negative"),
        (
            "storage: filesystem",
            "config.yml:3:1: storage: appears twice, first in line 2; keep one of the two",
        ),
    ] {
        assert_eq!(mistakes(&format!("{MINIMAL}{lines}\n"), &[]), expected, "{lines}");
    }
}

#[test]
fn mistakes_about_the_storage_are_named() {
    for (lines, expected) in [
        (
            "",
            "config.yml:1:1: storage: names no driver; add a section such as `filesystem: { rootdirectory: /var/lib/registry \
             }`",
        ),
        (
            "storage: { delete: { enabled: true } }",
            "config.yml:2:10: storage: names no driver; add a section such as `filesystem: { rootdirectory: \
             /var/lib/registry }`",
        ),
        (
            "storage: { filesystem: {}, inmemory: {} }",
            "config.yml:2:28: storage: names more than one driver: `filesystem` (config.yml:2:12) and `inmemory` \
             (config.yml:2:28); keep one",
        ),
        (
            "storage: { filesystem: {}, delet: { enabled: true } }",
            "config.yml:2:28: storage.delet: unknown key; did you mean `delete`?",
        ),
        (
            "storage: { filesystem: /data }",
            "config.yml:2:24: storage.filesystem: expected a map of the driver's parameters, found a single value",
        ),
        (
            "storage:\n  filesystem:\n  rootdirectory: /data",
            "config.yml:4:3: storage.rootdirectory: is a parameter of the driver `filesystem`; indent it further than \
             `filesystem:` above it",
        ),
        (
            "storage: { inmemory: {}, redirct: disable }",
            "config.yml:2:26: storage.redirct: unknown key; did you mean `redirect`?",
        ),
        (
            "storage: { inmemory: {}, delete: { enabled: \"true\" } }",
            "config.yml:2:45: storage.delete.enabled: expected a boolean, found the text `true`",
        ),
        (
            "storage: { inmemory: {}, maintenance: { uploadpurging: { age: 0s } } }",
            "config.yml:2:63: storage.maintenance.uploadpurging.age: must be longer than zero; to stop purging set \
             `enabled: false`",
        ),
        (
            "storage: inmemory\ngc: { grace: 0s }",
            "config.yml:3:14: gc.grace: must be longer than zero, since a push may be running; the default is 24h",
        ),
        (
            "storage: inmemory\ngc: { enabled: true, grace: 24 }",
            "config.yml:3:29: gc.grace: 24 has no unit; write `24h` for hours, `24m` for minutes, `24s` for seconds",
        ),
        (
            "storage: { inmemory: {}, gc: { enabled: true, window: 2-5 } }",
            "config.yml:2:55: gc.window: expected two times of the day (UTC) such as 02:00-05:00, found `2-5`",
        ),
        (
            "storage: { inmemory: {}, cache: { blobdescriptor: memcached } }",
            "config.yml:2:51: storage.cache.blobdescriptor: expected one of inmemory, redis, found `memcached`",
        ),
    ] {
        assert_eq!(mistakes(&format!("version: 0.1\n{lines}\n"), &[]), expected, "{lines}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_reported_at_once() {
    let error =
        load("version: 0.2\nstorage: inmemory\nhttp:\n  adr: :1\n  net: udp\nlog: { level: loud }\n", &[])
            .unwrap_err();
    assert_eq!(
        error.to_string(),
        "4 mistakes in the configuration:\n  \
         config.yml:1:10: version: unsupported version `0.2`; write `version: 0.1`\n  \
         config.yml:4:3: http.adr: unknown key; did you mean `addr`?\n  \
         config.yml:5:8: http.net: expected one of tcp, unix, found `udp`\n  \
         config.yml:6:15: log.level: expected one of error, warn, info, debug, found `loud`"
    );
}

#[test]
fn a_mistake_does_not_hide_those_of_other_sections_nor_those_of_the_driver() {
    let drivers = Drivers::builtin();
    let load = |text: &str, variables: &[(&str, &str)]| {
        let source = Source::Text { name: "config.yml".to_owned(), text: text.to_owned() };
        drivers.load(source, &environment(variables)).unwrap_err()
    };
    let text = "version: 0.1\nstorage:\n  filesystem:\n    rootdir: /x\n    threads: 9\nhttp:\n  addr: :99999\n\
                log: { level: loud }\ngc: { interval: often }\nauth: { htpasswd: { realm: r } }\n";
    let error = load(text, &[("REGISTRY_HTTP_TLS_CERTFICATE", "/c")]);
    let messages = lines(error.diagnostics());
    for place in [
        "4:5: storage.filesystem.rootdir: ",
        "5:5: storage.filesystem.threads: ",
        "7:9: http.addr: ",
        "8:15: log.level: ",
        "9:17: gc.interval: ",
        "10:9: auth.htpasswd: ",
    ] {
        assert_eq!(messages.matches(&format!("config.yml:{place}")).count(), 1, "{place}: {messages}");
    }
    assert_eq!(error.diagnostics().len(), 6, "{messages}");
    assert!(lines(error.warnings()).contains("REGISTRY_HTTP_TLS_CERTFICATE"));
    // A consequence of a mistake is not reported again.
    let text = "version: 0.1\nstorage: inmemory\nhttp: { net: unx, addr: /run/registry.sock, tls: { certificate: /c, kye: /k } }\n";
    let messages = lines(load(text, &[]).diagnostics());
    assert!(
        messages.lines().count() == 2 && messages.contains("http.net") && messages.contains("http.tls.kye"),
        "{messages}"
    );
}

#[test]
fn broken_yaml_is_named_with_its_line() {
    let error = mistakes("version: 0.1\nstorage:\n  filesystem: {rootdirectory: /x\nhttp:\n", &[]);
    assert!(error.starts_with("config.yml:") && error.contains("this is not valid YAML"), "{error}");
    for (text, expected) in [
        (
            "storage:\n  filesystem:\n    rootdirectory: /x\n   delete:\n",
            "config.yml:4:4: this is not valid YAML: while parsing a block mapping, did not find expected key; is this line \
             indented as far as the others of its section?",
        ),
        (
            "storage:\n\tfilesystem:\n",
            "config.yml:2:2: this is not valid YAML: tabs disallowed within this context (block indentation); indent by spaces",
        ),
    ] {
        assert_eq!(mistakes(text, &[]), expected);
    }
    assert_eq!(mistakes("- a\n", &[]), "config.yml:1:1: expected a section of keys, found a list");
    let messages = mistakes("just a text", &[]);
    assert!(messages.starts_with("config.yml:1:1: the file is a single text (`just a text`)"), "{messages}");
}

#[test]
fn the_page_is_refused_with_the_kind_of_login_and_the_reason() {
    for (auth, reason) in [
        ("silly: { realm: r, service: s }", "`auth: silly`, which has no passwords; set it to `false`"),
        (
            "token: { realm: 'http://h/', service: s, issuer: i, jwks: /j }",
            "`auth: token`, where the token server alone knows the rights of a user; set it to `false`",
        ),
    ] {
        let found = mistakes(&format!("{MINIMAL}auth: {{ {auth} }}\nui: {{ enabled: true }}\n"), &[]);
        assert!(found.contains(&format!("ui.enabled: is not possible with {reason}")), "{found}");
    }
}

#[test]
fn the_error_for_an_unreadable_file_says_how_it_was_chosen() {
    let load = |path: PathBuf| Config::load(Source::Argument(path), &Environment::default()).unwrap_err();
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("config.yml");
    let error = load(missing.clone());
    assert_eq!(
        error.to_string(),
        format!("configuration file {} (given on the command line) cannot be read", missing.display())
    );
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    let error = load(directory.path().to_owned()).to_string();
    assert!(error.contains("is a directory; docker creates one"), "{error}");
    let program = directory.path().join("program");
    std::fs::write(&program, b"\x7fELF\xff").unwrap();
    let error = load(program);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "it is not UTF-8 text: is it the right file?");
}
