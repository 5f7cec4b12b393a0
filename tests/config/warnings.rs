//! Warnings: settings that are taken, and probably not meant.

use super::{MINIMAL, warnings};

#[test]
fn endpoints_with_one_name_and_a_negative_threshold_cause_a_warning_as_distribution_starts_with_them() {
    let warned = warnings(
        &format!(
            "{MINIMAL}notifications: {{ endpoints: [{{ name: a, url: 'http://h/1' }}, {{ name: a, url: 'http://h/2', threshold: -1 }}, \
             {{ name: a, url: 'http://h/4', disabled: true }}] }}\n"
        ),
        &[],
    );
    for (path, message) in [
        ("endpoints[1].name", "`a` is another endpoint's name too"),
        ("endpoints[1].threshold", "is negative and counts as 10"),
    ] {
        assert!(warned.contains(&format!("notifications.{path}: {message}")), "{path}: {warned}");
    }
    assert!(!warned.contains("endpoints[0]") && !warned.contains("endpoints[2]"), "{warned}");
}

#[test]
fn an_ignored_action_that_no_event_has_causes_a_warning_with_the_nearest_one() {
    let endpoint = |actions: &str| {
        format!(
            "{MINIMAL}notifications: {{ endpoints: [{{ name: a, url: 'http://h/1', ignore: {{ actions: {actions} }} }}] }}\n"
        )
    };
    let warned = warnings(&endpoint("[pul, Push, damage]"), &[]);
    for message in ["`pul`; did you mean `pull`?", "`Push`; did you mean `push`?"] {
        let line = format!("notifications.endpoints[0].ignore.actions: no event has the action {message}");
        assert!(warned.contains(&line), "{warned}");
    }
    assert!(!warned.contains("`damage`"), "{warned}");
    let warned = warnings(&endpoint("[pull, push, mount, delete, damage]"), &[]);
    assert!(!warned.contains("action"), "{warned}");
}

#[test]
fn settings_without_effect_cause_a_warning() {
    let tls = "http: { tls: { certificate: /c, key: /k, clientauth: request-client-cert, minimumtls: tls1.3, ciphersuites: \
               [TLS_AES_128_GCM_SHA256] }, h2c: { enabled: true } }";
    let warned = warnings(&format!("{MINIMAL}{tls}\nvalidation: {{ enabled: true, disabled: true }}\n"), &[]);
    for path in ["http.tls.clientauth", "http.tls.ciphersuites", "http.h2c.enabled", "validation.disabled"] {
        assert!(warned.contains(&format!("{path}: has no effect")), "{path}: {warned}");
    }
    assert!(
        warnings("version: 0.1\nstorage: inmemory\n---\nmore: 1\n", &[])
            .contains("config.yml:3:1: a second document")
    );
}
