//! Questions to the token endpoint: a token grants what was asked and the rules give, and no more; what it grants can be asked
//! again with the same answer.
//!
//! The first byte is `q` for the query of a `GET`, `f` for the form of a `POST`.

use std::cell::LazyCell;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sampan::auth::{
    AccessTokens, Audit, Guard, GuardSettings, Htpasswd, Identity, LivePolicy, Policy, PolicyFile,
    ThrottleOptions,
};
use sampan::config::parse_policy;
use sampan::http::HttpServices;
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::Registry;
use serde_json::Value;

use super::service::{Answer, Service, runtime};

const RULES: &str = "rules:
  - {who: anonymous, may: pull, on: ['public/**', 'a']}
  - {who: users, may: push, on: 'team/**', except: 'team/x/**'}
  - {who: 'user:bob', may: [pull, delete], on: 'home/${user}/**'}
";

/// `htpasswd -nbB -C 4 bob pässwörd`
const BOB: &str = "bob:$2y$04$pIL7uSsVKrWD2I5z/fQzjeRJLFs7K4vFgvuCgvW/XJWTTxHTykVJi\n";

/// The longest query; the registry refuses longer ones before it reads them.
const MAX_QUERY: usize = 8 << 10;

thread_local! {
    static SERVICE: LazyCell<(Service, Policy)> = LazyCell::new(service);
}

fn service() -> (Service, Policy) {
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &str| {
        fs::write(folder.path().join(name), content).expect("the file can be written");
        folder.path().join(name)
    };
    let (rules, passwords) = (write("access.yml", RULES), write("htpasswd", BOB));
    // A run tries many wrong passwords.
    let throttle = ThrottleOptions {
        first_delay: Duration::ZERO,
        failures_per_user: u32::MAX,
        failures_per_address: u32::MAX,
        ..ThrottleOptions::default()
    };
    let registry = Registry::builder(Arc::new(InMemoryDriver::new())).build();
    let guard = runtime.block_on(async {
        let passwords = Htpasswd::open("Registry", passwords, throttle).await.expect("passwords");
        let settings = GuardSettings {
            policy: LivePolicy::File(PolicyFile::open(rules, Audit::default()).await.expect("rules")),
            passwords: Some(Arc::new(passwords)),
            tokens: AccessTokens::new(registry.clone()),
            service: "here".to_owned(),
            lifetime: Duration::from_secs(300),
            signing_key: None,
            certificates: Vec::new(),
            audit: Audit::default(),
        };
        Arc::new(Guard::open(settings).await.expect("a guard"))
    });
    let services = HttpServices { guard: Some(guard.clone()), ..HttpServices::default() };
    let rules = parse_policy("access.yml", RULES).expect("rules").rules;
    (Service::with(runtime, registry, guard, services), Policy::new(rules).expect("a policy"))
}

pub(super) fn run(data: &[u8]) {
    let Some((mode, data)) = data.split_first() else { return };
    SERVICE.with(|service| {
        let (service, policy) = &**service;
        let (answer, is_form) = match mode {
            b'q' => (get(service, data), false),
            b'f' => (service.call("POST", "/auth/token", &[], data), true),
            _ => return,
        };
        let Some(answer) = answer else { return };
        assert!([200, 400, 401].contains(&answer.status.as_u16()), "{answer:?}");
        if answer.status != 200 {
            return;
        }
        let who = match is_form {
            true => Identity::User("bob".to_owned()),
            false => Identity::Anonymous,
        };
        let granted = granted(&answer);
        let asked: Vec<String> = scopes(data);
        for scope in &granted {
            check(scope, &asked, policy, &who);
        }
        if !is_form {
            ask_again(service, &granted);
        }
    });
}

fn get(service: &Service, query: &[u8]) -> Option<Answer> {
    let query = std::str::from_utf8(query).ok().filter(|query| query.len() <= MAX_QUERY)?;
    // Else it is no target of a request.
    let path: http::Uri = format!("/auth/token?{query}").parse().ok()?;
    (path.query() == Some(query)).then(|| service.call("GET", &path.to_string(), &[], b""))?
}

/// The scopes in an answer, which its token grants too.
fn granted(answer: &Answer) -> Vec<String> {
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let scope = body["scope"].as_str().expect("a text");
    let claims = body["token"].as_str().and_then(|token| token.split('.').nth(1)).expect("a token");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let access = claims["access"].as_array().expect("a list").iter().map(|one| {
        let actions: Vec<String> = one["actions"].as_array().expect("a list").iter().map(text).collect();
        format!("{}:{}:{}", text(&one["type"]), text(&one["name"]), actions.join(","))
    });
    let access: Vec<String> = access.collect();
    assert_eq!(access.join(" "), scope, "{answer:?}");
    access
}

/// A granted scope is part of one that was asked for, and the rules give it.
fn check(granted: &str, asked: &[String], policy: &Policy, who: &Identity) {
    let (kind, name, actions) = parts(granted).expect("a scope");
    for action in actions.split(',') {
        let is_asked = |asked: &String| {
            parts(asked).is_some_and(|(of, host_and_name, actions)| {
                (of == kind || of == "repository(plugin)" && kind == "repository")
                    && (host_and_name == name
                        || host_and_name
                            .split_once('/')
                            .is_some_and(|(host, rest)| host.contains(':') && rest == name))
                    && actions.split(',').any(|one| one == "*" || one == action)
            })
        };
        assert!(asked.iter().any(is_asked), "{granted} was not asked for: {asked:?}");
        if kind == "registry" {
            assert_eq!((name, action), ("catalog", "*"));
            continue;
        }
        let given = policy.actions(who, &name.parse().expect("a name"));
        assert!(given.iter().any(|given| given.as_str() == action), "the rules do not give {granted}");
    }
}

fn ask_again(service: &Service, granted: &[String]) {
    let encoded = |text: &String| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let query: Vec<String> = granted.iter().map(|scope| format!("scope={}", encoded(scope))).collect();
    let path = format!("/auth/token?{}", query.join("&"));
    let answer = service.call("GET", &path, &[], b"").expect("a request");
    assert_eq!(self::granted(&answer), granted, "asked again");
}

/// A scope at its first and last colon.
fn parts(scope: &str) -> Option<(&str, &str, &str)> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    Some((kind, name, actions))
}

/// The scopes in a query or form, in the plainest reading.
fn scopes(form: &[u8]) -> Vec<String> {
    let pairs = form.split(|byte| *byte == b'&');
    let pairs = pairs.map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (decoded(&pair[..end]), decoded(pair.get(end + 1..).unwrap_or_default()))
    });
    let scopes = pairs.filter(|(name, _)| name == "scope").map(|(_, value)| value);
    scopes.flat_map(|value| value.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn decoded(text: &[u8]) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (mut bytes, mut index) = (Vec::new(), 0);
    while let Some(byte) = text.get(index) {
        let escaped = match (byte, digit(text.get(index + 1)), digit(text.get(index + 2))) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(if *byte == b'+' { b' ' } else { *byte }));
        index += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
