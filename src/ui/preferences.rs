//! Language and theme: what a visitor chose, in a cookie; else what their browser prefers.

use super::language::Language;

/// A colour scheme.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Theme {
    /// That of the browser.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(crate) const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    /// The name in the cookie, in forms and in the page's `data-theme`.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub(crate) fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.code() == code)
    }
}

/// The choice of a visitor.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Preferences {
    /// `None` for the browser's.
    pub(crate) language: Option<Language>,
    pub(crate) theme: Theme,
}

impl Preferences {
    /// The cookie's name.
    pub(crate) const COOKIE: &str = "sampan-preferences";

    /// Reads the cookie's value. An unknown choice is the default.
    pub(crate) fn parse(value: &str) -> Self {
        let (language, theme) = value.split_once('.').unwrap_or((value, ""));
        Self { language: Language::of_code(language), theme: Theme::of_code(theme).unwrap_or_default() }
    }

    /// The cookie's value.
    pub(crate) fn value(self) -> String {
        format!("{}.{}", self.language.map_or("auto", Language::code), self.theme.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_read_as_it_was_written() {
        for language in [None, Some(Language::English), Some(Language::TraditionalChinese)] {
            for theme in Theme::ALL {
                let preferences = Preferences { language, theme };
                assert_eq!(Preferences::parse(&preferences.value()), preferences);
            }
        }
        for value in ["", ".", "en", "xx.dark.", "\u{0}"] {
            Preferences::parse(value);
        }
    }
}
