//! `Route`: the parsed path of a request. The path is parsed here, once.
//!
//! Parsing starts from the right: a name may contain `blobs`, `manifests`, `tags`, `uploads` and `referrers`,
//! but only a handful of endings follow it (OCI distribution-spec, "Endpoints").

use std::ops::Range;

use http::Uri;
use http::uri::PathAndQuery;

use super::prefix::Prefix;
use crate::auth::TOKEN_PATH;

/// An endpoint. The API's names are those of Distribution's handlers in metrics;
/// [`Referrers`](Self::Referrers) is ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// `/v2/`.
    Base,
    /// `/v2/<name>/blobs/<digest>`.
    Blob,
    /// `/v2/<name>/blobs/uploads/`.
    BlobUpload,
    /// `/v2/<name>/blobs/uploads/<session>`.
    BlobUploadChunk,
    /// `/v2/_catalog`.
    Catalog,
    /// `/v2/<name>/manifests/<reference>`.
    Manifest,
    /// `/v2/<name>/referrers/<digest>`.
    Referrers,
    /// `/v2/<name>/tags/list`.
    Tags,
    /// `/`, for load balancers. It is outside the prefix and ignores health checks.
    Root,
    /// `/livez`: the process responds.
    Livez,
    /// `/readyz`: the registry accepts requests.
    Readyz,
    /// `/auth/token`: this registry's own token server. There is none without the section `access`.
    Token,
    /// Everything below the path of the web page, which is not parsed here.
    Page,
}

impl Endpoint {
    /// The endpoints of the API, each at its index. Only these appear in metrics.
    pub const API: [Self; 8] = [
        Self::Base,
        Self::Blob,
        Self::BlobUpload,
        Self::BlobUploadChunk,
        Self::Catalog,
        Self::Manifest,
        Self::Referrers,
        Self::Tags,
    ];

    /// Whether the endpoint belongs to the API; false for probes, the token server and the web page.
    pub fn is_api(self) -> bool {
        !matches!(self, Self::Root | Self::Livez | Self::Readyz | Self::Token | Self::Page)
    }

    /// Whether the endpoint is there for load balancers and monitors.
    pub fn is_probe(self) -> bool {
        matches!(self, Self::Root | Self::Livez | Self::Readyz)
    }

    /// The name in metrics and traces.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Blob => "blob",
            Self::BlobUpload => "blob_upload",
            Self::BlobUploadChunk => "blob_upload_chunk",
            Self::Catalog => "catalog",
            Self::Manifest => "manifest",
            Self::Referrers => "referrers",
            Self::Tags => "tags",
            Self::Root => "root",
            Self::Livez => "livez",
            Self::Readyz => "readyz",
            Self::Token => "token",
            Self::Page => "page",
        }
    }

    /// The path below the prefix: the inverse of [`Route::parse`]. Endpoints without a repository or rest
    /// ignore those arguments.
    pub fn path(self, repository: &str, rest: &str) -> String {
        match self {
            Self::Base => "/v2/".to_owned(),
            Self::Blob => format!("/v2/{repository}/blobs/{rest}"),
            Self::BlobUpload => format!("/v2/{repository}/blobs/uploads/"),
            Self::BlobUploadChunk => format!("/v2/{repository}/blobs/uploads/{rest}"),
            Self::Catalog => "/v2/_catalog".to_owned(),
            Self::Manifest => format!("/v2/{repository}/manifests/{rest}"),
            Self::Referrers => format!("/v2/{repository}/referrers/{rest}"),
            Self::Tags => format!("/v2/{repository}/tags/list"),
            Self::Root => "/".to_owned(),
            Self::Livez => "/livez".to_owned(),
            Self::Readyz => "/readyz".to_owned(),
            Self::Token => TOKEN_PATH.to_owned(),
            // It makes its links itself.
            Self::Page => String::new(),
        }
    }
}

/// A parsed path: its endpoint, repository, and the part after it.
#[derive(Clone, Debug)]
pub struct Route {
    endpoint: Endpoint,
    /// The request's path, which the ranges index. Cloning it costs a reference count.
    path: PathAndQuery,
    repository: Range<usize>,
    rest: Range<usize>,
}

/// Why a path has no route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unroutable {
    /// The path is an alternative spelling; the canonical one, with the query.
    MovedTo(String),
    /// The server has no such path.
    NotFound,
}

impl Route {
    /// The route of a path below that of the web page; `None` for a URI without a path.
    pub fn to_page(uri: &Uri) -> Option<Self> {
        let path = uri.path_and_query()?.clone();
        Some(Self { endpoint: Endpoint::Page, path, repository: 0..0, rest: 0..0 })
    }

    /// Parses the path of `uri` for a server whose API is below `prefix`.
    ///
    /// # Errors
    ///
    /// The path is unknown, or an alternative spelling of a known one.
    pub fn parse(prefix: &Prefix, uri: &Uri) -> Result<Self, Unroutable> {
        let path = uri.path_and_query().ok_or(Unroutable::NotFound)?;
        let plain = |endpoint| Ok(Self { endpoint, path: path.clone(), repository: 0..0, rest: 0..0 });
        let moved = |to: &str| {
            let query = path.query().map(|query| format!("?{query}")).unwrap_or_default();
            Err(Unroutable::MovedTo(format!("{prefix}{to}{query}")))
        };
        let whole = path.path();
        if whole == "/" {
            return plain(Endpoint::Root);
        }
        let below = prefix.strip(whole).ok_or(Unroutable::NotFound)?;
        match below {
            "/livez" => return plain(Endpoint::Livez),
            "/readyz" => return plain(Endpoint::Readyz),
            TOKEN_PATH => return plain(Endpoint::Token),
            "/v2/" => return plain(Endpoint::Base),
            "/v2" => return moved("/v2/"),
            "/v2/_catalog" => return plain(Endpoint::Catalog),
            "/v2/_catalog/" => return moved("/v2/_catalog"),
            _ => {}
        }
        let named = below.strip_prefix("/v2/").ok_or(Unroutable::NotFound)?;
        if named.strip_suffix("/tags/list/").is_some_and(|name| !name.is_empty()) {
            return moved(below.trim_end_matches('/'));
        }
        let (endpoint, name, rest) = split(named).ok_or(Unroutable::NotFound)?;
        let begin = whole.len() - named.len();
        Ok(Self {
            endpoint,
            path: path.clone(),
            repository: begin..begin + name.len(),
            rest: whole.len() - rest.len()..whole.len(),
        })
    }

    /// The endpoint.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// The repository's name as in the path, not validated; `None` for an endpoint without one.
    pub fn repository(&self) -> Option<&str> {
        Some(&self.path.path()[self.repository.clone()]).filter(|name| !name.is_empty())
    }

    /// The digest, reference or session after the name, still percent-encoded; empty for an endpoint without
    /// one.
    pub fn rest(&self) -> &str {
        &self.path.path()[self.rest.clone()]
    }
}

/// Splits `<name>/<ending>`.
fn split(named: &str) -> Option<(Endpoint, &str, &str)> {
    let (head, last) = named.rsplit_once('/')?;
    let (before, middle) = head.rsplit_once('/')?;
    let (endpoint, name, rest) = match (middle, last) {
        // `uploads` is not a digest, so this is the collection without its slash. A redirect would lose the
        // body of a POST.
        ("blobs", "uploads") => (Endpoint::BlobUpload, before, ""),
        ("uploads", "") => (Endpoint::BlobUpload, before.strip_suffix("/blobs")?, ""),
        ("uploads", _) => (Endpoint::BlobUploadChunk, before.strip_suffix("/blobs")?, last),
        ("tags", "list") => (Endpoint::Tags, before, ""),
        (_, "") => return None,
        ("blobs", _) => (Endpoint::Blob, before, last),
        ("manifests", _) => (Endpoint::Manifest, before, last),
        ("referrers", _) => (Endpoint::Referrers, before, last),
        _ => return None,
    };
    (!name.is_empty()).then_some((endpoint, name, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;

    fn route(path: &str) -> Result<(Endpoint, Option<String>, String), Unroutable> {
        below("", path)
    }

    fn below(prefix: &str, path: &str) -> Result<(Endpoint, Option<String>, String), Unroutable> {
        let uri = path.parse().map_err(|_| Unroutable::NotFound)?;
        let route = Route::parse(&prefix.parse().unwrap(), &uri)?;
        Ok((route.endpoint(), route.repository().map(str::to_owned), route.rest().to_owned()))
    }

    fn to(
        endpoint: Endpoint,
        name: &str,
        rest: &str,
    ) -> Result<(Endpoint, Option<String>, String), Unroutable> {
        Ok((endpoint, (!name.is_empty()).then(|| name.to_owned()), rest.to_owned()))
    }

    #[test]
    fn the_ending_is_found_from_the_right() {
        use Endpoint as E;
        for (given, expected) in [
            ("/", to(E::Root, "", "")),
            ("/livez", to(E::Livez, "", "")),
            ("/readyz", to(E::Readyz, "", "")),
            ("/auth/token", to(E::Token, "", "")),
            ("/auth/token?service=a", to(E::Token, "", "")),
            ("/v2/", to(E::Base, "", "")),
            ("/v2/?n=1", to(E::Base, "", "")),
            ("/v2/_catalog", to(E::Catalog, "", "")),
            ("/v2/a/manifests/latest", to(E::Manifest, "a", "latest")),
            ("/v2/a/b/c/manifests/latest?x=/tags/list", to(E::Manifest, "a/b/c", "latest")),
            ("/v2/a/b/tags/list", to(E::Tags, "a/b", "")),
            ("/v2/a/b/referrers/sha256:0", to(E::Referrers, "a/b", "sha256:0")),
            ("/v2/a/b/blobs/sha256:0", to(E::Blob, "a/b", "sha256:0")),
            ("/v2/a/b/blobs/uploads/", to(E::BlobUpload, "a/b", "")),
            ("/v2/a/b/blobs/uploads", to(E::BlobUpload, "a/b", "")),
            ("/v2/a/b/blobs/uploads/1", to(E::BlobUploadChunk, "a/b", "1")),
            ("/v2/blobs/uploads/blobs/uploads/1", to(E::BlobUploadChunk, "blobs/uploads", "1")),
            ("/v2/a/manifests/b/manifests/c", to(E::Manifest, "a/manifests/b", "c")),
            ("/v2/tags/list/tags/list", to(E::Tags, "tags/list", "")),
            ("/v2/a/blobs/uploads/manifests/b", to(E::Manifest, "a/blobs/uploads", "b")),
            ("/v2/a/blobs/uploads/manifests", to(E::BlobUploadChunk, "a", "manifests")),
            ("/v2/a//b/manifests/c", to(E::Manifest, "a//b", "c")),
            ("/v2/../manifests/c", to(E::Manifest, "..", "c")),
            ("/v2/a/manifests/sha256%3Aff", to(E::Manifest, "a", "sha256%3Aff")),
            // No valid name is percent-encoded, so authorization refuses these.
            ("/v2/a%2Fb/manifests/c", to(E::Manifest, "a%2Fb", "c")),
            ("/v2/%2e%2e/tags/list", to(E::Tags, "%2e%2e", "")),
        ] {
            assert_eq!(route(given), expected, "{given}");
        }
    }

    #[test]
    fn an_unknown_ending_is_not_found() {
        for given in [
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
            "/v2/tags/list/",
            "/v2//tags/list/",
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
            "/livez/",
            "/readyz/x",
        ] {
            assert_eq!(route(given), Err(Unroutable::NotFound), "{given}");
        }
    }

    #[test]
    fn an_alternative_spelling_redirects_with_its_query() {
        let moved = |to: &str| Err(Unroutable::MovedTo(to.to_owned()));
        assert_eq!(route("/v2"), moved("/v2/"));
        assert_eq!(route("/v2/_catalog/?n=3"), moved("/v2/_catalog?n=3"));
        assert_eq!(route("/v2/a/b/tags/list/"), moved("/v2/a/b/tags/list"));
        assert_eq!(below("/reg/", "/reg/v2/a/tags/list/?last=x"), moved("/reg/v2/a/tags/list?last=x"));
    }

    #[test]
    fn a_prefix_comes_before_everything_but_the_root() {
        let below = |path| below("/reg/", path);
        assert_eq!(below("/reg/v2/a/b/tags/list"), to(Endpoint::Tags, "a/b", ""));
        assert_eq!(below("/reg/livez"), to(Endpoint::Livez, "", ""));
        assert_eq!(below("/"), to(Endpoint::Root, "", ""));
        for path in ["/v2/", "/livez", "/reg", "/reg/", "/regal/v2/"] {
            assert_eq!(below(path), Err(Unroutable::NotFound), "{path}");
        }
    }

    #[test]
    fn each_endpoint_of_the_api_is_at_its_index() {
        for (index, endpoint) in Endpoint::API.into_iter().enumerate() {
            assert_eq!(index, endpoint as usize, "{endpoint:?}");
            assert!(endpoint.is_api());
        }
    }

    const COMPONENT: &str =
        "(blobs|manifests|tags|uploads|referrers|list|v2|_catalog|[a-z0-9]{1,4}([._-][a-z0-9]{1,3})?)";

    proptest! {
        #[test]
        fn parsing_is_the_inverse_of_writing(
            index in 0..Endpoint::API.len(),
            prefix in "(/[a-z]{1,4}){0,2}",
            name in string_regex(&format!("{COMPONENT}(/{COMPONENT}){{0,5}}")).unwrap(),
            rest in "[a-z0-9:._-]{1,20}",
        ) {
            let endpoint = Endpoint::API[index];
            // No digest is `uploads`.
            prop_assume!(!(endpoint == Endpoint::Blob && rest == "uploads"));
            let path = format!("{prefix}{}", endpoint.path(&name, &rest));
            let has_name = !matches!(endpoint, Endpoint::Base | Endpoint::Catalog);
            let has_rest = has_name && !matches!(endpoint, Endpoint::BlobUpload | Endpoint::Tags);
            let expected = to(endpoint, if has_name { &name } else { "" }, if has_rest { &rest } else { "" });
            prop_assert_eq!(below(&prefix, &path), expected);
        }

        #[test]
        fn what_is_parsed_is_in_the_path(
            path in "(/|/v2/)?([a-z%./A-Z:_-]|//|blobs/|manifests/|uploads/|tags/list|ä){0,12}",
        ) {
            if let Ok((endpoint, Some(name), rest)) = route(&path)
                && (endpoint, rest.as_str()) != (Endpoint::BlobUpload, "")
            {
                prop_assert_eq!(endpoint.path(&name, &rest), path);
            }
        }
    }
}
