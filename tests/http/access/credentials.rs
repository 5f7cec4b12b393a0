//! The token endpoint, tokens, certificates, and their end.

use axum::body::{Body, Bytes};
use futures::stream;

use super::*;

#[tokio::test]
async fn a_robot_has_its_own_rights_until_it_is_revoked() {
    let site = Fixture::new().await;
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
    let site = Fixture::new().await;
    let secret = site.access_token("*", "**", Some("alice")).await;
    let login = basic("ci", &secret.reveal());
    assert_eq!(site.push("team/app", &login).await, 201);
    assert_eq!(site.delete("team/app", &login).await, 403);
    assert_eq!(site.push("home/alice/x", &login).await, 201);
    assert_eq!(site.push("home/dave/x", &login).await, 403);
}

#[tokio::test]
async fn a_token_that_is_damaged_or_has_ended_does_not_count() {
    let site = Fixture::new().await;
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
    let site = Fixture::new().await;
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
    let site = async |key: &str| Fixture::with(Plan { signing_key: path(key), ..Plan::default() }).await;
    let (one, other, stranger) = (site("a.pem").await, site("a.pem").await, site("b.pem").await);
    // Passwords are hashed with a salt, so the files must be the same as well.
    std::fs::copy(one.folder.path().join("htpasswd"), other.folder.path().join("htpasswd")).unwrap();
    let (anonymous, _) = one.token(None, &["repository:public/a:pull"]).await;
    other.get("/v2/public/a/tags/list", Some(&anonymous)).await.expect(404);
    stranger.get("/v2/public/a/tags/list", Some(&anonymous)).await.expect(401);
}

#[tokio::test]
async fn the_endpoint_refuses_what_it_does_not_understand() {
    let site = Fixture::new().await;
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
        (format!("{password}&x={}", "y".repeat(32 << 10)), 400),
    ] {
        let answer = form(body.clone()).await;
        assert_eq!(answer.status, status, "{body:.100}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(status != 400 || text.contains(r#""error":""#), "{text}");
    }
    site.call("DELETE", "/auth/token").send().await.expect(405);
}

#[tokio::test]
async fn a_form_in_transfer_counts_for_its_address() {
    let options = HttpOptions { uploads_per_address: Some(1), ..HttpOptions::default() };
    let site = Fixture::with(Plan { options, ..Plan::default() }).await;
    let from = |address: &str, call: Call| {
        let address = PeerAddress::Tcp(address.parse().unwrap());
        call.extension(Peer { address, scheme: Scheme::Http, client_certificate: None })
    };
    let form = || site.call("POST", "/auth/token");
    let pending = Body::from_stream(stream::pending::<std::io::Result<Bytes>>());
    let under_way = from("192.0.2.1:1", form().raw_body(pending)).send();
    let others = async {
        from("192.0.2.1:2", form()).send().await.expect_error(429, "TOOMANYREQUESTS");
        from("192.0.2.2:1", form()).send().await.expect(400);
        from("192.0.2.1:3", site.call("GET", "/auth/token")).send().await.expect(200);
    };
    tokio::select! {
        biased;
        answer = under_way => panic!("{answer:?}"),
        () = others => {}
    }
}

/// As containerd and buildkit do, which fall back from one method to the other.
#[tokio::test(start_paused = true)]
async fn a_wrong_password_by_both_methods_is_one_failure() {
    let site = Fixture::new().await;
    let by_form = async |password: &str| {
        let form = format!("grant_type=password&username=alice&password={password}&service=here");
        site.call("POST", "/auth/token").body(form).send().await.status.as_u16()
    };
    let by_header = async |password: &str| {
        site.get("/auth/token?service=here", Some(&basic("alice", password))).await.status.as_u16()
    };
    // The tenth failure refuses what follows.
    for number in 0..9 {
        let password = format!("wrong-{number}");
        let answers = match number % 2 {
            0 => (by_form(&password).await, by_header(&password).await),
            _ => (by_header(&password).await, by_form(&password).await),
        };
        assert_eq!(answers, (401, 401), "{password}");
    }
    assert_eq!((by_form("last").await, by_header("last").await), (401, 429));
}

/// Each failure is a line of the record, so guesses must end.
#[tokio::test(start_paused = true)]
async fn failed_logins_count_without_passwords_and_with_names_that_are_no_text() {
    for (has_passwords, name) in [(false, &b"mallory"[..]), (true, b"mallory\xff")] {
        let site = Fixture::with(Plan { has_passwords, ..Plan::default() }).await;
        let log_in = async |number: u8| {
            let login = [name, b":wrong", &[number]].concat();
            let login = format!("Basic {}", STANDARD.encode(login));
            [
                site.get("/v2/", Some(&login)).await.status.as_u16(),
                site.get("/auth/token", Some(&login)).await.status.as_u16(),
            ]
        };
        for number in 0..9 {
            assert_eq!(log_in(number).await, [401, 401], "{number}");
        }
        assert_eq!(log_in(9).await, [401, 429], "{has_passwords}");
        site.get("/v2/public/a/tags/list", None).await.expect(404);
    }
}

#[tokio::test]
async fn without_anonymous_rules_a_token_needs_a_login() {
    let rules = "rules: [{who: users, may: pull, on: '**'}]";
    let site = Fixture::with(Plan { rules, ..Plan::default() }).await;
    site.get("/auth/token?scope=repository:a:pull", None).await.expect(401);
    site.get("/v2/_catalog", None).await.expect(401);
    site.get("/v2/_catalog", Some(&user("dave"))).await.expect(200);
}

#[tokio::test]
async fn a_verified_certificate_is_a_login() {
    let plan = Plan { certificates: vec![CertificateName::Cn], ..Plan::default() };
    let site = Fixture::with(plan).await;
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
    let plain = Fixture::new().await;
    let client_certificate = Some(ClientCertificate { leaf: leaf.clone().into(), is_verified: true });
    let peer = Peer { address: PeerAddress::Unix, scheme: Scheme::Https, client_certificate };
    plain.call("GET", "/v2/secret/x/tags/list").extension(peer).send().await.expect(401);
}

#[tokio::test]
async fn a_certificate_that_expired_on_an_open_connection_is_no_login() {
    let site = Fixture::with(Plan { certificates: vec![CertificateName::Cn], ..Plan::default() }).await;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, "carol");
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let leaf = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec();
    let client_certificate = Some(ClientCertificate { leaf: leaf.into(), is_verified: true });
    let peer = Peer { address: PeerAddress::Unix, scheme: Scheme::Https, client_certificate };
    site.call("GET", "/v2/secret/x/tags/list").extension(peer.clone()).send().await.expect(401);
    site.call("GET", "/v2/public/a/tags/list").extension(peer).send().await.expect(404);
}

#[tokio::test]
async fn rules_without_passwords_are_for_robots_and_everybody() {
    let site = Fixture::with(Plan { has_passwords: false, ..Plan::default() }).await;
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
