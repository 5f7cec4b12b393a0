//! Sessions, forms and preferences.

use http::{Request, StatusCode};

use super::store::Store;

const LOGIN: &str = "/ui/-/login";

async fn logged_in(store: &Store) -> String {
    let form = store.get(LOGIN).await;
    let token = form.token(LOGIN);
    let page = store.post(LOGIN, "", &[("token", &token), ("user", "ann"), ("password", "secret")]).await;
    assert_eq!((page.status, page.header("location")), (StatusCode::SEE_OTHER, "/ui/"));
    let set = page.header("set-cookie");
    assert!(
        set.starts_with("sampan=")
            && set.contains("; HttpOnly; SameSite=Lax")
            && set.contains("Max-Age=28800"),
        "{set}"
    );
    page.cookie()
}

async fn store() -> Store {
    let store = Store::with_users();
    store.image("team/app", Some("v1"), &serde_json::json!({}), &["layer"]).await;
    store.image("public", Some("v1"), &serde_json::json!({}), &["layer"]).await;
    store
}

#[tokio::test]
async fn a_login_that_cannot_be_checked_is_answered_by_a_page_or_json() {
    let store = Store::with_users();
    let token = store.get("/ui/-/login").await.token("/ui/-/login");
    let form = [("token", &*token), ("user", "away"), ("password", "x")];
    let send = async |accept: &str| {
        let request = Request::post("/ui/-/login").header("sec-fetch-site", "same-origin");
        store.send_with(request.header("accept", accept), &form).await
    };
    let page = send("text/html").await;
    assert_eq!(
        (page.status, page.header("content-type")),
        (StatusCode::SERVICE_UNAVAILABLE, "text/html; charset=utf-8")
    );
    assert!(page.text.contains("Logins cannot be checked") && page.text.contains("away"), "{}", page.text);
    let json = send("*/*").await;
    assert_eq!(
        (json.status, json.header("content-type")),
        (StatusCode::SERVICE_UNAVAILABLE, "application/json")
    );
    assert!(json.text.contains("logins cannot be checked"), "{}", json.text);
}

#[tokio::test]
async fn a_login_shows_what_the_user_may_see() {
    let store = store().await;
    assert_eq!(store.get("/ui/").await.rows(), [["public"]]);
    let hidden = store.get("/ui/team/app/-/tags").await;
    let missing = store.get("/ui/team/none/-/tags").await;
    assert_eq!((hidden.status, missing.status), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    let alike = hidden.text.replace("team/app", "team/none").replace("team%2Fapp", "team%2Fnone");
    assert_eq!(alike, missing.text);
    assert!(hidden.text.contains(r#"name="next" value="/ui/team/app/-/tags""#), "{}", hidden.text);

    let cookie = logged_in(&store).await;
    let list = store.send(Request::get("/ui/").header("cookie", &cookie)).await;
    assert_eq!(list.rows(), [["public"], ["team / app"]]);
    assert!(list.text.contains("Logged in as ann"));
    // What a user may not see is not there, with the same words.
    let other = store.send(Request::get("/ui/other/-/tags").header("cookie", &cookie)).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);

    let out = store.post("/ui/-/logout", &cookie, &[("token", &list.token("/ui/-/logout"))]).await;
    assert_eq!((out.status, out.cookie().as_str()), (StatusCode::SEE_OTHER, "sampan="));
}

#[tokio::test]
async fn a_wrong_login_says_so_and_keeps_the_user() {
    let store = store().await;
    let token = store.get(LOGIN).await.token(LOGIN);
    let page = store
        .post(LOGIN, "", &[("token", &token), ("user", "<ann>"), ("password", "x"), ("next", "/ui/a")])
        .await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    for part in [
        "Unknown user or wrong password.",
        "role=\"alert\"",
        "aria-invalid=\"true\"",
        "value=\"/ui/a\"",
        "&#60;ann&#62;",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(page.headers.get("set-cookie").is_none());
    let busy = store.post(LOGIN, "", &[("token", &token), ("user", "busy"), ("password", "x")]).await;
    assert_eq!((busy.status, busy.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "7"));
    let half = store.post(LOGIN, "", &[("token", &token), ("user", "ann")]).await;
    assert_eq!(half.status, StatusCode::UNPROCESSABLE_ENTITY);
    let long = "x".repeat(1 << 16);
    let long = store.post(LOGIN, "", &[("token", &token), ("user", "ann"), ("password", &long)]).await;
    assert_eq!(long.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_ends_with_its_password() {
    let store = store().await;
    let token = store.get(LOGIN).await.token(LOGIN);
    let old = store.post(LOGIN, "", &[("token", &token), ("user", "old"), ("password", "x")]).await.cookie();
    let page = store.send(Request::get("/ui/").header("cookie", &old)).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.text.contains(r#"name="password""#), "the form for a login");
}

#[tokio::test]
async fn a_form_from_elsewhere_changes_nothing() {
    let store = store().await;
    let cookie = logged_in(&store).await;
    let token = store.send(Request::get("/ui/").header("cookie", &cookie)).await.token("/ui/-/logout");
    let form = [("token", token.as_str())];
    let own = store.get("/ui/").await.token("/ui/-/preferences");
    for (what, request, form) in [
        ("another site", Request::post("/ui/-/logout").header("sec-fetch-site", "cross-site"), &form[..]),
        (
            "another host of the domain",
            Request::post("/ui/-/logout").header("sec-fetch-site", "same-site"),
            &form,
        ),
        ("an address that was typed", Request::post("/ui/-/logout").header("sec-fetch-site", "none"), &form),
        ("another origin", Request::post("/ui/-/logout").header("origin", "https://evil.test"), &form),
        ("another port", Request::post("/ui/-/logout").header("origin", "http://reg.test:5001"), &form),
        ("an origin of null", Request::post("/ui/-/logout").header("origin", "null"), &form),
        ("no origin", Request::post("/ui/-/logout"), &form),
        ("no token", Request::post("/ui/-/logout").header("sec-fetch-site", "same-origin"), &[]),
        (
            "a token without a session",
            Request::post("/ui/-/logout").header("sec-fetch-site", "same-origin"),
            &[("token", own.as_str())],
        ),
    ] {
        let page = store.send_with(request.header("cookie", &cookie), form).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{what}");
        assert!(page.headers.get("set-cookie").is_none(), "{what}");
    }
    // An older browser says only where it comes from.
    let request =
        Request::post("/ui/-/logout").header("origin", "http://reg.test:5000").header("cookie", &cookie);
    assert_eq!(store.send_with(request, &form).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_visitor_chooses_language_and_theme() {
    let store = Store::open();
    let chinese = store.send(Request::get("/ui/").header("accept-language", "zh-HK,en;q=0.5")).await;
    assert!(chinese.text.contains(r#"<html lang="zh-Hant-HK" data-theme="auto">"#), "{}", chinese.text);
    let token = store.get("/ui/").await.token("/ui/-/preferences");
    let form = [("token", token.as_str()), ("language", "zh-Hant"), ("theme", "dark"), ("next", "/ui/?q=a")];
    let kept = store.post("/ui/-/preferences", "", &form).await;
    assert_eq!((kept.status, kept.header("location")), (StatusCode::SEE_OTHER, "/ui/?q=a"));
    let page = store
        .send(Request::get("/ui/").header("cookie", kept.cookie()).header("accept-language", "en"))
        .await;
    assert!(
        page.text.contains(r#"<html lang="zh-Hant-HK" data-theme="dark">"#) && page.text.contains("儲存庫"),
        "{}",
        page.text
    );
    let elsewhere = [("token", token.as_str()), ("next", "//evil.test/ui/")];
    assert_eq!(store.post("/ui/-/preferences", "", &elsewhere).await.header("location"), "/ui/");
}
