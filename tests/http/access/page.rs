//! The web page by the rules of `access`: each request asks them again.

use sampan_engine::OnExistingTag;

use super::*;

/// The names of repositories on the first page.
fn names(answer: &Answer) -> Vec<String> {
    let listed = answer.json();
    let names = listed["repositories"].as_array().unwrap().iter();
    names.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

impl Fixture {
    async fn visit(&self, path: &str, cookie: &str) -> Answer {
        self.call("GET", path).header("accept", "application/json").header("cookie", cookie).send().await
    }

    /// Logs in by the form, and returns the cookie of the session; `None` if the login was refused.
    async fn session(&self, user: &str, password: &str) -> Option<String> {
        let form = self.call("GET", "/ui/-/login").header("accept", "text/html").send().await.expect(200);
        let form = String::from_utf8(form.body.to_vec()).unwrap();
        let token = form.split("action=\"/ui/-/login\"").nth(1).unwrap();
        let token = token.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let call = self.call("POST", "/ui/-/login").header("origin", "http://registry.example");
        let answer = call.body(format!("token={token}&user={user}&password={password}")).send().await;
        let cookie = answer.headers.get("set-cookie")?.to_str().unwrap().to_owned();
        assert_eq!(answer.status, 303, "{answer:?}");
        cookie.split(';').next().map(str::to_owned)
    }
}

async fn site() -> Fixture {
    let site = Fixture::new().await;
    for name in ["home/alice/x", "public/alpine", "secret/plan", "team/app"] {
        site.server_image(name).await;
    }
    site
}

#[tokio::test]
async fn a_visitor_sees_what_the_rules_give() {
    let site = site().await;
    let anonymous = site.visit("/ui/", "").await.expect(200);
    assert_eq!(names(&anonymous), ["public/alpine"]);
    for path in ["/ui/team/app/-/tags", "/ui/team/none/-/tags", "/ui/team/app/-/tags/v1"] {
        site.visit(path, "").await.expect(401);
    }
    let alice = site.session("alice", "alice-password").await.unwrap();
    assert_eq!(
        names(&site.visit("/ui/", &alice).await.expect(200)),
        ["home/alice/x", "public/alpine", "team/app"]
    );
    let hidden = site.visit("/ui/secret/plan/-/tags", &alice).await.expect(404);
    let missing = site.visit("/ui/secret/none/-/tags", &alice).await.expect(404);
    assert_eq!(hidden.json()["error"], missing.json()["error"]);
    assert!(site.session("alice", "bob-password").await.is_none());
    // By credentials of the request, too.
    let call = site.call("GET", "/ui/").header("accept", "application/json");
    let carol = call.header("authorization", &user("carol")).send().await.expect(200);
    assert!(names(&carol).contains(&"secret/plan".to_owned()));
}

#[tokio::test]
async fn a_changed_rule_and_password_count_at_the_next_request() {
    let site = site().await;
    let session = site.session("alice", "alice-password").await.unwrap();
    site.visit("/ui/team/app/-/tags", &session).await.expect(200);
    tokio::time::pause();
    let rules = "rules: [{who: users, may: pull, on: 'home/**'}]";
    std::fs::write(site.folder.path().join("access.yml"), rules).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    site.visit("/ui/team/app/-/tags", &session).await.expect(404);
    assert_eq!(names(&site.visit("/ui/", &session).await.expect(200)), ["home/alice/x"]);
    // Nothing is public any more, so that a visitor gets the form for a login.
    site.visit("/ui/", "").await.expect(401);
    std::fs::write(site.folder.path().join("htpasswd"), "dave:x\n").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    site.visit("/ui/", &session).await.expect(401);
}

#[tokio::test]
async fn a_robot_logs_in_with_its_token_until_that_is_revoked() {
    let site = site().await;
    let secret = site.access_token("pull", "team/**", None).await;
    let session = site.session("ci", &secret.reveal()).await.unwrap();
    assert_eq!(names(&site.visit("/ui/", &session).await.expect(200)), ["public/alpine", "team/app"]);
    let for_dave = site.access_token("*", "**", Some("dave")).await;
    let of_dave = site.session("ci", &for_dave.reveal()).await.unwrap();
    let seen = names(&site.visit("/ui/", &of_dave).await.expect(200));
    assert_eq!(seen, ["home/alice/x", "public/alpine", "team/app"], "no more than the user");
    assert!(site.session("ci", &TokenSecret::random().reveal()).await.is_none());

    tokio::time::pause();
    assert!(site.server.registry.remove_access_token(secret.id()).await.unwrap());
    tokio::time::advance(Duration::from_secs(10)).await;
    site.visit("/ui/", &session).await.expect(401);
    site.visit("/ui/", &of_dave).await.expect(200);
}

#[tokio::test]
async fn a_login_is_recorded_with_its_credential() {
    let site = site().await;
    let secret = site.access_token("pull", "team/**", None).await;
    site.session("alice", "alice-password").await.unwrap();
    assert!(site.session("alice", "wrong").await.is_none());
    let session = site.session("ci", &secret.reveal()).await.unwrap();
    // The session that it began is no other login.
    site.visit("/ui/", &session).await.expect(200);
    let events = site.recorded_of(&["login", "failed login"], 3).await;
    let shown = |event: &Value| ["event", "user", "credential"].map(|key| event[key].clone());
    let expected = [
        ["login".into(), "alice".into(), "password".into()],
        ["failed login".into(), "alice".into(), Value::Null],
        ["login".into(), "ci".into(), "token".into()],
    ];
    assert_eq!(events.iter().map(shown).collect::<Vec<_>>(), expected);
    assert_eq!(events[2]["token"], secret.id().to_string());
    assert!(events[0]["requestId"].is_string() && events[0].get("token").is_none(), "{events:?}");
}

/// The token of the form that a page sends to `action`.
fn form_token(page: &Answer, action: &str) -> String {
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let form =
        page.split(&format!("action=\"{action}\"")).nth(1).unwrap_or_else(|| panic!("no form: {page}"));
    form.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_restoration_and_a_collection_are_recorded_with_their_user() {
    const RESTORE: &str = "/ui/team/app/-/restore";
    const RUN: &str = "/ui/-/collections/run";
    let site = site().await;
    let carol = user("carol");
    let repository = site.server.registry.repository("team/app".parse().unwrap());
    let digest = repository.manifests().digest(&"v1".parse().unwrap()).await.unwrap();
    repository.manifests().delete(&"v1".parse().unwrap()).await.unwrap();
    let page = async |path: &str| {
        let call = site.call("GET", path).header("accept", "text/html");
        call.header("authorization", &carol).send().await.expect(200)
    };
    let send = async |path: &str, form: String| {
        let call = site.call("POST", path).header("authorization", &carol);
        call.header("sec-fetch-site", "same-origin").body(form).send().await.expect(303)
    };
    let token = form_token(&page(RESTORE).await, RESTORE);
    send(RESTORE, format!("token={token}&tag=v1&digest={digest}")).await;
    let token = form_token(&page("/ui/-/collections").await, RUN);
    send(RUN, format!("token={token}&mode=preview")).await;
    send(RUN, format!("token={token}&mode=run")).await;

    let names = ["restoration", "collection requested"];
    let events = site.recorded_of(&names, 2).await;
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events: Vec<[String; 5]> = events
        .iter()
        .map(|event| ["event", "user", "repository", "tag", "digest"].map(|key| text(event, key)))
        .collect();
    let digest = digest.to_string();
    assert_eq!(
        events,
        [["restoration", "carol", "team/app", "v1", &digest], ["collection requested", "carol", "", "", ""]]
    );
}

#[tokio::test]
async fn a_deletion_on_the_page_is_recorded_with_what_it_deletes() {
    const DELETE: &str = "/ui/team/app/-/delete";
    let site = site().await;
    let repository = site.server.registry.repository("team/app".parse().unwrap());
    let digest = repository.manifests().digest(&"v1".parse().unwrap()).await.unwrap();
    let carol = user("carol");
    let page = async |query: &str| {
        let call = site.call("GET", &format!("{DELETE}?{query}")).header("accept", "text/html");
        call.header("authorization", &carol).send().await.expect(200)
    };
    let send = async |form: String| {
        let call = site.call("POST", DELETE).header("authorization", &carol);
        call.header("sec-fetch-site", "same-origin").body(form).send().await.expect(200)
    };
    let token = form_token(&page("tag=v1").await, DELETE);
    // Neither tag is there, and the first never was.
    send(format!("token={token}&target=none&target=v2@{digest}")).await;
    send(format!("token={token}&target=v1@{digest}")).await;
    for tag in ["v1", "v2"] {
        let tag = tag.parse().unwrap();
        repository.tags().restore(&tag, Some(&digest), OnExistingTag::Keep).await.unwrap();
    }
    let all = page("all=1").await;
    let all = String::from_utf8(all.body.to_vec()).unwrap();
    let shown = all.split("name=\"shown\" value=\"").nth(1).unwrap_or_default();
    let shown = shown.split('"').next().unwrap();
    send(format!("token={token}&all=1&name=team/app&shown={shown}")).await;

    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let keys = ["user", "repository", "path", "tag", "digest", "all", "tags", "images"];
    let events = site.recorded_of(&["deletion"], 2).await;
    let events: Vec<[String; 8]> = events.iter().map(|event| keys.map(|key| text(event, key))).collect();
    let digest = digest.to_string();
    assert_eq!(
        events,
        [
            ["carol", "team/app", DELETE, "v1", &digest, "", "", ""],
            ["carol", "team/app", DELETE, "", "", "true", "2", "1"]
        ]
    );
}

#[tokio::test]
async fn what_the_rules_do_not_give_is_recorded_as_by_the_api() {
    let site = site().await;
    let dave = user("dave");
    // Without a cookie the form is the same for each user.
    let page = site.call("GET", "/ui/-/collections").header("accept", "text/html");
    let page = page.header("authorization", &user("carol")).send().await.expect(200);
    let token = format!("token={}", form_token(&page, "/ui/-/collections/run"));
    for (method, path, status) in [
        ("GET", "/ui/secret/plan/-/tags", 404),
        ("POST", "/ui/team/app/-/delete", 403),
        ("POST", "/ui/team/app/-/restore", 403),
        ("POST", "/ui/-/collections/run", 404),
    ] {
        let call = site.call(method, path).header("authorization", &dave);
        let answer = call.header("origin", "http://registry.example").body(token.clone()).send().await;
        let page = String::from_utf8(answer.expect(status).body.to_vec()).unwrap();
        // That the repository exists is no secret of one who may pull from it.
        assert_eq!(page.contains("You do not have the right to do this."), status == 403, "{path}: {page}");
    }
    let events = site.recorded_of(&["denied"], 4).await;
    let shown: Vec<_> = events.iter().map(|event| format!("{} {}", event["user"], event["scope"])).collect();
    let scopes = [
        "repository:secret/plan:pull",
        "repository:team/app:delete",
        "repository:team/app:push",
        "collections",
    ];
    assert_eq!(shown, scopes.map(|scope| format!("\"dave\" \"{scope}\"")));
}

#[tokio::test]
async fn a_form_of_a_session_that_ended_leads_to_the_login() {
    let site = site().await;
    let session = site.session("carol", "carol-password").await.unwrap();
    let page = site.call("GET", "/ui/-/collections").header("accept", "text/html");
    let page = page.header("cookie", &session).send().await.expect(200);
    for (path, next) in [
        ("/ui/-/collections/run", "/ui/-/collections"),
        ("/ui/-/logout", "/ui/"),
        ("/ui/-/preferences", "/ui/"),
    ] {
        let token = form_token(&page, path);
        // A browser forgets the cookie of a session that is over, and keeps another that a registry does not know.
        for cookie in ["", "sampan=over"] {
            let send = async |from: &str| {
                let call = site.call("POST", path).header("accept", "text/html").header("cookie", cookie);
                let call = call.header("sec-fetch-site", from);
                call.body(format!("token={token}&mode=preview&theme=dark")).send().await
            };
            let answer = send("same-origin").await.expect(401);
            assert!(!answer.has_header("set-cookie"), "{path}: {answer:?}");
            let answer = String::from_utf8(answer.body.to_vec()).unwrap();
            assert!(answer.contains(&format!(r#"name="next" value="{next}""#)), "{path}: {answer}");
            send("cross-site").await.expect(403);
        }
    }
    // A session that continues is not asked for a login.
    let call = site.call("POST", "/ui/-/logout").header("cookie", &session);
    call.header("sec-fetch-site", "same-origin").body("token=none").send().await.expect(403);
}

#[tokio::test]
async fn a_visitor_by_certificate_may_log_in_and_has_no_session_to_end() {
    let certificates = vec![CertificateName::Cn];
    let site = Fixture::with(Plan { certificates, ..Plan::default() }).await;
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "carol");
    let leaf = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec();
    let client_certificate = Some(ClientCertificate { leaf: leaf.into(), is_verified: true });
    let call = site.call("GET", "/ui/").header("accept", "text/html");
    let peer = Peer { address: PeerAddress::Unix, scheme: Scheme::Https, client_certificate };
    let page = call.extension(peer).send().await.expect(200);
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(page.contains("Logged in as carol"), "{page}");
    assert!(!page.contains("Log out") && page.contains("/ui/-/login?next="), "{page}");
    // A session can be ended.
    let session = site.session("carol", "carol-password").await.unwrap();
    let call = site.call("GET", "/ui/").header("accept", "text/html").header("cookie", &session);
    let page = String::from_utf8(call.send().await.expect(200).body.to_vec()).unwrap();
    assert!(page.contains("Log out") && !page.contains("/ui/-/login?next="), "{page}");
}
