//! `Route`: what a path below the page's base shows. Parsed once; links are made by its inverse.
//!
//! A component of a repository's name never begins with `-` (OCI distribution-spec, "Pulling manifests"), so `/-/` ends a name
//! without doubt.

use std::fmt;

use percent_encoding::percent_decode_str;
use sampan_engine::oci::{Digest, Reference, RepositoryName, Tag};

/// A page or an action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// The list of repositories.
    Repositories,
    /// The tags of a repository.
    Tags(RepositoryName),
    /// An image, by tag or digest.
    Image(RepositoryName, Reference),
    /// The images that have a layer of a repository.
    Layer(RepositoryName, Digest),
    /// Two images of a repository beside each other.
    Compare(RepositoryName),
    /// Deletion in a repository: its preview, and the act.
    Delete(RepositoryName),
    /// Brings a tag back that was removed.
    Restore(RepositoryName),
    /// What the store holds.
    Storage,
    /// Garbage collections.
    Collections,
    /// Starts a collection, or its dry run.
    Collect,
    /// The visitor's access tokens.
    Tokens,
    /// The form for a login.
    Login,
    /// Ends the session.
    Logout,
    /// Language and theme.
    Preferences,
    /// A style sheet, script or picture, by its file name.
    Asset(String),
}

/// Why a path shows nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum NoRoute {
    /// There is no such page.
    Unknown,
    /// Another spelling of this place.
    Moved(Route),
}

impl Route {
    /// Parses a path below the base, which begins with `/`, or is empty.
    pub(crate) fn parse(path: &str) -> Result<Self, NoRoute> {
        let decoded = percent_decode_str(path).decode_utf8().map_err(|_| NoRoute::Unknown)?;
        let path = decoded.strip_prefix('/').ok_or(NoRoute::Moved(Self::Repositories))?;
        if path.is_empty() {
            return Ok(Self::Repositories);
        }
        if let Some(own) = path.strip_prefix("-/") {
            return match own {
                "storage" => Ok(Self::Storage),
                "collections" => Ok(Self::Collections),
                "collections/run" => Ok(Self::Collect),
                "tokens" => Ok(Self::Tokens),
                "login" => Ok(Self::Login),
                "logout" => Ok(Self::Logout),
                "preferences" => Ok(Self::Preferences),
                _ => own
                    .strip_prefix("assets/")
                    .map(|name| Self::Asset(name.to_owned()))
                    .ok_or(NoRoute::Unknown),
            };
        }
        let Some((name, rest)) = path.split_once("/-/") else {
            let name: RepositoryName = path.trim_end_matches('/').parse().map_err(|_| NoRoute::Unknown)?;
            return Err(NoRoute::Moved(Self::Tags(name)));
        };
        let name: RepositoryName = name.parse().map_err(|_| NoRoute::Unknown)?;
        match rest.split_once('/') {
            None => match rest {
                "tags" => Ok(Self::Tags(name)),
                "compare" => Ok(Self::Compare(name)),
                "delete" => Ok(Self::Delete(name)),
                "restore" => Ok(Self::Restore(name)),
                _ => Err(NoRoute::Unknown),
            },
            Some(("tags", "")) => Err(NoRoute::Moved(Self::Tags(name))),
            Some(("tags", tag)) => {
                let tag: Tag = tag.parse().map_err(|_| NoRoute::Unknown)?;
                Ok(Self::Image(name, Reference::Tag(tag)))
            }
            Some(("manifests", digest)) => {
                let digest: Digest = digest.parse().map_err(|_| NoRoute::Unknown)?;
                Ok(Self::Image(name, Reference::Digest(digest)))
            }
            Some(("layers", digest)) => {
                let digest: Digest = digest.parse().map_err(|_| NoRoute::Unknown)?;
                Ok(Self::Layer(name, digest))
            }
            Some(_) => Err(NoRoute::Unknown),
        }
    }

    /// The repository of the place, if it is in one.
    pub(crate) fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Tags(name)
            | Self::Image(name, _)
            | Self::Layer(name, _)
            | Self::Compare(name)
            | Self::Delete(name)
            | Self::Restore(name) => Some(name),
            _ => None,
        }
    }
}

/// Formats the path below the base.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repositories => f.write_str("/"),
            Self::Tags(name) => write!(f, "/{name}/-/tags"),
            Self::Image(name, Reference::Tag(tag)) => write!(f, "/{name}/-/tags/{tag}"),
            Self::Image(name, Reference::Digest(digest)) => write!(f, "/{name}/-/manifests/{digest}"),
            Self::Layer(name, digest) => write!(f, "/{name}/-/layers/{digest}"),
            Self::Compare(name) => write!(f, "/{name}/-/compare"),
            Self::Delete(name) => write!(f, "/{name}/-/delete"),
            Self::Restore(name) => write!(f, "/{name}/-/restore"),
            Self::Storage => f.write_str("/-/storage"),
            Self::Collections => f.write_str("/-/collections"),
            Self::Collect => f.write_str("/-/collections/run"),
            Self::Tokens => f.write_str("/-/tokens"),
            Self::Login => f.write_str("/-/login"),
            Self::Logout => f.write_str("/-/logout"),
            Self::Preferences => f.write_str("/-/preferences"),
            Self::Asset(name) => write!(f, "/-/assets/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_path_is_parsed_from_its_marks() {
        let name = |text: &str| text.parse::<RepositoryName>().unwrap();
        let tag = |text: &str| Reference::Tag(text.parse().unwrap());
        for (path, place) in [
            ("/", Route::Repositories),
            ("/tags/-/tags", Route::Tags(name("tags"))),
            ("/a/b-c/-/tags/tags", Route::Image(name("a/b-c"), tag("tags"))),
            ("/a/-/tags/v1.0", Route::Image(name("a"), tag("v1.0"))),
            (
                "/a/-/manifests/sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                Route::Image(name("a"), Reference::Digest(DIGEST.parse().unwrap())),
            ),
            (
                "/a/-/layers/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                Route::Layer(name("a"), DIGEST.parse().unwrap()),
            ),
            ("/a/-/delete", Route::Delete(name("a"))),
            ("/-/storage", Route::Storage),
        ] {
            assert_eq!(Route::parse(path), Ok(place), "{path}");
        }
        for (path, place) in [
            ("", Route::Repositories),
            ("/a", Route::Tags(name("a"))),
            ("/a/b/", Route::Tags(name("a/b"))),
            ("/a/-/tags/", Route::Tags(name("a"))),
        ] {
            assert_eq!(Route::parse(path), Err(NoRoute::Moved(place)), "{path}");
        }
        for path in [
            "/-",
            "/-/",
            "/-/-/tags",
            "/a/-/",
            "/a/-/-b",
            "/a/-b/-/tags",
            "/a/-/tags/-b",
            "/A/-/tags",
            "/a/../-/tags",
            "/a/-/manifests/sha256:0",
            "/a/-/manifests/v1",
            "/a/-/layers/v1",
            "/%00/-/tags",
            "/%ff/-/tags",
            "/a%2f%2fb/-/tags",
            "/-/storage/",
            "/a/-/tags/b/c",
            "//",
            "/a//-/tags",
        ] {
            assert_eq!(Route::parse(path), Err(NoRoute::Unknown), "{path}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_the_inverse_of_writing(name in "[a-z0-9]{1,4}([._/-][a-z0-9]{1,3}){0,4}", tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,9}") {
            let name: RepositoryName = name.parse().unwrap();
            for place in [
                Route::Tags(name.clone()),
                Route::Image(name.clone(), Reference::Tag(tag.parse().unwrap())),
                Route::Image(name.clone(), Reference::Digest(DIGEST.parse().unwrap())),
                Route::Layer(name.clone(), DIGEST.parse().unwrap()),
                Route::Compare(name.clone()),
                Route::Delete(name.clone()),
                Route::Restore(name),
                Route::Asset(tag),
            ] {
                prop_assert_eq!(Route::parse(&place.to_string()), Ok(place));
            }
        }

        #[test]
        fn no_path_is_a_panic(path in "(/|-|%|tags|manifests|a|\\PC){0,12}") {
            if let Ok(place) = Route::parse(&format!("/{path}")) {
                prop_assert_eq!(Route::parse(&place.to_string()), Ok(place));
            }
        }
    }
}
