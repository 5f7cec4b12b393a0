//! `Challenge`: one way to log in that a `WWW-Authenticate` header offers (RFC 9110, 11.6.1).

use std::iter::Peekable;
use std::str::CharIndices;

/// A scheme with its parameters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Challenge {
    /// In lower case.
    pub(crate) scheme: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

/// The most challenges and parameters to read: a server can send as many as it likes.
const MAX_CHALLENGES: usize = 16;
const MAX_PARAMETERS: usize = 32;

impl Challenge {
    /// All challenges of all headers, in order. Passes over what does not follow the grammar.
    pub(crate) fn parse_all<'a>(headers: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let mut challenges = Vec::new();
        for header in headers {
            // Each header is a list of its own: parameters never belong to a challenge of another header.
            challenges.extend(Parser { text: header, rest: header.char_indices().peekable() }.challenges());
            challenges.truncate(MAX_CHALLENGES);
        }
        challenges
    }

    /// The value of a parameter, by its lower-case name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl<'a> Parser<'a> {
    fn challenges(mut self) -> Vec<Challenge> {
        let mut challenges: Vec<Challenge> = Vec::new();
        while challenges.len() <= MAX_CHALLENGES {
            self.skip(|c| c.is_whitespace() || c == ',');
            if self.rest.peek().is_none() {
                break;
            }
            let word = self.take(is_token);
            if word.is_empty() {
                self.rest.next(); // Not in the grammar.
                continue;
            }
            let position = self.position();
            self.skip(char::is_whitespace);
            if self.rest.peek().is_some_and(|(_, c)| *c == '=') {
                self.rest.next();
                self.skip(char::is_whitespace);
                let value = self.value();
                if let Some(challenge) = challenges.last_mut()
                    && challenge.parameters.len() < MAX_PARAMETERS
                {
                    challenge.parameters.push((word.to_ascii_lowercase(), value));
                }
                continue;
            }
            challenges.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
            if self.position() > position {
                self.skip_token68();
            }
        }
        challenges.truncate(MAX_CHALLENGES);
        challenges
    }

    /// Passes over the one value that some schemes have instead of parameters: `Negotiate abc==`.
    fn skip_token68(&mut self) {
        let mut ahead = self.rest.clone();
        let is_letter = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        let letters = count(&mut ahead, is_letter);
        let padding = count(&mut ahead, |c| c == '=');
        count(&mut ahead, char::is_whitespace);
        // A word without padding before a comma is the next scheme just as well; schemes have no value as short as that.
        let is_value = letters > 0 && (padding > 0 || letters > 20);
        if is_value && ahead.peek().is_none_or(|(_, c)| *c == ',') {
            self.rest = ahead;
        }
    }

    fn value(&mut self) -> String {
        if self.rest.next_if(|(_, c)| *c == '"').is_none() {
            // Some servers do not quote URLs and lists.
            return self.take(|c| c != ',' && !c.is_whitespace()).to_owned();
        }
        let mut value = String::new();
        while let Some((_, c)) = self.rest.next() {
            match c {
                '"' => break,
                '\\' => value.extend(self.rest.next().map(|(_, c)| c)),
                c => value.push(c),
            }
        }
        value
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let start = self.position();
        self.skip(wanted);
        let end = self.position();
        &self.text[start..end]
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        count(&mut self.rest, wanted);
    }

    fn position(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |(index, _)| *index)
    }
}

fn count(rest: &mut Peekable<CharIndices<'_>>, wanted: impl Fn(char) -> bool) -> usize {
    let mut count = 0;
    while rest.next_if(|(_, c)| wanted(*c)).is_some() {
        count += 1;
    }
    count
}

/// A character of a token (RFC 9110, 5.6.2).
fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schemes(header: &str) -> Vec<String> {
        Challenge::parse_all([header]).into_iter().map(|challenge| challenge.scheme).collect()
    }

    #[test]
    fn parameters_are_quoted_or_not() {
        let header = r#"Bearer realm="https://auth.example/token?a=b,c",service="registry, one",scope="repository:a/b:pull,push repository:c:pull",error=invalid_token"#;
        let [challenge] = &Challenge::parse_all([header])[..] else { panic!() };
        assert_eq!(challenge.scheme, "bearer");
        assert_eq!(challenge.parameter("realm").unwrap(), "https://auth.example/token?a=b,c");
        assert_eq!(challenge.parameter("service").unwrap(), "registry, one");
        assert_eq!(challenge.parameter("scope").unwrap(), "repository:a/b:pull,push repository:c:pull");
        assert_eq!(challenge.parameter("error").unwrap(), "invalid_token");
        assert_eq!(challenge.parameter("absent"), None);
    }

    #[test]
    fn one_header_may_have_several_challenges() {
        for (header, expected) in [
            (r#"Bearer realm="a",service="b", Basic realm="c""#, vec!["bearer", "basic"]),
            (r#"Basic realm="c", Bearer realm="a""#, vec!["basic", "bearer"]),
            (r#"Negotiate, Basic realm="x""#, vec!["negotiate", "basic"]),
            (r#"Negotiate abc==, Basic realm="x""#, vec!["negotiate", "basic"]),
            (r#"NTLM TlRMTVNTUAACAAAADAAMADgAAAAFgomi, Basic realm="x""#, vec!["ntlm", "basic"]),
            (r#"Basic"#, vec!["basic"]),
            (r#", ,Basic realm="x" , "#, vec!["basic"]),
            (r#"Bearer realm = "x" , Basic realm= y"#, vec!["bearer", "basic"]),
            ("", vec![]),
        ] {
            assert_eq!(schemes(header), expected, "{header}");
        }
        assert_eq!(Challenge::parse_all(["Bearer realm=a", "Basic realm=b"]).len(), 2);
    }

    #[test]
    fn quotes_and_escapes_inside_values_are_kept() {
        let [challenge] =
            &Challenge::parse_all([r#"Bearer realm="a\"b\\c", Service="Basic realm=\"x\"""#])[..]
        else {
            panic!()
        };
        assert_eq!(challenge.parameter("realm").unwrap(), r#"a"b\c"#);
        assert_eq!(challenge.parameter("service").unwrap(), r#"Basic realm="x""#);
    }

    #[test]
    fn a_flood_is_cut() {
        let header = "a b=c, ".repeat(10_000);
        assert_eq!(Challenge::parse_all([header.as_str(), header.as_str()]).len(), MAX_CHALLENGES);
        let header = format!("Bearer {}", "a=b,".repeat(10_000));
        assert_eq!(Challenge::parse_all([header.as_str()])[0].parameters.len(), MAX_PARAMETERS);
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_parser(headers in prop::collection::vec("\\PC{0,200}", 0..4)) {
            Challenge::parse_all(headers.iter().map(String::as_str));
        }

        #[test]
        fn written_challenges_are_read_back(
            challenges in prop::collection::vec(
                ("[a-zA-Z][a-zA-Z0-9-]{0,12}", prop::collection::vec(("[a-z_]{1,12}", any::<bool>(), "[ -~äß]{0,40}"), 1..5)),
                1..6,
            ),
            separator in "[ ]{0,2},[ ]{0,2}",
        ) {
            let mut header = Vec::new();
            for (scheme, parameters) in &challenges {
                let written: Vec<_> = parameters.iter().map(|(key, is_quoted, value)| {
                    let is_bare = !is_quoted && !value.is_empty() && value.chars().all(is_token);
                    match is_bare {
                        true => format!("{key}={value}"),
                        false => format!("{key}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
                    }
                }).collect();
                header.push(format!("{scheme} {}", written.join(&separator)));
            }
            let read = Challenge::parse_all([header.join(&separator).as_str()]);
            let expected: Vec<_> = challenges.iter().map(|(scheme, parameters)| Challenge {
                scheme: scheme.to_ascii_lowercase(),
                parameters: parameters.iter().map(|(key, _, value)| (key.clone(), value.clone())).collect(),
            }).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
