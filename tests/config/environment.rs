//! Environment variables: every form that Distribution documents, the forms that it breaks on, and our own.

use super::{MINIMAL, config, load, mistakes, warnings};

/// A file with something to override in every section.
const FILE: &str = "\
version: 0.1
log:
  fields: { service: registry }
storage:
  filesystem: { rootdirectory: /var/lib/registry }
  delete: { enabled: true }
  maintenance:
    uploadpurging: { enabled: true, age: 168h, interval: 24h, dryrun: false }
    readonly: { enabled: false }
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
";

/// The value at `path` after the variables, as `show` prints it.
fn value(text: &str, variables: &[(&str, &str)], path: &str) -> String {
    let loaded = load(text, variables).unwrap_or_else(|error| panic!("{variables:?}: {error}"));
    let shown = sampan::config::show(&loaded);
    let mut stack: Vec<(usize, String)> = Vec::new();
    let mut items = Vec::new();
    for line in shown.lines().filter(|line| !line.starts_with('#')) {
        let depth = line.len() - line.trim_start().len();
        stack.retain(|(above, _)| *above < depth);
        let (line, _) = line.trim().split_once("  # ").unwrap_or((line.trim(), ""));
        let here = stack.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>().join(".");
        if let Some(item) = line.strip_prefix("- ").filter(|_| here == path) {
            items.push(item.to_owned());
        } else if let Some((key, value)) = line.split_once(':') {
            if (here.is_empty() && key == path) || format!("{here}.{key}") == path {
                items.extend((!value.is_empty()).then(|| value.trim().to_owned()));
            }
            stack.push((depth, key.to_owned()));
        }
    }
    items.join(", ")
}

/// Variables, the key that they set, and its value afterwards.
type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

#[test]
fn every_way_to_name_a_key_and_write_a_value_works() {
    let table: &[Row<'_>] = &[
        // A key, by its name in capitals.
        (&[("REGISTRY_HTTP_ADDR", "localhost:6000")], "http.addr", "localhost:6000"),
        (&[("REGISTRY_LOG_LEVEL", "debug")], "log.level", "debug"),
        (
            &[("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/data")],
            "storage.filesystem.rootdirectory",
            "/data",
        ),
        (&[("REGISTRY_STORAGE_FILESYSTEM_MAXTHREADS", "40")], "storage.filesystem.maxthreads", "40"),
        // Sections that the file does not have.
        (&[("REGISTRY_CATALOG_MAXENTRIES", "50")], "catalog.maxentries", "50"),
        (&[("REGISTRY_HTTP_HTTP2_DISABLED", "true")], "http.http2.disabled", "true"),
        // The value is YAML, also a whole section.
        (&[("REGISTRY_HTTP_DRAINTIMEOUT", "1m30s")], "http.draintimeout", "1m30s"),
        (&[("REGISTRY_STORAGE_DELETE", "{enabled: false}")], "storage.delete.enabled", "false"),
        (
            &[("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{enabled: true}")],
            "storage.maintenance.readonly.enabled",
            "true",
        ),
        (
            &[("REGISTRY_STORAGE_MAINTENANCE", "{readonly: {enabled: true}}")],
            "storage.maintenance.readonly.enabled",
            "true",
        ),
        // Go's names, and those of the file.
        (
            &[("REGISTRY_NOTIFICATIONS_EVENTCONFIG_INCLUDEREFERENCES", "true")],
            "notifications.events.includereferences",
            "true",
        ),
        (
            &[("REGISTRY_NOTIFICATIONS_EVENTS_INCLUDEREFERENCES", "true")],
            "notifications.events.includereferences",
            "true",
        ),
        (&[("REGISTRY_HEALTH_FILECHECKERS", "[]")], "health.file", "[]"),
        (&[("REGISTRY_HEALTH_FILE", "[]")], "health.file", "[]"),
        (&[("REGISTRY_REDIS_ADDRS", "[h:1, h:2]")], "redis.addrs", "h:1, h:2"),
        (&[("REGISTRY_REDIS_OPTIONS_ADDRS", "[h:1]")], "redis.addrs", "h:1"),
        (&[("REGISTRY_REDIS_OPTIONS_CLIENTNAME", "x")], "redis.clientname", "x"),
        // Lists by index: Distribution stores an empty text for the first two.
        (&[("REGISTRY_REDIS_ADDRS_0", "h:1"), ("REGISTRY_REDIS_ADDRS_1", "h:2")], "redis.addrs", "h:1, h:2"),
        (
            &[
                ("REGISTRY_HTTP_TLS_CERTIFICATE", "/c"),
                ("REGISTRY_HTTP_TLS_KEY", "/k"),
                ("REGISTRY_HTTP_TLS_CLIENTCAS_0", "/a"),
                ("REGISTRY_HTTP_TLS_CLIENTCAS_1", "/b"),
            ],
            "http.tls.clientcas",
            "/a, /b",
        ),
        (
            &[("REGISTRY_HTTP_HEADERS_X-Content-Type-Options_1", "x")],
            "http.headers.X-Content-Type-Options",
            "nosniff, x",
        ),
        // A single value where a list is wanted.
        (&[("REGISTRY_POLICY_REPOSITORY_CLASSES", "image")], "policy.repository.classes", "image"),
        // Headers match in any letter case, and are replaced.
        (
            &[("REGISTRY_HTTP_HEADERS_X-Content-Type-Options", "[a]")],
            "http.headers.X-Content-Type-Options",
            "a",
        ),
        (
            &[("REGISTRY_HTTP_HEADERS_X-CONTENT-TYPE-OPTIONS", "a")],
            "http.headers.X-Content-Type-Options",
            "a",
        ),
        (
            &[("REGISTRY_HTTP_HEADERS_Strict-Transport-Security", "a")],
            "http.headers.strict-transport-security",
            "a",
        ),
        // Maps below maps, which Distribution ignores or panics on.
        (
            &[("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")],
            "storage.maintenance.readonly.enabled",
            "true",
        ),
        (
            &[("REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_ENABLED", "false")],
            "storage.maintenance.uploadpurging.enabled",
            "false",
        ),
        (
            &[("REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE", "24h")],
            "storage.maintenance.uploadpurging.age",
            "24h",
        ),
        (&[("REGISTRY_LOG_FIELDS_SERVICE", "mine")], "log.fields.service", "mine"),
        (&[("REGISTRY_LOG_FIELDS_ENVIRONMENT", "test")], "log.fields.environment", "test"),
        // The string forms, and the variables that refine them, in any order.
        (&[("REGISTRY_STORAGE", "inmemory")], "storage.inmemory", "{}"),
        (&[("REGISTRY_STORAGE_S3_BUCKET", "b"), ("REGISTRY_STORAGE", "s3")], "storage.s3.bucket", "b"),
        (
            &[
                ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
                ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
                ("REGISTRY_AUTH", "htpasswd"),
            ],
            "auth.htpasswd.path",
            "/auth/htpasswd",
        ),
        (&[("REGISTRY_AUTH", "None")], "auth.none", "{}"),
        // Names that hold an underscore themselves.
        (
            &[("REGISTRY_STORAGE", "azure"), ("REGISTRY_STORAGE_AZURE_MAX_RETRIES", "7")],
            "storage.azure.max_retries",
            "7",
        ),
        (
            &[("REGISTRY_STORAGE", "azure"), ("REGISTRY_STORAGE_AZURE_CREDENTIALS_CLIENTID", "x")],
            "storage.azure.credentials.clientid",
            "x",
        ),
        (
            &[("REGISTRY_STORAGE", "gcs"), ("REGISTRY_STORAGE_GCS_CREDENTIALS_PROJECT_ID", "x")],
            "storage.gcs.credentials.project_id",
            "x",
        ),
        // An empty value is an empty text, not the word `<nil>`; it means "not set" for other types.
        (&[("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "")], "storage.filesystem.rootdirectory", "\"\""),
        (&[("REGISTRY_HTTP_ADDR", "")], "http.addr", ":5000"),
        (&[("REGISTRY_STORAGE_DELETE_ENABLED", "")], "storage.delete.enabled", "false"),
        // A value that is no YAML is taken literally.
        (&[("REGISTRY_HTTP_HOST", "https://r.example.com")], "http.host", "https://r.example.com"),
        (
            &[("REGISTRY_AUTH_HTPASSWD_REALM", "@home: {"), ("REGISTRY_AUTH_HTPASSWD_PATH", "/p")],
            "auth.htpasswd.realm",
            "\"@home: {\"",
        ),
    ];
    for (variables, path, expected) in table {
        assert_eq!(value(FILE, variables, path), *expected, "{variables:?}");
    }
}

#[test]
fn item_ten_of_a_list_comes_after_item_nine() {
    let names: Vec<String> =
        (0..12).map(|index| format!("REGISTRY_POLICY_REPOSITORY_CLASSES_{index}")).collect();
    let variables: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    assert_eq!(config(MINIMAL, &variables).policy.repository.classes.len(), 12);
}

#[test]
fn a_list_has_no_gaps() {
    assert_eq!(
        mistakes(MINIMAL, &[("REGISTRY_POLICY_REPOSITORY_CLASSES_2", "x")]),
        "environment variable REGISTRY_POLICY_REPOSITORY_CLASSES_2: the list has 0 items, so item 0 must be set first"
    );
}

#[test]
fn fields_of_a_lists_items_are_reached_past_the_first() {
    let variables = [
        ("REGISTRY_NOTIFICATIONS_ENDPOINTS_0_NAME", "a"),
        ("REGISTRY_NOTIFICATIONS_ENDPOINTS_0_DISABLED", "true"),
        ("REGISTRY_NOTIFICATIONS_ENDPOINTS_1_NAME", "b"),
        ("REGISTRY_NOTIFICATIONS_ENDPOINTS_1_DISABLED", "true"),
        ("REGISTRY_MIDDLEWARE_STORAGE_0_NAME", "redirect"),
        ("REGISTRY_MIDDLEWARE_STORAGE_0_DISABLED", "true"),
        ("REGISTRY_MIDDLEWARE_STORAGE_1_NAME", "cloudfront"),
        ("REGISTRY_MIDDLEWARE_STORAGE_1_DISABLED", "true"),
        ("REGISTRY_MIDDLEWARE_STORAGE_1_OPTIONS_BASEURL", "https://x"),
    ];
    let config = config(MINIMAL, &variables);
    let endpoints = config.notifications.unwrap().endpoints;
    assert_eq!(endpoints[1].name.as_deref(), Some("b"));
    let middleware = config.middleware.unwrap().storage;
    assert_eq!(middleware[1].name.as_deref(), Some("cloudfront"));
    assert_eq!(middleware[1].options["baseurl"], "https://x");
}

#[test]
fn an_unknown_variable_is_a_warning_with_the_nearest_name() {
    for (name, warning) in [
        (
            "REGISTRY_HTTP_ADR",
            "environment variable REGISTRY_HTTP_ADR: matches no key of the configuration and has no effect; \
             did you mean `REGISTRY_HTTP_ADDR`?",
        ),
        (
            "REGISTRY_STORGE_DELETE_ENABLED",
            "environment variable REGISTRY_STORGE_DELETE_ENABLED: matches no key of the configuration and has no effect; \
             did you mean `REGISTRY_STORAGE_DELETE_ENABLED`?",
        ),
        (
            "REGISTRY_STORAGE_DELET_ENABLED",
            "environment variable REGISTRY_STORAGE_DELET_ENABLED: matches no key of the configuration and has no effect; \
             did you mean `REGISTRY_STORAGE_DELETE_ENABLED`?",
        ),
        (
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIR",
            "environment variable REGISTRY_STORAGE_FILESYSTEM_ROOTDIR: matches no key of the configuration and has no \
             effect; did you mean `REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY`?",
        ),
        (
            "REGISTRY_PORT_5000_TCP_ADDR",
            "environment variable REGISTRY_PORT_5000_TCP_ADDR: matches no key of the configuration and has no effect; \
             Kubernetes sets it for a service that is called `registry`",
        ),
        (
            "REGISTRY_HTTP_ADDR_EXTRA",
            "environment variable REGISTRY_HTTP_ADDR_EXTRA: matches no key of the configuration and has no effect",
        ),
    ] {
        assert_eq!(warnings(FILE, &[(name, "x")]), warning);
        assert_eq!(config(FILE, &[(name, "x")]), config(FILE, &[]), "{name}");
    }
}

#[test]
fn unrelated_variables_and_the_path_are_ignored() {
    let variables =
        [("REGISTRY_CONFIGURATION_PATH", "/x"), ("OTEL_TRACES_EXPORTER", "none"), ("PATH", "/bin")];
    assert_eq!(warnings(FILE, &variables), "");
}

#[test]
fn a_second_driver_by_a_variable_is_refused_with_the_remedy() {
    assert_eq!(
        mistakes(FILE, &[("REGISTRY_STORAGE_S3_BUCKET", "b")]),
        "environment variable REGISTRY_STORAGE_S3_BUCKET: storage: names more than one driver: `filesystem` \
         (config.yml:5:3) and `s3` (environment variable REGISTRY_STORAGE_S3_BUCKET); to choose `s3` by the environment, \
         set REGISTRY_STORAGE=s3 as well"
    );
    let file = format!("{FILE}auth:\n  silly: {{ realm: a, service: b }}\n");
    let error = mistakes(&file, &[("REGISTRY_AUTH_HTPASSWD_PATH", "/p")]);
    assert!(
        error.contains("auth: names more than one type") && error.contains("set REGISTRY_AUTH=htpasswd"),
        "{error}"
    );
}

#[test]
fn replacing_the_storage_section_reports_the_lost_keys() {
    assert_eq!(
        warnings(FILE, &[("REGISTRY_STORAGE", "inmemory")]),
        "environment variable REGISTRY_STORAGE: replaces the whole section, so that `delete`, `maintenance` of the file no \
         longer applies; set it by variables as well"
    );
    let config =
        config(FILE, &[("REGISTRY_STORAGE", "inmemory"), ("REGISTRY_STORAGE_DELETE_ENABLED", "true")]);
    assert_eq!((config.storage.driver.name(), config.storage.delete.enabled), ("inmemory", true));
}

#[test]
fn an_empty_variable_does_not_open_a_closed_registry() {
    let file = format!("{FILE}auth:\n  htpasswd: {{ realm: a, path: /p }}\n");
    assert_eq!(
        mistakes(&file, &[("REGISTRY_AUTH", "")]),
        "environment variable REGISTRY_AUTH: is empty, which would drop the whole section; unset it or give it a value"
    );
}

#[test]
fn a_wrong_value_names_the_variable_and_the_key() {
    assert_eq!(
        mistakes(
            FILE,
            &[("REGISTRY_STORAGE_DELETE_ENABLED", "maybe"), ("REGISTRY_HTTP_DRAINTIMEOUT", "soon")]
        ),
        "environment variable REGISTRY_STORAGE_DELETE_ENABLED: storage.delete.enabled: expected a boolean, found the text \
         `maybe`\n\
         environment variable REGISTRY_HTTP_DRAINTIMEOUT: http.draintimeout: expected a duration such as 30s, 1h30m or \
         168h, found `soon`"
    );
    let error = mistakes(FILE, &[("REGISTRY_STORAGE_DELETE", "{enabled: ")]);
    assert!(error.contains("REGISTRY_STORAGE_DELETE: the value sets a whole section, but"), "{error}");
}

#[test]
fn a_key_that_is_missing_beside_a_variable_is_named_as_one() {
    for (variable, expected) in [
        (
            "REGISTRY_HTTP_TLS_CERTIFICATE",
            "environment variable REGISTRY_HTTP_TLS_CERTIFICATE: http.tls: the key `key` is missing (REGISTRY_HTTP_TLS_KEY)",
        ),
        (
            "REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMLIST_0_OS",
            "environment variable REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMLIST_0_OS: \
             validation.manifests.indexes.platformlist[0]: the key `architecture` is missing \
             (REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMLIST_0_ARCHITECTURE)",
        ),
    ] {
        assert_eq!(mistakes(MINIMAL, &[(variable, "x")]), expected);
    }
}

#[test]
fn a_variable_does_not_hide_a_mistake_of_its_section() {
    assert_eq!(
        mistakes("version: 0.1\nstorage: inmemory\nhttp: nonsense\n", &[("REGISTRY_HTTP_ADDR", ":1")]),
        "config.yml:3:7: http: expected a section of keys, found a single value"
    );
}

#[test]
fn a_name_of_countless_parts_is_no_key() {
    let name = format!("REGISTRY_LOG_FIELDS{}", "_A".repeat(50_000));
    assert!(
        warnings(MINIMAL, &[(&name, "x")]).ends_with("matches no key of the configuration and has no effect")
    );
}
