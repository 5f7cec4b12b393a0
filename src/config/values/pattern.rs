//! `Pattern`: a regular expression in the file.

use std::str::FromStr;

use regex::Regex;

use super::deserialize_from_text;
use crate::section::leaf;

/// A regular expression in a syntax that Go's and Rust's engines share; it matches anywhere unless anchored.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// The compiled expression.
    pub fn as_regex(&self) -> &Regex {
        &self.0
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Regex::new(text).map(Self).map_err(|error| {
            // The engine draws a picture over several lines; the last line gives the reason.
            let picture = error.to_string();
            let reason = picture.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("the regular expression `{text}` is not valid: {reason}")
        })
    }
}

deserialize_from_text!(Pattern);
// `config show` must not take it for a URL.
leaf!(Pattern, Verbatim);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_expression_says_why_on_one_line() {
        assert!("^https?://([^/]+\\.)*example\\.com/".parse::<Pattern>().is_ok());
        let error = "^https://(".parse::<Pattern>().unwrap_err();
        assert_eq!(error, "the regular expression `^https://(` is not valid: unclosed group");
    }
}
