//! Folding the slashes of `<name>`, so that a router which matches segment by segment can route it.
//!
//! The endpoint is found from the right: a name may hold `blobs`, `manifests`, `tags`, `uploads` and `referrers` itself,
//! but what follows it is always one of a handful of endings. What no ending fits is no path of this API.

use std::borrow::Cow;

/// What becomes of a path below the prefix.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Folded<'a> {
    /// A path for the router, the name's slashes written `%2F`.
    Path(Cow<'a, str>),
    /// The same thing has another path, this one.
    MovedTo(&'a str),
    /// An ending fits, but the name before it is percent-encoded; no valid name ever is.
    NameInvalid(&'a str),
    /// No path of this API.
    NotFound,
}

/// Folds a path, which begins with a slash.
pub fn fold(path: &str) -> Folded<'_> {
    let Some(rest) = path.strip_prefix("/v2/") else {
        return if path == "/v2" { Folded::MovedTo("/v2/") } else { Folded::NotFound };
    };
    match rest {
        "" | "_catalog" => return Folded::Path(Cow::Borrowed(path)),
        "_catalog/" => return Folded::MovedTo("/v2/_catalog"),
        _ => {}
    }
    match split(rest) {
        None => Folded::NotFound,
        Some((name, _)) if name.contains('%') => Folded::NameInvalid(name),
        Some((_, "/tags/list/")) => Folded::MovedTo(&path[..path.len() - 1]),
        Some((_, "/blobs/uploads")) => Folded::Path(Cow::Owned(format!("{}/", folded(path, rest)))),
        Some((name, _)) if !name.contains('/') => Folded::Path(Cow::Borrowed(path)),
        Some(_) => Folded::Path(Cow::Owned(folded(path, rest))),
    }
}

/// Takes `<name>/<ending>` apart; the ending keeps its leading slash.
pub(super) fn split(rest: &str) -> Option<(&str, &str)> {
    let (head, last) = rest.rsplit_once('/')?;
    let (before, middle) = head.rsplit_once('/')?;
    let name = match (middle, last) {
        // `uploads` is no digest, so this is the collection without its slash; a redirect would lose the POST.
        ("blobs" | "manifests" | "referrers", last) if !last.is_empty() => before,
        ("tags", "list") => before,
        ("list", "") => before.strip_suffix("/tags")?,
        ("uploads", _) => before.strip_suffix("/blobs")?,
        _ => return None,
    };
    (!name.is_empty()).then(|| rest.split_at(name.len()))
}

fn folded(path: &str, rest: &str) -> String {
    let (name, ending) = split(rest).unwrap_or((rest, ""));
    let mut text = String::with_capacity(path.len() + 16);
    text.push_str("/v2/");
    for (index, component) in name.split('/').enumerate() {
        if index > 0 {
            text.push_str("%2F");
        }
        text.push_str(component);
    }
    text.push_str(ending);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;

    fn path(text: &str) -> Folded<'_> {
        Folded::Path(Cow::Borrowed(text))
    }

    #[test]
    fn the_ending_is_found_from_the_right() {
        for (given, expected) in [
            ("/v2/", path("/v2/")),
            ("/v2", Folded::MovedTo("/v2/")),
            ("/v2/_catalog", path("/v2/_catalog")),
            ("/v2/_catalog/", Folded::MovedTo("/v2/_catalog")),
            ("/v2/a/manifests/latest", path("/v2/a/manifests/latest")),
            ("/v2/a/b/c/manifests/latest", path("/v2/a%2Fb%2Fc/manifests/latest")),
            ("/v2/a/b/tags/list", path("/v2/a%2Fb/tags/list")),
            ("/v2/a/b/tags/list/", Folded::MovedTo("/v2/a/b/tags/list")),
            ("/v2/a/b/referrers/sha256:0", path("/v2/a%2Fb/referrers/sha256:0")),
            ("/v2/a/b/blobs/sha256:0", path("/v2/a%2Fb/blobs/sha256:0")),
            ("/v2/a/b/blobs/uploads/", path("/v2/a%2Fb/blobs/uploads/")),
            ("/v2/a/b/blobs/uploads", path("/v2/a%2Fb/blobs/uploads/")),
            ("/v2/a/b/blobs/uploads/1", path("/v2/a%2Fb/blobs/uploads/1")),
            ("/v2/blobs/uploads/blobs/uploads/1", path("/v2/blobs%2Fuploads/blobs/uploads/1")),
            ("/v2/a/manifests/b/manifests/c", path("/v2/a%2Fmanifests%2Fb/manifests/c")),
            ("/v2/tags/list/tags/list", path("/v2/tags%2Flist/tags/list")),
            ("/v2/a/blobs/uploads/manifests/b", path("/v2/a%2Fblobs%2Fuploads/manifests/b")),
            ("/v2/a/blobs/uploads/manifests", path("/v2/a/blobs/uploads/manifests")),
            ("/v2/a//b/manifests/c", path("/v2/a%2F%2Fb/manifests/c")),
            ("/v2/../manifests/c", path("/v2/../manifests/c")),
            ("/v2/a/manifests/sha256%3Aff", path("/v2/a/manifests/sha256%3Aff")),
            ("/v2/a%2Fb/manifests/c", Folded::NameInvalid("a%2Fb")),
            ("/v2/%2e%2e/tags/list", Folded::NameInvalid("%2e%2e")),
        ] {
            assert_eq!(fold(given), expected, "{given}");
        }
    }

    #[test]
    fn what_no_ending_fits_is_not_found() {
        for given in [
            "",
            "/",
            "*",
            "/v1/",
            "/v2x/",
            "//v2/",
            "/v2//",
            "/v2/a",
            "/v2/a/",
            "/v2/a/b",
            "/v2/manifests/latest",
            "/v2//manifests/latest",
            "/v2/tags/list",
            "/v2/a/tags",
            "/v2/a/tags/other",
            "/v2/a/manifests/",
            "/v2/a/manifests/latest/",
            "/v2/blobs/uploads/",
            "/v2/blobs/uploads/1",
            "/v2/a/blobs/",
            "/v2/a/referrers/",
            "/v2/a/uploads/1",
            "/v2/a/../../etc/passwd",
            "/v2/a/%6Danifests/latest",
            "/v2/_catalog/x",
        ] {
            assert_eq!(fold(given), Folded::NotFound, "{given}");
        }
    }

    const COMPONENT: &str =
        "(blobs|manifests|tags|uploads|referrers|list|v2|_catalog|[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?)";

    proptest! {
        #[test]
        fn unfolding_gives_the_name_back(
            name in string_regex(&format!("{COMPONENT}(/{COMPONENT}){{0,5}}")).unwrap(),
            ending in "/(manifests/[a-z0-9:._]{1,8}|blobs/[a-z0-9:]{3,8}|referrers/[a-z0-9:]{1,8}|tags/list|blobs/uploads/[a-z0-9-]{0,6})",
        ) {
            let whole = format!("/v2/{name}{ending}");
            let Folded::Path(folded) = fold(&whole) else { panic!("{whole} was not folded") };
            let (folded_name, _) = folded["/v2/".len()..].split_once('/').unwrap();
            prop_assert_eq!(folded_name.replace("%2F", "/"), name);
            prop_assert_eq!(folded.replace("%2F", "/"), whole);
        }

        #[test]
        fn no_path_makes_it_stumble(whole in "(/|/v2/)?([a-z%./A-Z:_-]|//|blobs/|manifests/|uploads/|tags/list|ä){0,12}") {
            if let Folded::Path(folded) = fold(&whole) {
                prop_assert!(folded.starts_with("/v2/"));
            }
        }
    }
}
