//! `Query`: the fields of a query or a form.

use std::collections::HashMap;

/// The most fields that count.
const MAX_FIELDS: usize = 4096;

/// The fields of a query or a form, by name; of several, the first, unless all are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(HashMap<String, Vec<String>>);

impl Query {
    /// Parses `application/x-www-form-urlencoded` text. Nothing in it is an error.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut fields: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(text).take(MAX_FIELDS) {
            fields.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self(fields)
    }

    /// The value of a field; `None` if it is missing or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.first().map(String::as_str).filter(|value| !value.is_empty())
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }
}

/// A query of the fields that have a value, with its `?`, or nothing.
pub(crate) fn query(fields: &[(&str, &str)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        text.append_pair(name, value);
    }
    let text = text.finish();
    if text.is_empty() { text } else { format!("?{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_as_it_was_written() {
        let text = query(&[("q", "a b&c=[.*]"), ("sort", ""), ("after", "香港")]);
        let read = Query::parse(text.trim_start_matches('?').as_bytes());
        assert_eq!(
            (read.get("q"), read.get("sort"), read.get("after")),
            (Some("a b&c=[.*]"), None, Some("香港"))
        );
        assert_eq!(query(&[("q", "")]), "");
        assert_eq!(Query::parse(b"tag=a&tag=b&%ff=%00&=&&").get("tag"), Some("a"));
    }
}
