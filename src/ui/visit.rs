//! `Visit`: a request to the page, read once.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_LANGUAGE, COOKIE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};

use super::changes::Changes;
use super::gate::Login;
use super::language::Language;
use super::preferences::Preferences;
use super::query::Query;
use super::session::SessionKey;
use super::settings::UiSettings;

/// A request to the page, with all that the caller knows of it.
pub struct UiRequest<'a> {
    /// The head.
    pub parts: Parts,
    /// The whole body, which the caller has limited.
    pub body: Bytes,
    /// Whether the visitor's browser uses HTTPS.
    pub is_secure: bool,
    /// The id of the request in the log.
    pub id: String,
    /// Hands out repositories that the request changes.
    pub changes: &'a dyn Changes,
}

/// Why the caller does not hand a request to the page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Declined {
    /// The form is larger than [`max_form_bytes`](crate::Ui::max_form_bytes).
    TooLarge,
    /// The address sends too many forms at once.
    TooMany,
    /// A health check of the registry fails.
    Unhealthy,
}

/// A request to the page, read once.
pub(crate) struct Visit<'a> {
    pub(crate) changes: &'a dyn Changes,
    pub(crate) parts: Parts,
    pub(crate) query: Query,
    /// The fields of the form of a `POST`.
    pub(crate) form: Query,
    pub(crate) preferences: Preferences,
    pub(crate) language: Language,
    /// The value of the session's cookie, ours or not.
    pub(crate) cookie: String,
    /// The session, if the cookie is ours and not expired.
    pub(crate) session: Option<Login>,
    pub(crate) is_secure: bool,
    pub(crate) id: String,
}

impl<'a> Visit<'a> {
    pub(crate) fn new(request: UiRequest<'a>, settings: &UiSettings, key: &SessionKey) -> Self {
        let UiRequest { parts, body, is_secure, id, changes } = request;
        let cookie = cookie(&parts.headers, session_cookie(is_secure)).unwrap_or_default().to_owned();
        let preferences =
            self::cookie(&parts.headers, Preferences::COOKIE).map(Preferences::parse).unwrap_or_default();
        let browser = || Language::preferred(text(&parts.headers, &ACCEPT_LANGUAGE).unwrap_or_default());
        Self {
            changes,
            query: Query::parse(parts.uri.query().unwrap_or_default().as_bytes()),
            form: if parts.method == Method::POST { Query::parse(&body) } else { Query::default() },
            language: preferences.language.or(settings.language).unwrap_or_else(browser),
            preferences,
            session: key.open(&cookie, SystemTime::now()),
            cookie,
            parts,
            is_secure,
            id,
        }
    }

    /// Whether the client is a script that wants JSON: it says so, and does not also take HTML.
    pub(crate) fn wants_json(&self) -> bool {
        let accept = text(&self.parts.headers, &ACCEPT).unwrap_or_default();
        accept.contains("application/json") && !accept.contains("text/html")
    }

    /// Whether the client is a browser: it says that it takes HTML.
    pub(crate) fn wants_html(&self) -> bool {
        wants_html(&self.parts.headers)
    }

    /// The host as the visitor knows it, if it is one.
    pub(crate) fn host(&self) -> Option<&str> {
        let host =
            text(&self.parts.headers, &HOST).or_else(|| self.parts.uri.authority().map(|it| it.as_str()))?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
        (host.len() <= 255 && !host.is_empty() && host.bytes().all(is_plain)).then_some(host)
    }

    /// Whether a `POST` comes from a page of this host (`Sec-Fetch-Site`, or `Origin` of RFC 6454).
    pub(crate) fn is_from_here(&self) -> bool {
        const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
        if let Some(site) = self.parts.headers.get(SEC_FETCH_SITE) {
            return site == "same-origin";
        }
        let origin = text(&self.parts.headers, &ORIGIN).and_then(|origin| origin.split_once("://"));
        matches!((origin, self.host()), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
    }
}

/// The name of the session's cookie. With the prefix, browsers take it only over HTTPS and for this host alone.
pub(crate) fn session_cookie(is_secure: bool) -> &'static str {
    if is_secure { "__Host-sampan" } else { "sampan" }
}

/// The value of a cookie (RFC 6265, 5.4).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key == name).then_some(value)
    })
}

/// Whether a client says that it takes HTML.
fn wants_html(headers: &HeaderMap) -> bool {
    text(headers, &ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
