//! `UiSettings`: how the page is served.

use std::time::Duration;

use super::language::Language;

/// How the page is served; pure data from the section `ui`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UiSettings {
    /// The path below which all pages are, with the prefix of the API; begins with `/` and does not end with one.
    pub base: String,
    /// The name of this registry on all pages.
    pub title: String,
    /// The host in pull commands; `None` for that of the request.
    pub pull_host: Option<String>,
    /// The language of visitors who chose none; `None` for that of their browser.
    pub language: Option<Language>,
    /// For how long a login is valid.
    pub session: Duration,
}

impl Default for UiSettings {
    fn default() -> Self {
        Self {
            base: "/ui".to_owned(),
            title: "Registry".to_owned(),
            pull_host: None,
            language: None,
            session: Duration::from_secs(8 * 60 * 60),
        }
    }
}
