//! `Language`: the languages of the page, and which one a visitor gets.

/// A language of the page.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Traditional Chinese, as written in Hong Kong and Macau.
    TraditionalChinese,
}

impl Language {
    /// All languages, the default first.
    pub const ALL: [Self; 2] = [Self::English, Self::TraditionalChinese];

    /// The short name in the configuration and in the cookie.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::TraditionalChinese => "zh-Hant",
        }
    }

    /// The language of a [`code`](Self::code).
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// The value of the attribute `lang` (BCP 47).
    pub(crate) fn bcp47(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::TraditionalChinese => "zh-Hant-HK",
        }
    }

    /// The language's own name.
    pub(crate) fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::TraditionalChinese => "繁體中文",
        }
    }

    /// The blank between two sentences; Chinese has it in its full stop.
    pub(crate) fn between_sentences(self) -> &'static str {
        match self {
            Self::English => " ",
            Self::TraditionalChinese => "",
        }
    }

    /// The best language for a value of `Accept-Language` (RFC 9110, 12.5.4). Any Chinese is the one that is there.
    pub(crate) fn preferred(accept: &str) -> Self {
        let mut best = (Self::default(), 0.0);
        for range in accept.split(',').take(32) {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q=")?.trim().parse::<f32>().ok())
                .unwrap_or(1.0);
            let language = match tag.split('-').next() {
                Some("zh" | "yue") => Self::TraditionalChinese,
                Some("en" | "*") => Self::English,
                _ => continue,
            };
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_known_language_wins() {
        use Language as L;
        for (accept, language) in [
            ("", L::English),
            ("zh-HK", L::TraditionalChinese),
            ("zh-MO,zh;q=0.9,en;q=0.8", L::TraditionalChinese),
            ("zh-CN", L::TraditionalChinese),
            ("en-GB,en;q=0.9,zh-TW;q=0.8", L::English),
            ("de,fr;q=0.9,zh-Hant;q=0.5,en;q=0.4", L::TraditionalChinese),
            ("de", L::English),
            ("zh;q=0,en;q=0.1", L::English),
            ("zh;q=x", L::TraditionalChinese),
            ("*;q=0.5", L::English),
            (";;;,,q=", L::English),
        ] {
            assert_eq!(Language::preferred(accept), language, "{accept:?}");
        }
    }
}
