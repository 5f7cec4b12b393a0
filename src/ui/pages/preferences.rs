//! Keeps the language and theme that a visitor chose.

use crate::language::Language;
use crate::preferences::{Preferences, Theme};
use crate::reply::{self, Reply};
use crate::ui::PageContext;

const YEAR_SECONDS: u64 = 365 * 24 * 60 * 60;

/// Sets the cookie, and leads back to the page.
pub(crate) fn keep(scene: &PageContext<'_>) -> Reply {
    let form = &scene.visit.form;
    let preferences = Preferences {
        language: form.get("language").and_then(Language::of_code),
        theme: form.get("theme").and_then(Theme::of_code).unwrap_or_default(),
    };
    let mut reply = reply::see_other(&super::login::next(scene));
    reply::set_cookie(
        &mut reply,
        Preferences::COOKIE,
        &preferences.value(),
        YEAR_SECONDS,
        scene.visit.is_secure,
    );
    reply
}
