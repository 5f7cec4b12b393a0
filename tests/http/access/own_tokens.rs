//! A user's own access tokens, from the page's form to a pull.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sampan::auth::OwnTokens;
use sampan::http::{HttpServices, PageGate, PageSlot};
use sampan_driver::DriverConfig;
use sampan_driver_filesystem::FilesystemConfig;
use sampan_engine::Registry;
use sampan_ui::{SessionKey, Ui, UiSettings};
use serde_json::Value;

use super::{Fixture, Plan, basic, user};
use crate::support::failing_driver::Misbehaviour;
use crate::support::{Answer, FailingDriver, Server, Setup};

const TOKENS: &str = "/ui/-/tokens";

/// A site with the page.
async fn site() -> Fixture {
    site_of(Plan::default()).await
}

async fn site_of(plan: Plan) -> Fixture {
    let mut site = Fixture::with(plan).await;
    let driver = site.server.driver();
    let registry = Registry::builder(driver.clone()).build();
    let gate = Arc::new(PageGate::Rules(site.guard.clone()));
    let ui = Ui::new(registry.clone(), gate, UiSettings::default(), SessionKey::derived_from(b"test"));
    let longest = Duration::from_secs(30 * 86_400);
    let tokens = OwnTokens::new(site.guard.clone(), registry, longest);
    let page = PageSlot::new(Some(ui.with_access_tokens(Arc::new(tokens))));
    let services = HttpServices { guard: Some(site.guard.clone()), page, ..HttpServices::default() };
    let access = site.guard.clone();
    site.server = Server::with(Setup { access, services, driver, ..Setup::default() });
    site
}

/// Sends a form of the page with Basic credentials, as a script can.
async fn send(site: &Fixture, authorization: &str, fields: &[(&str, &str)]) -> Answer {
    let page = text(&site.get(TOKENS, Some(authorization)).await);
    let form = page.split(&format!("action=\"{TOKENS}\"")).nth(1).unwrap_or_default();
    let token = form.split("name=\"token\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let mut body = url::form_urlencoded::Serializer::new(String::new());
    body.append_pair("token", token.unwrap_or_default()).extend_pairs(fields);
    let call = site.call("POST", TOKENS).header("authorization", authorization);
    call.header("sec-fetch-site", "same-origin").body(body.finish()).send().await
}

fn form<'a>(name: &'a str, on: &'a str) -> [(&'static str, &'a str); 4] {
    [("name", name), ("may", "push,delete"), ("on", on), ("expires", "1d")]
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// The secret on a page.
fn secret(page: &str) -> String {
    let rest = page.split("<code>spn_").nth(1).unwrap_or_else(|| panic!("no secret: {page}"));
    format!("spn_{}", rest.split('<').next().unwrap())
}

#[tokio::test]
async fn a_users_token_does_what_its_user_may_until_it_is_revoked() {
    let site = site().await;
    let alice = user("alice");
    let created = send(&site, &alice, &form("ci", "**")).await;
    assert_eq!(
        (created.status.as_u16(), &created.headers["cache-control"]),
        (201, &"no-store".parse().unwrap())
    );
    let ci = basic("alice/ci", &secret(&text(&created)));
    assert_eq!(site.push("team/app", &ci).await, 201);
    // Alice may not delete, so the token may not, whatever it says.
    assert_eq!(site.delete("team/app", &ci).await, 403);
    assert_eq!(site.push("home/bob/x", &ci).await, 403);

    // A token makes no tokens, and another user does not see it.
    let refused = send(&site, &ci, &form("more", "**")).await;
    assert_eq!(refused.status, 403);
    assert!(!text(&site.get(TOKENS, Some(&user("bob"))).await).contains("alice/ci"));
    let id = secret(&text(&created)).split('_').nth(1).unwrap().to_owned();
    send(&site, &user("bob"), &[("revoke", &id)]).await;
    assert_eq!(site.push("team/app", &ci).await, 201);

    let revoked = send(&site, &alice, &[("revoke", &id)]).await;
    assert!(text(&revoked).contains("alice/ci is revoked."));
    // This registry knows it at once.
    assert_eq!(site.push("team/app", &ci).await, 401);
    let names = ["token created", "token revoked"];
    let changes = site.recorded_of(&names, 2).await;
    let text = |event: &Value, key: &str| event[key].as_str().unwrap().to_owned();
    let changes: Vec<[String; 3]> =
        changes.iter().map(|event| ["event", "user", "name"].map(|key| text(event, key))).collect();
    assert_eq!(changes, [["token created", "alice", "alice/ci"], ["token revoked", "alice", "alice/ci"]]);
}

#[tokio::test]
async fn a_token_is_recorded_although_its_client_leaves() {
    let driver = FailingDriver::new();
    let site = site_of(Plan { driver: Arc::new(driver.clone()), ..Plan::default() }).await;
    driver.be(Misbehaviour::HoldsPuts);
    let (alice, form) = (user("alice"), form("ci", "**"));
    let events = tokio::select! {
        answer = send(&site, &alice, &form) => panic!("{answer:?}"),
        events = site.recorded_of(&["token created"], 1) => events,
    };
    assert_eq!((&events[0]["user"], &events[0]["name"]), (&"alice".into(), &"alice/ci".into()));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_other_token() {
    let folder = tempfile::tempdir().unwrap();
    let config = serde_json::json!({ "rootdirectory": folder.path() });
    let config: FilesystemConfig = serde_json::from_value(config).unwrap();
    let driver = config.build().await.unwrap();
    let site = site_of(Plan { driver, ..Plan::default() }).await;
    let alice = user("alice");
    let created = send(&site, &alice, &form("odd", "**")).await;
    let id = secret(&text(&created)).split('_').nth(1).unwrap().to_owned();
    send(&site, &alice, &form("ci", "**")).await.expect(201);
    let record = folder.path().join(format!("docker/registry/sampan/access/tokens/{id}/record"));
    std::fs::remove_file(&record).unwrap();
    std::os::unix::fs::symlink("record", &record).unwrap();
    // A registry that remembers nothing of it.
    let site = site_of(Plan { driver: site.server.driver(), ..Plan::default() }).await;
    for visitor in ["alice", "bob"] {
        let page = text(&site.get(TOKENS, Some(&user(visitor))).await.expect(200));
        assert!(!page.contains("alice/odd"), "{page}");
        assert_eq!(page.contains("alice/ci"), visitor == "alice", "{page}");
    }
    send(&site, &alice, &form("next", "**")).await.expect(201);
}

#[tokio::test]
async fn a_token_ends_with_its_user() {
    let site = site().await;
    let created = send(&site, &user("alice"), &form("ci", "**")).await;
    let ci = basic("alice/ci", &secret(&text(&created)));
    let (bearer, _) = site.token(Some(&ci), &["repository:team/app:pull,push"]).await;
    assert_eq!((site.push("team/app", &ci).await, site.push("team/app", &bearer).await), (201, 201));
    let path = site.folder.path().join("htpasswd");
    let others: Vec<String> = std::fs::read_to_string(&path)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with("alice:"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&path, others.concat()).unwrap();
    site.guard.passwords().unwrap().reload().await.unwrap();
    assert_eq!((site.push("team/app", &ci).await, site.push("team/app", &bearer).await), (401, 401));
    let examined = site.guard.examine(&secret(&text(&created))).await;
    assert_eq!(examined.refusal.as_deref(), Some("the password file does not have its user alice"));
}

#[tokio::test]
async fn a_form_that_makes_no_token_says_why() {
    let site = site().await;
    let alice = user("alice");
    for (fields, status, reason) in [
        (form("", "**"), 422, "the name must have"),
        (form("a:b", "**"), 422, "no `:`"),
        (form("ci", "Team/**"), 422, "Team"),
        (form("ci", ""), 422, "at least one permission"),
        (form("ci", "home/${user}/**"), 422, "write the name"),
        ([("name", "ci"), ("may", "fly"), ("on", "**"), ("expires", "1d")], 422, "fly"),
        ([("name", "ci"), ("may", "pull"), ("on", "**"), ("expires", "31d")], 422, "access.tokens.longest"),
        ([("name", "ci"), ("may", "pull"), ("on", "**"), ("expires", "never")], 422, "access.tokens.longest"),
    ] {
        let answer = send(&site, &alice, &fields).await;
        let (got, page) = (answer.status, text(&answer));
        assert!(got == status && page.contains(reason), "{fields:?}: {got} {page}");
    }
    let many: String = (0..1000).map(|number| format!("team-team-{number}/** ")).collect();
    let large = send(&site, &alice, &form("ci", &many)).await;
    assert!(large.status == 422 && text(&large).contains("use fewer patterns"));
    let many: String = (0..1025).map(|number| format!("t{number} ")).collect();
    let many = send(&site, &alice, &form("ci", &many)).await;
    assert!(many.status == 422 && text(&many).contains("1025 alternatives"));
    assert_eq!(send(&site, &alice, &form("ci", "**")).await.status, 201);
    assert_eq!(send(&site, &alice, &form("ci", "**")).await.status, 409);
}

#[tokio::test]
async fn tokens_that_have_ended_count_for_nothing_and_are_removed_after_a_month() {
    let site = site().await;
    let registry = Registry::builder(site.server.driver()).build();
    let ago = |days: u32| Some(SystemTime::now() - Duration::from_secs(86_400) * days);
    for _ in 0..100 {
        site.token_named("alice/ci", "pull", "**", Some("alice"), ago(1)).await;
    }
    let old = site.token_named("alice/old", "pull", "**", Some("alice"), ago(31)).await;
    let bobs = site.token_named("bob/old", "pull", "**", Some("bob"), ago(31)).await;
    assert_eq!(send(&site, &user("alice"), &form("ci", "**")).await.status, 201);
    let ids = registry.access_tokens().await.unwrap();
    assert_eq!((ids.len(), ids.contains(&old.id()), ids.contains(&bobs.id())), (102, false, true));
    assert_eq!(send(&site, &user("alice"), &form("ci", "**")).await.status, 409);
}

#[tokio::test]
async fn a_user_has_a_hundred_tokens_at_most() {
    let site = site().await;
    let registry = Registry::builder(site.server.driver()).build();
    for _ in 0..99 {
        site.access_token("pull", "**", Some("alice")).await;
    }
    let alice = user("alice");
    let (one, two) = (form("one", "**"), form("two", "**"));
    let (one, two) = tokio::join!(send(&site, &alice, &one), send(&site, &alice, &two));
    let mut answers = [one.status.as_u16(), two.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [201, 409]);
    assert_eq!(registry.access_tokens().await.unwrap().len(), 100);
    assert_eq!(send(&site, &user("bob"), &form("one", "**")).await.status, 201);
}
