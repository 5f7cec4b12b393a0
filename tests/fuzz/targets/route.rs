//! A path and its route: what is parsed is in the path, and a redirect leads to a route on this host.

use http::Uri;
use sampan::http::Prefix;
use sampan::http::route::{Endpoint, Route, Unroutable};

pub(super) fn run(data: &[u8]) {
    let Some(text) = super::line(data) else { return };
    let Ok(uri) = text.parse::<Uri>() else { return };
    for prefix in ["", "/reg/"] {
        let prefix: Prefix = prefix.parse().expect("a prefix");
        match Route::parse(&prefix, &uri) {
            Ok(route) => {
                let below = prefix.strip(uri.path()).unwrap_or(uri.path());
                let Some(name) = route.repository() else { continue };
                let path = route.endpoint().path(name, route.rest());
                let is_bare_collection = route.endpoint() == Endpoint::BlobUpload && route.rest().is_empty();
                assert!(
                    path == below || is_bare_collection && path.trim_end_matches('/') == below,
                    "{text}: {path}"
                );
            }
            Err(Unroutable::MovedTo(to)) => {
                assert!(to.starts_with(&format!("{prefix}/v2/")), "{text} leads to {to}");
                let there: Uri = to.parse().expect("a redirect is a URI");
                assert_eq!(there.authority(), None, "{text} leads to {to}");
                assert_eq!(there.query(), uri.query(), "{text} leads to {to}");
                let route = Route::parse(&prefix, &there);
                assert!(!matches!(route, Err(Unroutable::MovedTo(_))), "{text} leads to {to}, and on");
            }
            Err(Unroutable::NotFound) => {}
        }
    }
}
