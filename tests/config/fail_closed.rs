//! TLS and passwords are never lost silently: an empty section never means "off".

use super::{MINIMAL, config, mistakes, warnings};

const TLS: &str = "version: 0.1\nstorage: inmemory\nhttp:\n  tls: { certificate: /c, key: /k }\n";
const HTPASSWD: &str = "version: 0.1\nstorage: inmemory\nauth:\n  htpasswd: { realm: r, path: /p }\n";

const NO_TLS: &str =
    "give `certificate` and `key`, or remove the section and its variables to serve without TLS";
const NO_AUTH: &str = "name how clients authenticate, such as `htpasswd`, or write `auth: none` (REGISTRY_AUTH=none) to let \
                       every client in";

#[test]
fn an_empty_tls_section_of_the_file_is_refused() {
    for http in
        ["{ tls: {} }", "{ tls: }", "{ tls: ~ }", "{ tls: { certificate: '', key: '' } }", "{ tls: '' }"]
    {
        assert_eq!(
            mistakes(&format!("{MINIMAL}http: {http}\n"), &[]),
            format!("config.yml:3:9: http.tls: is empty; {NO_TLS}"),
            "{http}"
        );
    }
}

#[test]
fn variables_that_empty_tls_are_refused_by_name() {
    for text in [TLS, MINIMAL] {
        for value in ["{}", "~", "null", "", "{certificate: '', key: ''}"] {
            assert_eq!(
                mistakes(text, &[("REGISTRY_HTTP_TLS", value)]),
                format!("environment variable REGISTRY_HTTP_TLS: http.tls: is empty; {NO_TLS}"),
                "{value}"
            );
        }
        assert_eq!(
            mistakes(text, &[("REGISTRY_HTTP_TLS_CERTIFICATE", ""), ("REGISTRY_HTTP_TLS_KEY", "")]),
            format!(
                "environment variable REGISTRY_HTTP_TLS_CERTIFICATE: http.tls: is empty, and so is environment variable \
                 REGISTRY_HTTP_TLS_KEY; {NO_TLS}"
            )
        );
    }
    for value in ["", "{}", "~"] {
        let error = mistakes(TLS, &[("REGISTRY_HTTP", value)]);
        assert!(
            error.starts_with("environment variable REGISTRY_HTTP: http: replaces the whole section"),
            "{error}"
        );
    }
}

#[test]
fn an_empty_auth_section_of_the_file_is_refused() {
    for auth in ["", " {}", " ~", " ''", " []"] {
        assert_eq!(
            mistakes(&format!("{MINIMAL}auth:{auth}\n"), &[]),
            format!("config.yml:3:1: auth: is empty; {NO_AUTH}"),
            "{auth}"
        );
    }
    for none in ["auth: none", "auth: None", "auth: { none: }", "auth: { none: {} }"] {
        config(&format!("{MINIMAL}{none}\n"), &[]);
    }
}

#[test]
fn variables_that_empty_auth_are_refused_by_name() {
    for text in [HTPASSWD, MINIMAL] {
        for value in ["{}", "null", "~", "", " ", "''", "[]"] {
            assert_eq!(
                mistakes(text, &[("REGISTRY_AUTH", value)]),
                "environment variable REGISTRY_AUTH: is empty, which would drop the whole section; unset it or give it a value",
                "{value}"
            );
        }
    }
    let emptied = [("REGISTRY_AUTH_HTPASSWD_REALM", ""), ("REGISTRY_AUTH_HTPASSWD_PATH", "")];
    assert!(mistakes(HTPASSWD, &emptied).contains("auth.htpasswd: the key `realm` is missing"));
}

#[test]
fn an_empty_tls_section_of_redis_is_refused() {
    let redis =
        "storage: { inmemory: {}, cache: { blobdescriptor: redis } }\nredis: { addrs: [a:6379], tls: {} }";
    assert_eq!(
        mistakes(&format!("version: 0.1\n{redis}\n"), &[]),
        "config.yml:3:27: redis.tls: is empty; give `rootcas`, the authorities of the server, or remove the section and its \
         variables to connect without TLS"
    );
}

#[test]
fn a_variable_that_weakens_the_files_protection_causes_a_warning() {
    let silly = r#"{silly: {realm: r, service: s}}"#;
    let client_certificates = "version: 0.1\nstorage: inmemory\nhttp:\n  tls: { certificate: /c, key: /k, clientcas: [/a], minimumtls: tls1.3 }\n";
    for (text, name, value, expected) in [
        (
            HTPASSWD,
            "REGISTRY_AUTH",
            "none",
            "environment variable REGISTRY_AUTH: auth: `none` replaces the file's `htpasswd` (config.yml:3:1): every client \
             may do everything without a password",
        ),
        (
            HTPASSWD,
            "REGISTRY_AUTH",
            silly,
            "environment variable REGISTRY_AUTH: auth: `silly` replaces the file's `htpasswd` (config.yml:3:1): the \
             registry accepts any `Authorization` header",
        ),
        (
            TLS,
            "REGISTRY_HTTP",
            "{addr: ':80'}",
            "environment variable REGISTRY_HTTP: http: replaces the whole section, so that the file's `tls` \
             (config.yml:4:8) no longer applies and the registry serves plaintext; set `tls` by variables as well",
        ),
        (
            client_certificates,
            "REGISTRY_HTTP_TLS_CLIENTCAS",
            "[]",
            "environment variable REGISTRY_HTTP_TLS_CLIENTCAS: http.tls.clientcas: clients no longer need a certificate \
             that verifies (the file says otherwise, config.yml:4:8)",
        ),
        (
            client_certificates,
            "REGISTRY_HTTP_TLS_CLIENTAUTH",
            "request-client-cert",
            "environment variable REGISTRY_HTTP_TLS_CLIENTAUTH: http.tls.clientauth: clients no longer need a certificate \
             that verifies (the file says otherwise, config.yml:4:8)",
        ),
        (
            client_certificates,
            "REGISTRY_HTTP_TLS_MINIMUMTLS",
            "tls1.2",
            "environment variable REGISTRY_HTTP_TLS_MINIMUMTLS: http.tls.minimumtls: the registry accepts TLS 1.2 again \
             (the file says otherwise, config.yml:4:8)",
        ),
    ] {
        assert_eq!(warnings(text, &[(name, value)]), expected);
    }
    // Equal or stronger protection causes no warning.
    let stronger = [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "r"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", "/q"),
    ];
    assert_eq!(warnings(HTPASSWD, &stronger), "");
    assert_eq!(warnings(MINIMAL, &stronger), "");
    assert_eq!(warnings(TLS, &[("REGISTRY_HTTP_TLS_CERTIFICATE", "/other")]), "");
}
