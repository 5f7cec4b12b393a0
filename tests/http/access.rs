//! Rules, the token endpoint, and access tokens: who may do what, by which credentials.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sampan::auth::{
    AccessTokens, Guard, GuardSettings, Htpasswd, LivePolicy, PolicyFile, ThrottleOptions, TokenRecord,
    TokenSecret, rfc3339,
};
use sampan::http::HttpServices;
use sampan::serve::{ClientCertificate, Peer, PeerAddress, Scheme};
use sampan_config::CertificateName;
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::Registry;
use serde_json::Value;

use crate::support::client::Call;
use crate::support::{Answer, Server, Setup};

const RULES: &str = "
groups:
  dev: [alice, bob]
  ops: [carol]
rules:
  - {who: anonymous, may: pull, on: ['public/**', 'library/*']}
  - {who: users, may: pull, on: '**', except: ['secret/**']}
  - {who: 'group:dev', may: push, on: 'team/**'}
  - {who: users, may: [push, delete], on: 'home/${user}/**'}
  - {who: 'group:ops', may: '*', on: '**'}
";

const USERS: [&str; 5] = ["alice", "bob", "carol", "dave", "Dave"];

/// A registry with rules.
struct Site {
    server: Server,
    folder: tempfile::TempDir,
}

/// How a site differs from the usual one.
struct Plan {
    rules: &'static str,
    driver: Arc<InMemoryDriver>,
    signing_key: Option<PathBuf>,
    certificates: Vec<CertificateName>,
    has_passwords: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rules: RULES,
            driver: Arc::new(InMemoryDriver::new()),
            signing_key: None,
            certificates: Vec::new(),
            has_passwords: true,
        }
    }
}

impl Site {
    async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    async fn with(plan: Plan) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let users =
            USERS.map(|user| format!("{user}:{}\n", bcrypt::hash(format!("{user}-password"), 4).unwrap()));
        std::fs::write(path("htpasswd"), users.concat()).unwrap();
        std::fs::write(path("access.yml"), plan.rules).unwrap();
        let throttle = ThrottleOptions { first_delay: Duration::ZERO, ..ThrottleOptions::default() };
        let passwords = match plan.has_passwords {
            true => Some(Arc::new(Htpasswd::open("Registry", path("htpasswd"), throttle).await.unwrap())),
            false => None,
        };
        let registry = Registry::builder(plan.driver.clone()).build();
        let guard = Guard::open(GuardSettings {
            policy: LivePolicy::File(PolicyFile::open(path("access.yml")).await.unwrap()),
            passwords,
            tokens: AccessTokens::new(registry),
            service: "here".to_owned(),
            lifetime: Duration::from_secs(300),
            signing_key: plan.signing_key,
            certificates: plan.certificates,
        });
        let guard = Arc::new(guard.await.unwrap());
        let services = HttpServices { guard: Some(guard.clone()), ..HttpServices::default() };
        let server = Server::with(Setup { access: guard, services, driver: plan.driver, ..Setup::default() });
        Self { server, folder }
    }

    /// A request to `registry.example`.
    fn call(&self, method: &str, path: &str) -> Call {
        self.server.call(method, path).header("host", "registry.example")
    }

    async fn get(&self, path: &str, authorization: Option<&str>) -> Answer {
        let call = self.call("GET", path);
        match authorization {
            Some(authorization) => call.header("authorization", authorization).send().await,
            None => call.send().await,
        }
    }

    /// Pushes an empty blob.
    async fn push(&self, name: &str, authorization: &str) -> u16 {
        let path = format!("/v2/{name}/blobs/uploads/?digest={EMPTY}");
        self.call("POST", &path).header("authorization", authorization).body("").send().await.status.as_u16()
    }

    async fn delete(&self, name: &str, authorization: &str) -> u16 {
        let call = self.call("DELETE", &format!("/v2/{name}/blobs/{EMPTY}"));
        call.header("authorization", authorization).send().await.status.as_u16()
    }

    /// A bearer token for `authorization`, and what it grants.
    async fn token(&self, authorization: Option<&str>, scopes: &[&str]) -> (String, String) {
        let scopes: Vec<String> = scopes.iter().map(|scope| format!("scope={scope}")).collect();
        let answer = self.get(&format!("/auth/token?service=here&{}", scopes.join("&")), authorization).await;
        let answer = answer.expect(200);
        assert_eq!(answer.headers["cache-control"], "no-store");
        let body: Value = answer.json();
        assert_eq!(body["token"], body["access_token"]);
        assert_eq!(body["expires_in"], 300);
        assert!(body.get("issued_at").is_none());
        let text = |key: &str| body[key].as_str().unwrap().to_owned();
        (format!("Bearer {}", text("token")), text("scope"))
    }

    /// Creates an access token, and returns its secret.
    async fn access_token(&self, may: &str, on: &str, on_behalf_of: Option<&str>) -> TokenSecret {
        let secret = TokenSecret::random();
        let record = TokenRecord {
            name: "ci".to_owned(),
            note: String::new(),
            may: vec![may.to_owned()],
            on: vec![on.to_owned()],
            except: Vec::new(),
            on_behalf_of: on_behalf_of.map(str::to_owned),
            created: rfc3339(Some(SystemTime::now())),
            created_by: String::new(),
            expires: "never".to_owned(),
            sha256: secret.hash(),
        };
        let record = serde_json::to_vec(&record).unwrap();
        self.server.registry.create_access_token(secret.id(), record.into()).await.unwrap();
        secret
    }
}

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The credentials of a user of the site.
fn user(name: &str) -> String {
    basic(name, &format!("{name}-password"))
}

fn challenges(answer: &Answer) -> Vec<String> {
    let challenges = answer.headers.get_all("www-authenticate").iter();
    challenges.map(|challenge| challenge.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_first_answer_is_a_challenge_that_every_client_can_read() {
    let site = Site::new().await;
    for path in ["/v2/", "/v2/team/app/tags/list"] {
        let answer = site.get(path, None).await.expect_error(401, "UNAUTHORIZED");
        let scope = match path {
            "/v2/" => String::new(),
            _ => r#",scope="repository:team/app:pull""#.to_owned(),
        };
        let bearer = format!(r#"Bearer realm="http://registry.example/auth/token",service="here"{scope}"#);
        assert_eq!(challenges(&answer), [bearer]);
    }
    // HTTP/1.0 needs no host; without one there is no URL of the token endpoint.
    let answer = site.server.call("GET", "/v2/").send().await.expect(401);
    assert_eq!(challenges(&answer), [r#"Basic realm="Registry""#]);
    // Several sets of credentials are one question too many.
    let call = site.call("GET", "/v2/").header("authorization", &user("alice"));
    call.header("authorization", &user("bob")).send().await.expect(400);
}

#[tokio::test]
async fn without_credentials_a_client_sees_what_everybody_may_see() {
    let site = Site::new().await;
    site.push("public/a", &user("carol")).await;
    site.push("team/app", &user("carol")).await;
    let (token, scope) =
        site.token(None, &["repository:public/a:pull,push", "repository:team/app:pull"]).await;
    assert_eq!(scope, "repository:public/a:pull");
    let blob = |name: &str| format!("/v2/{name}/blobs/{EMPTY}");
    site.get(&blob("public/a"), Some(&token)).await.expect(200);
    site.get(&blob("public/a"), None).await.expect(200);
    // What is there and what is not answer alike.
    let mut answers = Vec::new();
    for name in ["team/app", "team/not"] {
        let answer = site.get(&blob(name), Some(&token)).await.expect_error(401, "UNAUTHORIZED");
        answers.push(
            (String::from_utf8(answer.body.to_vec()).unwrap() + &challenges(&answer).concat())
                .replace("/not", "/app"),
        );
    }
    assert_eq!(answers[0], answers[1]);
    // A wrong password is no anonymous client.
    let answer = site.get(&blob("public/a"), Some(&basic("alice", "wrong"))).await;
    answer.expect_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn rules_decide_about_users() {
    let site = Site::new().await;
    for (name, repository, expected) in [
        ("dave", "home/dave/x", 201),
        ("dave", "home/alice/x", 403),
        ("Dave", "home/dave/x", 403),
        ("alice", "team/app", 201),
        ("alice", "library/alpine", 403),
        ("alice", "team", 403),
        ("carol", "secret/x", 201),
    ] {
        assert_eq!(site.push(repository, &user(name)).await, expected, "{name} pushes {repository}");
    }
    assert_eq!(site.push("home/Dave/x", &user("Dave")).await, 400);
    let tags = async |repository: &str, name: &str| {
        site.get(&format!("/v2/{repository}/tags/list"), Some(&user(name))).await.status.as_u16()
    };
    assert_eq!((tags("team/app", "dave").await, tags("secret/x", "dave").await), (404, 403));
    assert_eq!((tags("secret/x", "carol").await, tags("secret/none", "dave").await), (404, 403));
    assert_eq!(site.delete("team/app", &user("alice")).await, 403);
    assert_eq!(site.delete("home/dave/x", &user("dave")).await, 202);
    assert_eq!(site.delete("team/app", &user("carol")).await, 202);
    let answer = site.get("/v2/secret/x/tags/list", Some(&user("dave"))).await.expect_error(403, "DENIED");
    assert!(challenges(&answer).is_empty());
    let message = |answer: &Answer| answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert_eq!(
        message(&answer),
        "requested access to the resource is denied: dave may not pull from secret/x"
    );
    let path = "/v2/library/alpine/blobs/uploads/";
    let answer = site.call("POST", path).header("authorization", &user("alice")).send().await.expect(403);
    assert!(message(&answer).ends_with(": alice may not push to library/alpine"), "{answer:?}");
}

#[tokio::test]
async fn a_token_is_a_ceiling_and_the_rules_count_as_well() {
    let site = Site::new().await;
    let alice = user("alice");
    let (pull, scope) = site.token(Some(&alice), &["repository:team/app:pull"]).await;
    assert_eq!(scope, "repository:team/app:pull");
    let path = format!("/v2/team/app/blobs/uploads/?digest={EMPTY}");
    let answer = site.call("POST", &path).header("authorization", &pull).body("").send().await;
    let answer = answer.expect_error(401, "UNAUTHORIZED");
    assert!(challenges(&answer)[0].contains(r#"error="insufficient_scope""#), "{:?}", challenges(&answer));
    let (push, _) = site.token(Some(&alice), &["repository:team/app:pull,push"]).await;
    assert_eq!(site.push("team/app", &push).await, 201);
    // Where the rules give nothing, another token would not help, so the client must not ask for one.
    assert_eq!(site.push("library/alpine", &pull).await, 403);
    // `*` is what the user has.
    let (_, scope) = site.token(Some(&alice), &["repository:team/app:*", "registry:catalog:*"]).await;
    assert_eq!(scope, "repository:team/app:pull,push registry:catalog:*");
    let (_, scope) = site.token(Some(&user("carol")), &["repository:team/app:*"]).await;
    assert_eq!(scope, "repository:team/app:pull,push,delete");
    let garbage = site.get("/v2/", Some("Bearer abc.def.ghi")).await.expect(401);
    assert!(challenges(&garbage)[0].contains(r#"error="invalid_token""#));
}

#[tokio::test]
async fn a_mount_tells_nothing_of_a_source_that_the_client_may_not_see() {
    let site = Site::new().await;
    for name in ["secret/x", "public/a"] {
        assert_eq!(site.push(name, &user("carol")).await, 201);
    }
    let mount = async |from: &str, authorization: &str| {
        let path = format!("/v2/team/app/blobs/uploads/?mount={EMPTY}&from={from}");
        site.call("POST", &path).header("authorization", authorization).send().await.status.as_u16()
    };
    let (token, scope) = site
        .token(Some(&user("alice")), &["repository:team/app:pull,push", "repository:secret/x:pull"])
        .await;
    assert_eq!(scope, "repository:team/app:pull,push");
    for authorization in [&token, &user("alice")] {
        assert_eq!(mount("secret/x", authorization).await, 202);
        assert_eq!(mount("secret/none", authorization).await, 202);
    }
    // A digest alone is no key to what other repositories have.
    let path = format!("/v2/team/app/blobs/uploads/?mount={EMPTY}");
    let anywhere = site.call("POST", &path).header("authorization", &user("alice"));
    anywhere.send().await.expect(202);
    assert_eq!(mount("public/a", &user("alice")).await, 201);
    let answer = site.call("POST", &format!("{path}&from=public/a")).send().await.expect(401);
    let scope = r#"scope="repository:team/app:pull,push repository:public/a:pull""#;
    assert!(challenges(&answer)[0].contains(scope), "{:?}", challenges(&answer));
}

#[tokio::test]
async fn the_catalog_lists_what_the_client_may_see() {
    let site = Site::new().await;
    for name in ["home/dave/a", "library/b", "public/c", "secret/d", "secret/e", "team/f"] {
        site.server_image(name).await;
    }
    let list = async |authorization: Option<&str>, query: &str| {
        let answer = site.get(&format!("/v2/_catalog?{query}"), authorization).await.expect(200);
        let names: Vec<String> = serde_json::from_value(answer.json()["repositories"].clone()).unwrap();
        let link = answer.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        (names.join(" "), link.unwrap_or_default())
    };
    let (dave, carol) = (user("dave"), user("carol"));
    // Some clients send credentials only when they are asked.
    site.get("/v2/_catalog", None).await.expect_error(401, "UNAUTHORIZED");
    let (anonymous, _) = site.token(None, &["registry:catalog:*"]).await;
    let nothing = Some(anonymous.as_str());
    assert_eq!(list(nothing, "").await.0, "library/b public/c");
    assert_eq!(list(Some(&dave), "").await.0, "home/dave/a library/b public/c team/f");
    assert_eq!(list(Some(&carol), "").await.0, "home/dave/a library/b public/c secret/d secret/e team/f");
    let (names, link) = list(Some(&dave), "n=3").await;
    assert_eq!(names, "home/dave/a library/b public/c");
    assert!(link.contains("last=public%2Fc") && !link.contains("secret"), "{link}");
    assert_eq!(list(Some(&dave), "n=3&last=public/c").await, ("team/f".to_owned(), String::new()));
    // The last page has no link, although hidden repositories follow.
    assert_eq!(list(nothing, "n=2").await, ("library/b public/c".to_owned(), String::new()));
}

impl Site {
    /// A repository with a tag.
    async fn server_image(&self, name: &str) {
        let config = Server::with(Setup { driver: self.server.driver(), ..Setup::default() });
        config.push_image(name, "v1", name).await;
    }
}

#[tokio::test]
async fn a_robot_has_its_own_rights_until_it_is_revoked() {
    let site = Site::new().await;
    let secret = site.access_token("push", "team/**", None).await;
    let as_user = |name: &str| basic(name, &secret.reveal());
    for (name, expected) in [("ci", 201), ("token", 201), ("alice", 401), ("", 401)] {
        assert_eq!(site.push("team/app", &as_user(name)).await, expected, "{name}");
    }
    assert_eq!(site.push("library/alpine", &as_user("ci")).await, 403);
    // It sees what everybody sees.
    site.get("/v2/library/alpine/tags/list", Some(&as_user("ci"))).await.expect(404);
    site.get("/v2/home/dave/x/tags/list", Some(&as_user("ci"))).await.expect(403);
    let (bearer, _) = site.token(Some(&as_user("ci")), &["repository:team/app:pull,push"]).await;
    assert_eq!(site.push("team/app", &bearer).await, 201);
    // The form of clients that keep it as an identity token.
    let form = format!("grant_type=refresh_token&service=here&refresh_token={}", secret.reveal());
    site.call("POST", "/auth/token").body(form).send().await.expect(200);

    tokio::time::pause();
    assert!(site.server.registry.remove_access_token(secret.id()).await.unwrap());
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(site.push("team/app", &as_user("ci")).await, 401);
    assert_eq!(site.push("team/app", &bearer).await, 401);
}

#[tokio::test]
async fn a_token_for_a_user_gives_no_more_than_the_user_has() {
    let site = Site::new().await;
    let secret = site.access_token("*", "**", Some("alice")).await;
    let login = basic("ci", &secret.reveal());
    assert_eq!(site.push("team/app", &login).await, 201);
    assert_eq!(site.delete("team/app", &login).await, 403);
    assert_eq!(site.push("home/alice/x", &login).await, 201);
    assert_eq!(site.push("home/dave/x", &login).await, 403);
}

#[tokio::test]
async fn a_token_that_is_damaged_or_has_ended_does_not_count() {
    let site = Site::new().await;
    let registry = &site.server.registry;
    let usable = site.access_token("push", "team/**", None).await;
    registry.end_access_token(usable.id(), SystemTime::UNIX_EPOCH).await.unwrap();
    assert_eq!(site.push("team/app", &basic("ci", &usable.reveal())).await, 401);
    let record = |expires: &str, secret: &TokenSecret| {
        format!(
            r#"{{"name":"ci","may":["push"],"on":["**"],"created":"","expires":"{expires}","sha256":"{}"}}"#,
            secret.hash()
        )
    };
    for (expires, rest) in [("2020-01-01T00:00:00Z", ""), ("soon", ""), ("never", "x"), ("never", "")] {
        let secret = TokenSecret::random();
        let record = record(expires, &secret) + rest;
        registry.create_access_token(secret.id(), record.into()).await.unwrap();
        let expected = if (expires, rest) == ("never", "") { 201 } else { 401 };
        assert_eq!(site.push("team/app", &basic("ci", &secret.reveal())).await, expected, "{expires} {rest}");
    }
    // Guesses: an id that exists with another secret, and ids that do not exist.
    let other = TokenSecret::random();
    let guessed = other.reveal().replace(&other.id().to_string(), &usable.id().to_string());
    assert_eq!(site.push("team/app", &basic("ci", &guessed)).await, 401);
    assert_eq!(site.push("team/app", &basic("ci", &other.reveal())).await, 401);
}

#[tokio::test]
async fn changed_rules_and_passwords_count_for_tokens_that_exist() {
    let site = Site::new().await;
    let (bearer, _) = site.token(Some(&user("alice")), &["repository:team/app:pull,push"]).await;
    let (of_bob, _) = site.token(Some(&user("bob")), &["repository:team/app:pull,push"]).await;
    assert_eq!(site.push("team/app", &bearer).await, 201);
    tokio::time::pause();
    std::fs::write(site.folder.path().join("access.yml"), RULES.replace("[alice, bob]", "[bob, dave]"))
        .unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(site.push("team/app", &bearer).await, 403);
    assert_eq!(site.push("team/app", &of_bob).await, 201);
    // A broken file changes nothing.
    std::fs::write(site.folder.path().join("access.yml"), "rules: [").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(site.push("team/app", &of_bob).await, 201);
    let others = USERS.iter().filter(|user| **user != "bob");
    let others = others.map(|user| format!("{user}:{}\n", bcrypt::hash("x", 4).unwrap()));
    std::fs::write(site.folder.path().join("htpasswd"), others.collect::<String>()).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(site.push("team/app", &of_bob).await, 401, "a user who was removed");
    assert_eq!(site.push("team/app", &bearer).await, 401, "a user whose password changed");
}

#[tokio::test]
async fn replicas_take_each_others_tokens_if_they_share_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| Some(folder.path().join(name));
    let site = async |key: &str| Site::with(Plan { signing_key: path(key), ..Plan::default() }).await;
    let (one, other, stranger) = (site("a.pem").await, site("a.pem").await, site("b.pem").await);
    // Passwords are hashed with a salt, so the files must be the same as well.
    std::fs::copy(one.folder.path().join("htpasswd"), other.folder.path().join("htpasswd")).unwrap();
    let (anonymous, _) = one.token(None, &["repository:public/a:pull"]).await;
    other.get("/v2/public/a/tags/list", Some(&anonymous)).await.expect(404);
    stranger.get("/v2/public/a/tags/list", Some(&anonymous)).await.expect(401);
}

#[tokio::test]
async fn the_endpoint_refuses_what_it_does_not_understand() {
    let site = Site::new().await;
    let scopes = |count: usize| "&scope=repository:public/a:pull".repeat(count);
    site.get(&format!("/auth/token?{}", scopes(64)), None).await.expect(200);
    site.get(&format!("/auth/token?{}", scopes(65)), None).await.expect(400);
    site.get("/auth/token?service=elsewhere", None).await.expect(400);
    site.get("/auth/token", Some("Bearer abc")).await.expect(401);
    let answer = site.get("/auth/token", Some(&basic("alice", "wrong"))).await.expect(401);
    assert_eq!(challenges(&answer), [r#"Basic realm="Registry""#]);
    for odd in ["repository:", "repository:a", "repository:A:pull", "x", "%00", "registry:other:*"] {
        let (_, scope) = site.token(None, &[odd]).await;
        assert_eq!(scope, "", "{odd}");
    }
    let form = async |body: String| site.call("POST", "/auth/token").body(body).send().await;
    let password = "grant_type=password&username=alice&password=alice-password&service=here";
    let answer = form(format!("{password}&scope=repository:team/app:pull+repository:team/b:push")).await;
    let granted = answer.expect(200).json()["scope"].as_str().unwrap().to_owned();
    assert_eq!(granted, "repository:team/app:pull repository:team/b:push");
    for (body, status) in [
        (String::new(), 400),
        (r#"{"grant_type":"password"}"#.to_owned(), 400),
        ("grant_type=authorization_code".to_owned(), 400),
        (format!("{password}&grant_type=password"), 400),
        (password.replace("alice-password", "wrong"), 401),
        (password.replace("alice-password", "a%00b"), 401),
        (password.replace("alice-password", &"x".repeat(73)), 401),
        ("grant_type=password".to_owned(), 401),
        ("grant_type=refresh_token&refresh_token=abc".to_owned(), 401),
        ("grant_type=refresh_token".to_owned(), 401),
        (format!("{password}&x={}", "y".repeat(64 << 10)), 400),
    ] {
        let answer = form(body.clone()).await;
        assert_eq!(answer.status, status, "{body:.100}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(status != 400 || text.contains(r#""error":""#), "{text}");
    }
    site.call("DELETE", "/auth/token").send().await.expect(405);
}

#[tokio::test]
async fn without_anonymous_rules_a_token_needs_a_login() {
    let rules = "rules: [{who: users, may: pull, on: '**'}]";
    let site = Site::with(Plan { rules, ..Plan::default() }).await;
    site.get("/auth/token?scope=repository:a:pull", None).await.expect(401);
    site.get("/v2/_catalog", None).await.expect(401);
    site.get("/v2/_catalog", Some(&user("dave"))).await.expect(200);
}

#[tokio::test]
async fn a_verified_certificate_is_a_login() {
    let plan = Plan { certificates: vec![CertificateName::Cn], ..Plan::default() };
    let site = Site::with(plan).await;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "carol");
    let leaf = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec();
    let call = |path: &str, is_verified: bool| {
        let client_certificate = Some(ClientCertificate { leaf: leaf.clone().into(), is_verified });
        let address = PeerAddress::Tcp("192.0.2.1:5".parse().unwrap());
        site.call("GET", path).extension(Peer { address, scheme: Scheme::Https, client_certificate })
    };
    call("/v2/", true).send().await.expect(200);
    call("/v2/secret/x/tags/list", true).send().await.expect(404);
    call("/v2/secret/x/tags/list", false).send().await.expect(401);
    // What the header says counts more.
    let alice = user("alice");
    call("/v2/secret/x/tags/list", true).header("authorization", &alice).send().await.expect(403);
    let answer = call("/auth/token?scope=repository:secret/x:pull", true).send().await.expect(200);
    let token = format!("Bearer {}", answer.json()["token"].as_str().unwrap());
    site.get("/v2/secret/x/tags/list", Some(&token)).await.expect(404);
    // Without the setting a certificate is nothing but TLS.
    let plain = Site::new().await;
    let client_certificate = Some(ClientCertificate { leaf: leaf.clone().into(), is_verified: true });
    let peer = Peer { address: PeerAddress::Unix, scheme: Scheme::Https, client_certificate };
    plain.call("GET", "/v2/secret/x/tags/list").extension(peer).send().await.expect(401);
}

#[tokio::test]
async fn rules_without_passwords_are_for_robots_and_everybody() {
    let site = Site::with(Plan { has_passwords: false, ..Plan::default() }).await;
    site.get("/v2/public/a/tags/list", None).await.expect(404);
    site.get("/v2/public/a/tags/list", Some(&user("alice"))).await.expect(401);
    let secret = site.access_token("push", "team/**", None).await;
    assert_eq!(site.push("team/app", &basic("ci", &secret.reveal())).await, 201);
}

#[tokio::test]
async fn without_rules_there_is_no_token_endpoint() {
    let server = Server::new();
    let answer = server.call("GET", "/auth/token").send().await.expect(404);
    let other = server.call("GET", "/auth/other").send().await.expect(404);
    assert_eq!(answer.body, other.body);
}
