//! What the rules give, and what the answers to others say.

use super::*;

#[tokio::test]
async fn the_first_answer_is_a_challenge_that_every_client_can_read() {
    let site = Fixture::new().await;
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
    let site = Fixture::new().await;
    site.push("public/a", &user("carol")).await;
    site.push("team/app", &user("carol")).await;
    let (token, scope) =
        site.token(None, &["repository:public/a:pull,push", "repository:team/app:pull"]).await;
    assert_eq!(scope, "repository:public/a:pull");
    let blob = |name: &str| format!("/v2/{name}/blobs/{EMPTY}");
    site.get(&blob("public/a"), Some(&token)).await.expect(200);
    site.get(&blob("public/a"), None).await.expect(200);
    // A missing repository answers like one that the client may not see.
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
    let site = Fixture::new().await;
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
    let site = Fixture::new().await;
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
    let site = Fixture::new().await;
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
    // A digest alone is no key to what other repositories have: not by a token, either, that lists them all.
    let path = format!("/v2/team/app/blobs/uploads/?mount={EMPTY}");
    let scopes = ["repository:team/app:pull,push", "registry:catalog:*"];
    let (token, scope) = site.token(Some(&user("carol")), &scopes).await;
    assert_eq!(scope, scopes.join(" "));
    site.call("POST", &path).header("authorization", &token).send().await.expect(202);
    let by_password = site.call("POST", &path).header("authorization", &user("carol"));
    by_password.send().await.expect(201);
    assert_eq!(site.delete("team/app", &user("carol")).await, 202);
    let anywhere = site.call("POST", &path).header("authorization", &user("alice"));
    anywhere.send().await.expect(202);
    assert_eq!(mount("public/a", &user("alice")).await, 201);
    let answer = site.call("POST", &format!("{path}&from=public/a")).send().await.expect(401);
    let scope = r#"scope="repository:team/app:pull,push repository:public/a:pull""#;
    assert!(challenges(&answer)[0].contains(scope), "{:?}", challenges(&answer));
}

#[tokio::test]
async fn the_catalog_lists_what_the_client_may_see() {
    let site = Fixture::new().await;
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

#[tokio::test]
async fn decisions_and_tokens_are_counted() {
    let site = Fixture::new().await;
    let secret = site.access_token("push", "team/**", None).await;
    site.get("/v2/", Some(&user("alice"))).await.expect(200);
    assert_eq!(site.push("team/app", &user("alice")).await, 201);
    assert_eq!(site.push("library/alpine", &user("alice")).await, 403);
    site.get("/v2/team/app/tags/list", None).await.expect(401);
    let (pull, _) = site.token(Some(&user("alice")), &["repository:team/app:pull"]).await;
    assert_eq!(site.push("team/app", &pull).await, 401);
    site.token(None, &["repository:public/a:pull"]).await;
    site.token(Some(&basic("ci", &secret.reveal())), &["repository:team/app:push"]).await;
    site.get("/auth/token", Some(&basic("alice", "wrong"))).await.expect(401);
    assert_eq!(site.push("team/app", "Bearer a.b.c").await, 401);
    let text = |counts: Vec<(&str, u64)>| {
        counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
    };
    let counts = site.guard.counts();
    assert_eq!(text(counts.decisions()), "allowed 1, forbidden 1, login_needed 1, insufficient_scope 1");
    assert_eq!(text(counts.tokens_issued()), "password 1, robot 1, certificate 0, anonymous 1");
    assert_eq!(text(counts.tokens_refused()), "expired 0, revoked 0, not_ours 0, invalid 1");
}

#[tokio::test]
async fn decisions_about_users_are_recorded() {
    let site = Fixture::new().await;
    assert_eq!(site.push("home/dave/x", &user("dave")).await, 201);
    for _ in 0..3 {
        assert_eq!(site.push("team/app", &user("dave")).await, 403);
        site.get("/v2/", Some(&basic("alice", "wrong"))).await.expect(401);
        site.get("/v2/team/app/tags/list", None).await.expect(401);
    }
    site.token(Some(&user("dave")), &["repository:team/app:pull,push"]).await;
    site.token(None, &["repository:public/a:pull"]).await;
    assert_eq!(site.delete("home/dave/x", &user("dave")).await, 202);
    let events = site.recorded(5).await;
    let of = |name: &str| events.iter().find(|event| event["event"] == name).unwrap();
    assert_eq!(of("denied")["user"], "dave");
    assert_eq!(of("denied")["scope"], "repository:team/app:push");
    assert_eq!(of("failed login")["user"], "alice");
    assert_eq!(of("token issued")["granted"], "repository:team/app:pull");
    assert_eq!(of("deletion")["path"], format!("/v2/home/dave/x/blobs/{EMPTY}"));
    assert!(!format!("{events:?}").contains("-password"), "{events:?}");
}

#[tokio::test]
async fn what_a_token_did_is_recorded_with_its_id() {
    let site = Fixture::new().await;
    let secret = site.access_token("*", "team/**", None).await;
    let ci = basic("ci", &secret.reveal());
    assert_eq!(site.push("team/app", &ci).await, 201);
    assert_eq!(site.delete("team/app", &ci).await, 202);
    assert_eq!(site.push("other/app", &ci).await, 403);
    assert_eq!(site.push("team/app", &user("alice")).await, 201);
    assert_eq!(site.delete("team/app", &user("alice")).await, 403);
    let events = site.recorded_of(&["deletion", "denied"], 3).await;
    let id = secret.id().to_string();
    let shown: Vec<_> = events.iter().map(|event| (&event["user"], event["token"].as_str())).collect();
    assert_eq!(
        shown,
        [(&"ci".into(), Some(id.as_str())), (&"ci".into(), Some(id.as_str())), (&"alice".into(), None)]
    );
}

#[tokio::test]
async fn a_secret_in_another_place_than_the_password_is_not_recorded() {
    let site = Fixture::new().await;
    let secret = site.access_token("pull", "**", None).await;
    let text = secret.reveal();
    site.get("/v2/", Some(&basic(&text, "ci"))).await.expect(401);
    site.get("/v2/", Some(&basic(&text, &text))).await.expect(401);
    let asked =
        format!("/auth/token?service=here&client_id=docker-{text}&scope=repository:{text}:pull&scope={text}");
    site.get(&asked, Some(&user("alice"))).await.expect(200);
    let events = site.recorded_of(&["failed login", "token issued"], 2).await;
    let shown = format!("spn_{}_…", secret.id());
    assert_eq!(events[0]["user"], shown.as_str());
    assert_eq!(events[1]["clientId"], format!("docker-{shown}"));
    assert_eq!(events[1]["asked"], format!("repository:{shown}:pull {shown}"));
    assert!(!format!("{events:?}").contains(&text[21..]), "{events:?}");
}

#[tokio::test]
async fn changes_of_rules_are_recorded_with_the_hash_of_their_file() {
    use sha2::{Digest, Sha256};
    let site = Fixture::new().await;
    let path = site.folder.path().join("access.yml");
    let hash = |text: &str| data_encoding::HEXLOWER.encode(&Sha256::digest(text));
    let other = "rules: [{who: users, may: pull, on: '**'}]";
    tokio::time::pause();
    for text in [other, "rules: [", &format!("{other} # as before"), &RULES] {
        std::fs::write(&path, text).unwrap();
        for _ in 0..2 {
            tokio::time::advance(Duration::from_secs(1)).await;
            site.get("/v2/secret/x/tags/list", Some(&user("carol"))).await;
        }
    }
    let events: Vec<Value> = site.recorded(5).await;
    let rules = events.iter().filter(|event| event["event"].as_str().unwrap().starts_with("rules"));
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let shown: Vec<_> = rules
        .map(|event| ["event", "cause", "rules", "before", "after"].map(|key| text(event, key)))
        .collect();
    let line = |event: &str, cause: &str, rules: &str, before: &str, after: &str| {
        [event, cause, rules, before, after].map(str::to_owned)
    };
    let (first, second, third) = (hash(&RULES), hash(other), hash(&format!("{other} # as before")));
    assert_eq!(
        shown,
        [
            line("rules read", "", "5", "", &first),
            line("rules changed", "file", "1", &first, &second),
            line("rules refused", "file", "1", &second, ""),
            line("rules changed", "file", "1", &second, &third),
            line("rules changed", "file", "5", &third, &first),
        ]
    );
    assert_eq!(text(&events[0], "source"), path.display().to_string());
    assert!(events.iter().any(|event| text(event, "error").contains("access.yml:2:1: ")), "{events:?}");
}
