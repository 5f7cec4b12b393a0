//! `Challenge`: the value of a `WWW-Authenticate` header (RFC 9110, 11.6.1).

use http::HeaderValue;

/// Builds a challenge: a scheme and quoted parameters.
#[derive(Clone, Debug)]
pub struct Challenge {
    text: String,
    has_parameters: bool,
}

impl Challenge {
    /// Starts a challenge of the scheme `Basic` or `Bearer`.
    pub fn new(scheme: &'static str) -> Self {
        Self { text: scheme.to_owned(), has_parameters: false }
    }

    /// Adds `name="value"`, with quotes and backslashes in `value` escaped.
    ///
    /// # Errors
    ///
    /// `value` contains a control character, which headers cannot carry.
    pub fn with(mut self, name: &'static str, value: &str) -> Result<Self, InvalidParameter> {
        if value.chars().any(char::is_control) {
            return Err(InvalidParameter { name, value: value.escape_debug().to_string() });
        }
        self.text.push_str(if self.has_parameters { "," } else { " " });
        self.has_parameters = true;
        self.text.push_str(name);
        self.text.push_str("=\"");
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                self.text.push('\\');
            }
            self.text.push(character);
        }
        self.text.push('"');
        Ok(self)
    }

    /// Returns the header value.
    pub fn into_header(self) -> HeaderValue {
        #[expect(clippy::expect_used, reason = "`with` refuses control characters, the only invalid ones")]
        HeaderValue::from_bytes(self.text.as_bytes()).expect("invariant: no control characters")
    }
}

/// A challenge parameter that headers cannot carry.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{name} `{value}` has a control character, which HTTP headers cannot carry: remove it")]
pub struct InvalidParameter {
    name: &'static str,
    value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(realm: &str, expected: &str) {
        let header = Challenge::new("Basic").with("realm", realm).unwrap().into_header();
        assert_eq!(header.as_bytes(), expected.as_bytes());
    }

    #[test]
    fn a_realm_is_quoted_and_escaped() {
        check("Registry Realm", r#"Basic realm="Registry Realm""#);
        check(r#"the "inner" \ one"#, r#"Basic realm="the \"inner\" \\ one""#);
        check("", r#"Basic realm="""#);
        check("Größe", "Basic realm=\"Größe\"");
    }

    #[test]
    fn a_control_character_is_refused_by_name() {
        let refused = Challenge::new("Basic").with("realm", "a\r\nb").unwrap_err().to_string();
        assert!(refused.starts_with(r"realm `a\r\nb` has a control character"), "{refused}");
    }
}
