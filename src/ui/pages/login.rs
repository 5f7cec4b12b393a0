//! Login and logout.

use std::time::SystemTime;

use askama::Template;
use http::{Method, StatusCode};
use sampan_engine::oci::Reference;

use crate::frame::Frame;
use crate::gate::{Refusal, Visitor};
use crate::pages::{Problem, add_retry_after, refused};
use crate::reply::{self, Reply};
use crate::route::Route;
use crate::ui::PageContext;
use crate::visit::session_cookie;

/// The longest user and password that are compared, in bytes.
const MAX_BYTES: usize = 4096;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    f: Frame,
    action: String,
    token: String,
    next: String,
    user: String,
    message: Option<String>,
    is_mistake: bool,
}

/// The empty form.
pub(crate) fn form(scene: &PageContext<'_>, visitor: Option<&Visitor>) -> Reply {
    page(scene, visitor, StatusCode::OK, None, false)
}

/// The form instead of a page that needs a login.
pub(crate) fn needed(scene: &PageContext<'_>) -> Reply {
    page(scene, None, StatusCode::UNAUTHORIZED, Some(scene.visit.language.session_over()), false)
}

/// Checks the form, and begins a session.
pub(crate) async fn log_in(scene: &PageContext<'_>) -> Result<Reply, Problem> {
    let t = scene.visit.language;
    let field = |name| scene.visit.form.get(name).unwrap_or_default();
    let (user, password) = (field("user"), field("password"));
    if user.is_empty() || password.is_empty() {
        return Ok(page(scene, None, StatusCode::UNPROCESSABLE_ENTITY, Some(t.login_needs_both()), true));
    }
    if user.len() > MAX_BYTES || password.len() > MAX_BYTES {
        return Ok(page(scene, None, StatusCode::UNAUTHORIZED, Some(t.wrong_login()), true));
    }
    let login = match scene.gate().log_in(&scene.visit.parts, user, password).await {
        Ok(login) => login,
        Err(Refusal::Unavailable) if !scene.visit.wants_html() => {
            return Err(Problem::Refused(Refusal::Unavailable));
        }
        Err(refusal) => {
            // A form that was filled in is not missing.
            let refusal = if refusal == Refusal::LoginNeeded { Refusal::Wrong } else { refusal };
            let (status, message) = refused(t, &refusal);
            let mut reply = page(scene, None, status, Some(message), true);
            add_retry_after(&mut reply, &refusal);
            return Ok(reply);
        }
    };
    let lifetime = scene.settings().session;
    let value = scene.key().seal(&login, SystemTime::now(), lifetime);
    let mut reply = reply::see_other(&next(scene));
    let secure = scene.visit.is_secure;
    reply::set_cookie(&mut reply, session_cookie(secure), &value, lifetime.as_secs(), secure);
    Ok(reply)
}

/// Forgets the session.
pub(crate) fn log_out(scene: &PageContext<'_>) -> Reply {
    let mut reply = reply::see_other(&format!("{}{}", scene.settings().base, Route::Repositories));
    let secure = scene.visit.is_secure;
    reply::set_cookie(&mut reply, session_cookie(secure), "", 0, secure);
    reply
}

/// Where a form leads to: a path below the page's base, else the first page.
pub(crate) fn next(scene: &PageContext<'_>) -> String {
    let base = &scene.settings().base;
    let field = scene.visit.form.get("next").or_else(|| scene.visit.query.get("next"));
    let next = field.filter(|next| is_below(next, base));
    next.map_or_else(|| format!("{base}/"), str::to_owned)
}

/// Whether a path cannot lead to another host, nor out of the page: browsers read `..` and `%2e%2e` alike (WHATWG URL, 4.4).
fn is_below(path: &str, base: &str) -> bool {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') && path.len() <= 2048;
    if !is_plain
        || path.starts_with("//")
        || !path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'))
    {
        return false;
    }
    let read = url::Url::parse(&format!("http://host{path}"));
    read.is_ok_and(|url| Some(url.path()) == path.split(['?', '#']).next())
}

/// The page of the form that the visitor sent: the same as its place, unless that is for forms alone.
fn page_of_form(scene: &PageContext<'_>) -> Route {
    match &scene.place {
        Route::Delete(name) => {
            let mut targets = scene.visit.form.all("target");
            let only = targets.next().filter(|_| targets.next().is_none());
            let tag = only.and_then(|target| target.split('@').next()?.parse().ok());
            let image = tag.map(|tag| Route::Image(name.clone(), Reference::Tag(tag)));
            image.unwrap_or_else(|| Route::Tags(name.clone()))
        }
        Route::Collect => Route::Collections,
        place => place.clone(),
    }
}

fn page(
    scene: &PageContext<'_>,
    visitor: Option<&Visitor>,
    status: StatusCode,
    message: Option<String>,
    is_mistake: bool,
) -> Reply {
    let f = scene.frame(visitor).titled(scene.visit.language.log_in());
    // After the login the visitor is where they wanted to be.
    let wanted = match scene.place {
        Route::Login | Route::Logout | Route::Preferences => next(scene),
        _ if scene.visit.parts.method == Method::POST => f.to(&page_of_form(scene)),
        _ => f.here.clone(),
    };
    let page = LoginPage {
        action: f.to(&Route::Login),
        token: scene.token(&Route::Login),
        next: wanted,
        user: scene.visit.form.get("user").unwrap_or_default().chars().take(256).collect(),
        message,
        is_mistake,
        f,
    };
    reply::page(status, &page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_nowhere_else() {
        for path in ["/ui/", "/ui/a/-/tags?q=1&sort=name", "/ui/-/storage", "/ui/?q=/../", "/ui/?q=%2e%2e"] {
            assert!(is_below(path, "/ui"), "{path}");
        }
        for path in [
            "",
            "/",
            "/ui",
            "/uix/",
            "//evil/ui/",
            "https://evil/ui/",
            "/ui/../v2/",
            "/ui/..",
            "/ui/%2e%2e/v2/",
            "/ui/.%2E?a=/ui/",
            "/ui/./",
            "/ui/\\evil",
            "/ui/\r\nSet-Cookie: a=b",
            "ui/",
            "/ui/香港",
        ] {
            assert!(!is_below(path, "/ui"), "{path}");
        }
        assert!(!is_below("//evil", ""));
    }
}
