//! The section `access`: its meaning, and the mistakes of its authors.

use std::time::Duration;

use sampan::config::{AccessRules, CertificateName, for_distribution};

use super::{MINIMAL, config, load, mistakes, warnings};

const RULE: &str = "rules: [{who: users, may: pull, on: '**'}]";

fn access(section: &str) -> String {
    format!("{MINIMAL}access: {{{section}}}\n")
}

#[test]
fn without_the_section_there_are_no_rules() {
    assert_eq!(config(MINIMAL, &[]).access, None);
}

#[test]
fn the_section_has_rules_tokens_and_certificates() {
    let text = access(&format!(
        "{RULE}, tokens: {{service: r, lifetime: 1h, longest: 0s}}, certificates: {{identity: cn}}"
    ));
    let tls = "http: {tls: {certificate: /c, key: /k, clientcas: [/a]}}\n";
    let access = config(&format!("{text}{tls}"), &[]).access.unwrap();
    assert_eq!(access.rules_here().rules.len(), 1);
    assert_eq!(access.tokens.service.as_deref(), Some("r"));
    assert_eq!((access.tokens.lifetime, access.tokens.longest), (Duration::from_secs(3600), Duration::ZERO));
    assert_eq!(*access.certificates.unwrap().identity, [CertificateName::Cn]);

    let access = config(&self::access(RULE), &[]).access.unwrap();
    assert_eq!(access.tokens.lifetime, Duration::from_secs(300));
    assert_eq!(access.tokens.longest, Duration::from_secs(365 * 24 * 3600));
    assert_eq!((access.tokens.signingkey, access.certificates), (None, None));

    let access = config(&self::access("file: /etc/access.yml"), &[]).access.unwrap();
    assert_eq!(access.rules_here(), AccessRules::default());
}

#[test]
fn each_mistake_is_named_with_its_place_and_remedy() {
    for (section, expected) in [
        ("", "config.yml:3:1: access: is empty; give `rules`, or a `file` with them"),
        ("tokens: {lifetime: 5m}", "access: has no `rules`, so no client could do anything"),
        ("groups: {dev: [a]}", "access: has no `rules`"),
        ("file: ''", "access: is empty"),
        ("rule: []", "config.yml:3:10: access.rule: unknown key; did you mean `rules`?"),
        ("managers: []", "access.managers: unknown key"),
        (
            "file: /a, rules: []",
            "config.yml:3:27: access.rules: is here, and `access.file` (/a) has rules too: move all groups and rules there, or \
             remove `file`",
        ),
        ("file: /a, groups: {g: [a]}", "access.groups: is here, and `access.file` (/a)"),
        (
            "rules: [{who: group:dev, may: pull, on: '**'}]",
            "config.yml:3:24: access.rules[0].who[0]: there is no group `dev`: add it to `access.groups`",
        ),
        (
            "rules: [{who: users, may: pull, on: /a}]",
            "config.yml:3:46: access.rules[0].on[0]: `/a`: repository names begin",
        ),
        (
            "rules: [{who: users, may: pull, on: 'home/${name}'}]",
            "`${name}` is unknown; the only variable is `${user}`",
        ),
        (&format!("{RULE}, tokens: {{lifetime: 59s}}"), "access.tokens.lifetime: must be between `1m`"),
        (&format!("{RULE}, tokens: {{lifetime: 2h}}"), "access.tokens.lifetime: must be between"),
        (&format!("{RULE}, tokens: {{lifetime: 300}}"), "access.tokens.lifetime: 300 has no unit"),
        (&format!("{RULE}, tokens: {{service: 'a\"b'}}"), "access.tokens.service: is quoted in a header"),
        (
            &format!("{RULE}, certificates: {{}}"),
            "access.certificates: is empty; give `identity: [dns, uri, cn]`",
        ),
        (
            &format!("{RULE}, certificates: {{identity: email}}"),
            "identity[0]: expected one of dns, uri, cn, found `email`",
        ),
    ] {
        let found = mistakes(&access(section), &[]);
        assert!(found.contains(expected), "{section}\n{found}");
    }
}

#[test]
fn certificates_that_are_not_verified_are_a_mistake() {
    let text = access(&format!("{RULE}, certificates: {{identity: cn}}"));
    let with = |tls: &str| format!("{text}http: {{tls: {{certificate: /c, key: /k{tls}}}}}\n");
    let unverified = "has no effect with `http.tls.clientauth:";
    for (text, expected) in [
        (text.clone(), "has no effect without `http.tls`: set `http.tls` with `clientcas`"),
        (with(""), "has no effect without `http.tls.clientcas`"),
        (with(", clientauth: require-and-verify-client-cert"), "has no effect without `http.tls.clientcas`"),
        (with(", clientcas: [/a], clientauth: request-client-cert"), unverified),
        (with(", clientcas: [/a], clientauth: require-any-client-cert"), unverified),
    ] {
        let found = mistakes(&text, &[]);
        assert!(found.contains("access.certificates: ") && found.contains(expected), "{text}\n{found}");
        assert!(found.contains("remove the section"), "{found}");
    }
    for mode in
        ["", ", clientauth: verify-client-cert-if-given", ", clientauth: require-and-verify-client-cert"]
    {
        config(&with(&format!(", clientcas: [/a]{mode}")), &[]);
    }
}

#[test]
fn another_server_that_decides_excludes_rules() {
    for (auth, expected) in [
        (
            "token: {realm: 'https://a.example/token', service: s, issuer: i, jwks: /j}",
            "access: has no effect with `auth: token`, where the token server decides",
        ),
        (
            "silly: {realm: r, service: s}",
            "access: has no effect with `auth: silly`, where any `Authorization` header",
        ),
    ] {
        let found = mistakes(&format!("{}auth: {{{auth}}}\n", access(RULE)), &[]);
        assert!(found.contains(expected), "{found}");
    }
    for auth in ["none", "{htpasswd: {realm: r, path: p}}"] {
        config(&format!("{}auth: {auth}\n", access(RULE)), &[]);
    }
}

#[test]
fn variables_set_rules_and_a_change_of_the_files_rules_is_reported() {
    let rules = ("REGISTRY_ACCESS_RULES", "[{who: everyone, may: '*', on: '**'}]");
    let set = config(MINIMAL, &[rules]).access.unwrap();
    assert_eq!(set.rules[0].to_string(), "{who: everyone, may: \"*\", on: \"**\"}");
    let changed = warnings(&access(RULE), &[rules]);
    assert!(
        changed.contains("REGISTRY_ACCESS_RULES: access.rules: changes who may do what (the file says otherwise, config.yml:3:9)"),
        "{changed}"
    );
    let added = warnings(&access(RULE), &[("REGISTRY_ACCESS_RULES_1", rules.1.trim_matches(['[', ']']))]);
    assert!(added.contains("changes who may do what"), "{added}");
    assert!(mistakes(&access(RULE), &[("REGISTRY_ACCESS", "{}")]).contains("access: is empty"));
    assert_eq!(warnings(&access(RULE), &[]), "");
}

#[test]
fn rules_are_lost_on_distribution_which_would_be_open() {
    let text = access(RULE);
    let everyone = "config.yml:3:9: access: is unknown to Distribution, which ignores the rules and lets EVERY client, without \
                    any login, pull, push and delete everything; put a token server before it";
    let users = "config.yml:3:9: access: is unknown to Distribution, which ignores the rules and lets every user of the \
                 password file pull, push and delete everything, and lets no robot and no client without a password in; put a \
                 token server before it";
    for (auth, expected) in
        [("", everyone), ("auth: none\n", everyone), ("auth: {htpasswd: {realm: r, path: p}}\n", users)]
    {
        let found = for_distribution(&load(&format!("{text}{auth}"), &[]).unwrap());
        assert_eq!(found.refused.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected], "{auth}");
        assert_eq!(found.ignored, [], "{auth}");
    }
}

#[test]
fn a_variable_that_takes_the_passwords_away_leaves_the_rules() {
    let text = format!("{}auth: {{htpasswd: {{realm: r, path: p}}}}\n", access(RULE));
    let found = warnings(&text, &[("REGISTRY_AUTH", "none")]);
    assert!(
        found.contains("no user can log in with a password, and every client may do what the rules of `access` give to `anonymous`"),
        "{found}"
    );
    assert!(!found.contains("everything"), "{found}");
}
