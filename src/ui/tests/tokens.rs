//! The visitor's own access tokens.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::request::Parts;
use http::{Request, StatusCode};
use parking_lot::Mutex;
use sampan_engine::Error;

use super::store::{Page, Store, text_of};
use crate::{AccessTokens, CannotCreateToken, NewSecret, TokenField, TokenForm, VisitorToken};

const TOKENS: &str = "/ui/-/tokens";

/// Tokens in memory, each with its user.
#[derive(Debug, Default)]
struct InMemory(Mutex<Vec<(String, VisitorToken)>>);

#[async_trait]
impl AccessTokens for InMemory {
    fn longest(&self) -> Option<Duration> {
        Some(Duration::from_secs(30 * 86_400))
    }

    async fn list(&self, user: &str) -> Result<Vec<VisitorToken>, Error> {
        let all = self.0.lock();
        Ok(all.iter().filter(|(owner, _)| owner == user).map(|(_, token)| token.clone()).collect())
    }

    async fn create(&self, _: &Parts, user: &str, form: TokenForm) -> Result<NewSecret, CannotCreateToken> {
        let mut all = self.0.lock();
        match form.name.as_str() {
            "taken" => return Err(CannotCreateToken::Taken("ann/<taken>".to_owned())),
            "many" => return Err(CannotCreateToken::TooMany(100)),
            "odd" => {
                let reason = "<b>odd</b>".to_owned();
                return Err(CannotCreateToken::Invalid { field: TokenField::Expires, reason });
            }
            _ => {}
        }
        let name = format!("{user}/{}", form.name);
        let id = format!("id{}", all.len());
        all.push((
            user.to_owned(),
            VisitorToken {
                id,
                name: name.clone(),
                note: form.note,
                may: form.may,
                on: form.on,
                except: form.except,
                created: Some(SystemTime::UNIX_EPOCH),
                ends: None,
                has_ended: false,
                last_use: None,
            },
        ));
        Ok(NewSecret { name, secret: "spn_secret".to_owned() })
    }

    async fn revoke(&self, _: &Parts, user: &str, id: &str) -> Result<Option<String>, Error> {
        let mut all = self.0.lock();
        let at = all.iter().position(|(owner, token)| owner == user && token.id == id);
        Ok(at.map(|at| all.remove(at).1.name))
    }
}

struct Site {
    store: Store,
    tokens: Arc<InMemory>,
}

impl Site {
    fn new() -> Self {
        let (mut store, tokens) = (Store::with_users(), Arc::new(InMemory::default()));
        store.ui = store.ui.with_access_tokens(Arc::clone(&tokens) as _);
        Self { store, tokens }
    }

    async fn log_in(&self, user: &str) -> String {
        const LOGIN: &str = "/ui/-/login";
        let token = self.store.get(LOGIN).await.token(LOGIN);
        let form = [("token", token.as_str()), ("user", user), ("password", "secret")];
        self.store.post(LOGIN, "", &form).await.cookie()
    }

    async fn get(&self, path: &str, cookie: &str) -> Page {
        self.store.send(Request::get(path).header("cookie", cookie)).await
    }

    /// Sends the form of a new token, with its own token.
    async fn create(&self, cookie: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.get(TOKENS, cookie).await.token(TOKENS);
        let form: Vec<_> = [("token", token.as_str())].into_iter().chain(fields.iter().copied()).collect();
        self.store.post(TOKENS, cookie, &form).await
    }
}

const FORM: [(&str, &str); 6] = [
    ("name", "ci"),
    ("may", "push,delete"),
    ("on", " team/app  team/web "),
    ("except", "team/x"),
    ("expires", "12h"),
    ("note", "<b>nightly</b>"),
];

#[tokio::test]
async fn a_secret_is_shown_once_and_revoked_after_a_question() {
    let site = Site::new();
    let ann = site.log_in("ann").await;
    let empty = site.get(TOKENS, &ann).await;
    assert!(empty.text.contains("You have no token yet."), "{}", empty.text);
    assert!(empty.text.contains(r#"<a href="/ui/-/tokens" aria-current="true">Access tokens</a>"#));
    // The usual time is longer than the longest.
    assert!(empty.text.contains(r#"value="30d""#) && empty.text.contains("At most 30 d."), "{}", empty.text);

    let created = site.create(&ann, &FORM).await;
    assert_eq!((created.status, created.header("cache-control")), (StatusCode::CREATED, "no-store"));
    assert!(created.text.contains("<code>spn_secret</code>"), "{}", created.text);
    assert!(created.text.contains("docker login -u ann/ci reg.test:5000"), "{}", created.text);
    let list = site.get(TOKENS, &ann).await;
    assert!(!list.text.contains("spn_secret") && !list.text.contains("<b>"), "{}", list.text);
    let row = &list.rows()[0];
    assert_eq!(row[0], "ann/ci &#60;b&#62;nightly&#60;/b&#62;");
    assert_eq!(row[1], "push, delete: team/app team/web Except: team/x");
    assert_eq!((row[3].as_str(), row[4].as_str()), ("never", "not yet"));

    let question = site.get("/ui/-/tokens?revoke=id0", &ann).await;
    assert!(question.text.contains("Revoke ann/ci?"), "{}", question.text);
    assert_eq!(site.tokens.0.lock().len(), 1);
    let form = [("token", &*question.token(TOKENS)), ("revoke", "id0")];
    let revoked = site.store.post(TOKENS, &ann, &form).await;
    assert!(revoked.text.contains("ann/ci is revoked."), "{}", revoked.text);
    assert!(site.tokens.0.lock().is_empty());
    let again = site.store.post(TOKENS, &ann, &form).await;
    assert!(again.text.contains("This token no longer exists."), "{}", again.text);
}

#[tokio::test]
async fn a_token_is_its_users_alone() {
    let site = Site::new();
    let (ann, bob) = (site.log_in("ann").await, site.log_in("bob").await);
    site.create(&ann, &FORM).await;
    assert!(!site.get(TOKENS, &bob).await.text.contains("ann/ci"));
    assert_eq!(site.get("/ui/-/tokens?revoke=id0", &bob).await.status, StatusCode::NOT_FOUND);
    site.create(&bob, &[("revoke", "id0")]).await;
    assert_eq!(site.tokens.0.lock().len(), 1);
    let request = Request::get(TOKENS).header("cookie", &ann).header("accept", "application/json");
    let json = site.store.send(request).await;
    assert!(text_of(&json.text).contains(r#""name":"ann/ci""#), "{}", json.text);
}

#[tokio::test]
async fn only_a_password_makes_tokens() {
    let site = Site::new();
    let robot = site.log_in("robot").await;
    let home = site.get("/ui/", &robot).await;
    assert!(home.text.contains("Logged in as robot") && !home.text.contains("Access tokens"));
    let refused = site.get(TOKENS, &robot).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("Only a login by password can see or make tokens."), "{}", refused.text);
    assert_eq!(site.get(TOKENS, "").await.status, StatusCode::UNAUTHORIZED);
    // The form's token of a session by a password is not that of a session by a token.
    let ann = site.log_in("ann").await;
    let token = site.get(TOKENS, &ann).await.token(TOKENS);
    let form: Vec<_> = [("token", token.as_str())].into_iter().chain(FORM).collect();
    assert_eq!(site.store.post(TOKENS, &robot, &form).await.status, StatusCode::FORBIDDEN);
    assert_eq!(site.store.post(TOKENS, "", &form).await.status, StatusCode::UNAUTHORIZED);
    let elsewhere = Request::post(TOKENS).header("sec-fetch-site", "cross-site").header("cookie", &ann);
    assert_eq!(site.store.send_with(elsewhere, &form).await.status, StatusCode::FORBIDDEN);
    assert!(site.tokens.0.lock().is_empty());

    let without = Store::open();
    assert_eq!(without.get(TOKENS).await.status, StatusCode::NOT_FOUND);
    assert!(!without.get("/ui/").await.text.contains("Access tokens"));
}

#[tokio::test]
async fn a_refused_form_keeps_its_fields_and_says_why() {
    let site = Site::new();
    let ann = site.log_in("ann").await;
    for (name, status, sentence) in [
        ("taken", StatusCode::CONFLICT, "There is a user or token ann/&#60;taken&#62; already."),
        ("many", StatusCode::CONFLICT, "You have 100 tokens, the most that a user may have."),
        ("odd", StatusCode::UNPROCESSABLE_ENTITY, "&#60;b&#62;odd&#60;/b&#62;"),
    ] {
        let form: Vec<_> = [("name", name)].into_iter().chain(FORM.into_iter().skip(1)).collect();
        let page = site.create(&ann, &form).await;
        assert_eq!(page.status, status, "{name}");
        assert!(
            page.text.contains(sentence) && page.text.contains("role=\"alert\""),
            "{name}: {}",
            page.text
        );
        for field in [
            r#"value="team/app  team/web""#,
            r#"<option value="push,delete" selected>"#,
            "&#60;b&#62;nightly&#60;/b&#62;",
            r#"value="12h""#,
        ] {
            assert!(page.text.contains(field), "{field}: {}", page.text);
        }
    }
    let odd = site.create(&ann, &[("name", "odd")]).await;
    assert!(odd.text.contains("such as 12h or 90d, and at most 30 d."), "{}", odd.text);
}

#[tokio::test]
async fn a_read_only_registry_shows_tokens_and_changes_none() {
    let site = Site::new();
    let ann = site.log_in("ann").await;
    site.create(&ann, &FORM).await;
    let token = site.get(TOKENS, &ann).await.token(TOKENS);
    site.store.registry.set_read_only(true);
    let page = site.get(TOKENS, &ann).await;
    assert!(page.text.contains("ann/ci") && !page.text.contains("name=\"on\""), "{}", page.text);
    for form in [[("token", token.as_str()), ("revoke", "id0")], [("token", &token), ("name", "b")]] {
        let refused = site.store.post(TOKENS, &ann, &form).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert!(refused.text.contains("The registry is read-only."), "{}", refused.text);
    }
    assert_eq!(site.tokens.0.lock().len(), 1);
}
