//! The section `ui`: the web page. At the top of the file, since Distribution ignores what it does not know there.

use std::time::Duration;

use super::AuthConfig;
use super::findings::Findings;
use super::section::section;
use super::values::words;

section! {
    /// The web page.
    pub struct UiConfig {
        /// Serves a web page beside the API.
        pub enabled: bool = "false",
        /// The path of the page, below `http.prefix`.
        pub path: String = "/ui",
        /// The name of this registry on all pages.
        pub title: String = "Registry",
        /// The host in pull commands, such as `registry.example.com`.
        pub pullhost: Option<String>; default_meaning("the host that the browser asked for"),
        /// The language of visitors who chose none: `auto` (the browser's), `en`, `zh-Hant`.
        pub language: UiLanguage = "auto",
        /// From one survey of the store to the next, for sizes and counts; a collection makes one too.
        pub survey: Duration = "1h",
        /// How long a login lasts.
        pub session: Duration = "8h",
    }
}

words! {
    /// A language of the page.
    pub enum UiLanguage {
        /// That of the browser.
        Auto = "auto",
        /// English.
        English = "en",
        /// Traditional Chinese.
        TraditionalChinese = "zh-Hant",
    }
}

impl UiConfig {
    /// Checks what no single key can say.
    pub(crate) fn check(&self, auth: &AuthConfig, found: &mut Findings<'_>) {
        if !self.enabled {
            return;
        }
        let refused = match auth {
            AuthConfig::Token(_) => Some("token`, where the token server alone knows the rights of a user"),
            AuthConfig::Silly(_) => Some("silly`, which has no passwords"),
            AuthConfig::Htpasswd(_) | AuthConfig::None => None,
        };
        if let Some(reason) = refused {
            let message =
                format!("is not possible with `auth: {reason}; set it to `false`, or use `auth: htpasswd`");
            found.mistake("ui.enabled", message);
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/".contains(&byte);
        let below = self.path.strip_prefix('/').unwrap_or_default();
        if below.is_empty()
            || below.ends_with('/')
            || below.contains("//")
            || !self.path.bytes().all(is_plain)
        {
            found.mistake(
                "ui.path",
                "must be a path such as `/ui`: `/`, then letters, digits, `-`, `_`, and `/` between them",
            );
        } else if ["v2", "auth", "livez", "readyz", "metrics", "debug"]
            .contains(&below.split('/').next().unwrap_or_default())
        {
            found.mistake(
                "ui.path",
                "is where the API is, or other parts of the registry are; choose another one, such as `/ui`",
            );
        }
        if self.title.trim().is_empty() || self.title.chars().count() > 80 {
            found.mistake("ui.title", "must have 1 to 80 characters");
        }
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_/".contains(&byte);
        if self.pullhost.as_deref().is_some_and(|host| host.contains("://") || !host.bytes().all(is_host)) {
            found.mistake("ui.pullhost", "is the host as in `docker pull HOST/NAME`, such as `registry.example.com:5000`, without a scheme");
        }
        if self.survey < Duration::from_secs(60) {
            found.mistake("ui.survey", "must be `1m` or more: each survey walks over the whole store");
        }
        let (shortest, longest) = (Duration::from_secs(60), Duration::from_secs(30 * 24 * 60 * 60));
        if !(shortest..=longest).contains(&self.session) {
            found.mistake("ui.session", "must be between `1m` and `720h`");
        }
    }
}
