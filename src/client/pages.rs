//! Lists in pages: follows `Link` within bounds, on one server, and never in a circle.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use http::Method;
use http::header::{CONTENT_TYPE, LINK};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use url::Url;

use crate::auth::Scope;
use crate::connection::{Call, Connection};
use crate::error::{ClientError, Problem, shown, shown_url};

/// Makes an item of each entry of a list, or `None` to leave it out.
pub(crate) type Keep<T, K> = fn(T) -> Option<K>;

/// The entries under `key` of all pages of a list, as `keep` makes them; `None` if the registry answers 404 to the first.
///
/// # Errors
///
/// As every request, and when a page leads to another server, to an earlier page, or beyond the limits.
pub(crate) async fn list<T: DeserializeOwned, K>(
    connection: &Connection,
    first: Call,
    scope: &Scope,
    wanted_type: Option<&str>,
    key: &str,
    keep: Keep<T, K>,
) -> Result<Option<Vec<K>>, ClientError> {
    let limits = connection.options.limits;
    let mut entries = Vec::new();
    // Hashes: the server chooses how long its URLs are.
    let (state, mut seen) = (RandomState::new(), HashSet::new());
    let mut bytes_left = limits.list_bytes;
    let (retry, mut call) = (first.retry, first);
    loop {
        let (answer, body) =
            connection.document(&call, limits.page_bytes.min(bytes_left), "a list, in bytes,").await?;
        let url = answer.url().clone();
        let at = |problem| ClientError::at(url.as_str(), problem);
        match answer.status() {
            200 => {}
            404 if seen.is_empty() => return Ok(None),
            _ => return Err(connection.error(answer).await),
        }
        let media_type =
            answer.header(CONTENT_TYPE).map(|text| text.split(';').next().unwrap_or_default().trim());
        if wanted_type.is_some() && media_type != wanted_type && seen.is_empty() {
            return Ok(None);
        }
        // A registry may send several headers of the name.
        let next = answer.header_texts(&LINK)?.into_iter().find_map(next_link).map(str::to_owned);
        bytes_left -= body.len() as u64;
        read_page(&body, key, keep, limits.list_entries, &mut entries).map_err(at)?;
        seen.insert(state.hash_one(&url));
        let Some(next) = next else { return Ok(Some(entries)) };
        let next = connection.transport.resolve(&url, &next);
        let next =
            next.ok_or_else(|| at(Problem::Protocol("the link to the next page is no URL".to_owned())))?;
        check(&url, &next, seen.contains(&state.hash_one(&next)))?;
        if seen.len() as u64 >= u64::from(limits.pages) {
            return Err(at(Problem::TooLarge { what: "the number of pages", limit: limits.pages.into() }));
        }
        call = Call::at(Method::GET, next, scope.clone()).retried(retry);
    }
}

/// Adds the entries of a page. Only what is kept takes memory: a page of empty strings would take the eightfold.
fn read_page<T: DeserializeOwned, K>(
    body: &[u8],
    key: &str,
    keep: Keep<T, K>,
    limit: usize,
    entries: &mut Vec<K>,
) -> Result<(), Problem> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let page = Page { key, entries: Entries { keep, limit, entries: &mut *entries } };
    let read = page.deserialize(&mut json).and_then(|()| json.end());
    match read {
        _ if entries.len() > limit => {
            Err(Problem::TooLarge { what: "the number of entries of a list", limit: limit as u64 })
        }
        // The message quotes the page.
        read => read.map_err(|error| Problem::Protocol(format!("no list: {}", shown(&error.to_string())))),
    }
}

/// Reads an object with the entries of a page under a key.
struct Page<'a, T, K> {
    key: &'a str,
    entries: Entries<'a, T, K>,
}

/// Reads entries, or `null` for none.
struct Entries<'a, T, K> {
    keep: Keep<T, K>,
    limit: usize,
    entries: &'a mut Vec<K>,
}

impl<'de, T: DeserializeOwned, K> DeserializeSeed<'de> for Page<'_, T, K> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: DeserializeOwned, K> Visitor<'de> for Page<'_, T, K> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `{}`", self.key)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut has_key = false;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == self.key {
                has_key = true;
                map.next_value_seed(&mut self.entries)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        match has_key {
            true => Ok(()),
            // Any other document would be an empty list.
            false => Err(A::Error::custom(format_args!("no `{}`", self.key))),
        }
    }
}

impl<'de, T: DeserializeOwned, K> DeserializeSeed<'de> for &mut Entries<'_, T, K> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: DeserializeOwned, K> Visitor<'de> for &mut Entries<'_, T, K> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<T>()? {
            self.entries.extend((self.keep)(entry));
            if self.entries.len() > self.limit {
                return Err(A::Error::custom("too many entries"));
            }
        }
        Ok(())
    }
}

fn check(url: &Url, next: &Url, is_seen: bool) -> Result<(), ClientError> {
    let at = |problem| ClientError::at(url.as_str(), problem);
    if next.origin() != url.origin() {
        let target = shown_url(next.as_str());
        return Err(at(Problem::Redirect { target, reason: "a list must not continue on another server" }));
    }
    if is_seen {
        return Err(at(Problem::Protocol("the pages of the list form a circle".to_owned())));
    }
    Ok(())
}

/// The target of the link with `rel="next"` (RFC 8288).
fn next_link(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, after) = rest.split_once('<')?;
        let (target, after) = after.split_once('>')?;
        // A target in quotes or brackets is the only place of a comma within a link.
        let end = after.find(",<").or_else(|| after.find(", <")).unwrap_or(after.len());
        let parameters = after[..end].split(';').filter_map(|parameter| parameter.split_once('='));
        let is_next = parameters.into_iter().any(|(key, value)| {
            let relations = value.trim().trim_matches(['"', ',']);
            key.trim().eq_ignore_ascii_case("rel")
                && relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = &after[end..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_next_link_is_found_among_others() {
        for (header, expected) in [
            (r#"</v2/_catalog?last=a,b&n=2>; rel="next""#, Some("/v2/_catalog?last=a,b&n=2")),
            (r#"<a>;rel=next"#, Some("a")),
            (r#"<a>; rel="prev", <b>; rel="last next""#, Some("b")),
            (r#"<a>; REL="NEXT"; title="x""#, Some("a")),
            (r#"<a>; rel="previous""#, None),
            (r#"<a>; title="next""#, None),
            ("<a>", None),
            ("", None),
            ("<a; rel=next", None),
        ] {
            assert_eq!(next_link(header), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_parser(header in "\\PC{0,200}") {
            next_link(&header);
        }
    }
}
