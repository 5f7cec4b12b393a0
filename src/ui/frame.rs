//! `Frame`: what every page has around its content.

use super::assets::{ICON, SCRIPT, STYLE};
use super::gate::Visitor;
use super::language::Language;
use super::pages::{collections, storage, tokens};
use super::preferences::Theme;
use super::route::Route;
use super::ui::PageContext;

/// The parts of every page around its content.
pub(crate) struct Frame {
    pub(crate) t: Language,
    /// The name of the registry.
    pub(crate) site: String,
    pub(crate) title: String,
    base: String,
    pub(crate) theme: Theme,
    pub(crate) chosen_language: Option<Language>,
    pub(crate) user: Option<String>,
    pub(crate) has_login: bool,
    /// Whether a session proves the visitor, and not the credentials or the certificate of each request.
    pub(crate) has_session: bool,
    /// The path and query of this page, for forms that lead back.
    pub(crate) here: String,
    pub(crate) preferences_token: String,
    pub(crate) logout_token: String,
    /// Whether the menu leads to the storage.
    pub(crate) has_storage: bool,
    /// Whether the menu leads to collections.
    pub(crate) has_collections: bool,
    /// Whether the menu leads to the visitor's tokens.
    pub(crate) has_tokens: bool,
    /// The entry of the menu that this page belongs to.
    section: &'static str,
}

impl Frame {
    pub(crate) fn new(scene: &PageContext<'_>, visitor: Option<&Visitor>) -> Self {
        let (visit, settings) = (scene.visit, scene.settings());
        let here = visit.parts.uri.path_and_query().map_or("", |it| it.as_str());
        let here = if visit.parts.method == http::Method::POST { "" } else { here };
        Self {
            t: visit.language,
            site: settings.title.clone(),
            title: String::new(),
            base: settings.base.clone(),
            theme: visit.preferences.theme,
            chosen_language: visit.preferences.language,
            user: visitor.and_then(|visitor| visitor.user.clone()),
            has_login: scene.gate().has_login(),
            has_session: visit.session.is_some() && visitor.is_some_and(|visitor| visitor.user.is_some()),
            has_storage: visitor.is_some_and(storage::may_see),
            has_collections: visitor.is_some_and(|visitor| collections::may_see(scene, visitor)),
            has_tokens: visitor.is_some_and(|visitor| tokens::may_see(scene, visitor)),
            here: here.to_owned(),
            preferences_token: scene.token(&Route::Preferences),
            logout_token: scene.token(&Route::Logout),
            section: section(&scene.place),
        }
    }

    /// The same with a title.
    pub(crate) fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// The URL of a place.
    pub(crate) fn to(&self, place: &Route) -> String {
        format!("{}{place}", self.base)
    }

    pub(crate) fn home(&self) -> String {
        self.to(&Route::Repositories)
    }

    pub(crate) fn storage(&self) -> String {
        self.to(&Route::Storage)
    }

    pub(crate) fn collections(&self) -> String {
        self.to(&Route::Collections)
    }

    pub(crate) fn tokens(&self) -> String {
        self.to(&Route::Tokens)
    }

    pub(crate) fn login(&self) -> String {
        let next = super::query::query(&[("next", &self.here)]);
        format!("{}{next}", self.to(&Route::Login))
    }

    pub(crate) fn logout(&self) -> String {
        self.to(&Route::Logout)
    }

    pub(crate) fn preferences(&self) -> String {
        self.to(&Route::Preferences)
    }

    pub(crate) fn style(&self) -> String {
        self.to(&Route::Asset(STYLE.name.clone()))
    }

    pub(crate) fn script(&self) -> String {
        self.to(&Route::Asset(SCRIPT.name.clone()))
    }

    pub(crate) fn icon(&self) -> String {
        self.to(&Route::Asset(ICON.name.clone()))
    }

    pub(crate) fn is_in(&self, section: &str) -> bool {
        self.section == section
    }

    /// Whether the visitor chose this language.
    pub(crate) fn has_chosen(&self, language: &Language) -> bool {
        self.chosen_language.as_ref() == Some(language)
    }

    pub(crate) fn has_theme(&self, theme: &Theme) -> bool {
        self.theme == *theme
    }

    pub(crate) fn theme_name(&self, theme: &Theme) -> String {
        match theme {
            Theme::Auto => self.t.theme_auto(),
            Theme::Light => self.t.theme_light(),
            Theme::Dark => self.t.theme_dark(),
        }
    }
}

fn section(place: &Route) -> &'static str {
    match place {
        Route::Storage => "storage",
        Route::Collections | Route::Collect => "collections",
        Route::Tokens => "tokens",
        Route::Login | Route::Logout | Route::Preferences | Route::Asset(_) => "",
        _ => "repositories",
    }
}
