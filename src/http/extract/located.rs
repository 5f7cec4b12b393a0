//! `Located`: the repository that a request names. The name in the path is parsed here and nowhere else.

use http::request::Parts;
use sampan_cache::{CachedName, LocateError, RequestedName};
use sampan_engine::oci::{InvalidName, RepositoryName};

use super::ask::authorize;
use super::query::Query;
use super::{cache_host, params};
use crate::http::error::{ApiError, ErrorCode};
use crate::http::route::Route;
use crate::http::state::AppState;

/// A repository as the client names it: in a cache, several names mean the same.
#[derive(Clone, Debug)]
pub(in crate::http) struct AskedName {
    /// The name in the path.
    pub(in crate::http) name: RepositoryName,
    /// The parameter `ns`.
    pub(in crate::http) ns: Option<String>,
}

/// The repository that a request names, and the upstream that it belongs to.
pub(super) struct Located {
    pub(super) name: RepositoryName,
    pub(super) asked: AskedName,
    pub(super) cached: Option<CachedName>,
}

/// The repository that a request names. The error that names the known registries is for those who may use this one.
pub(super) async fn locate_for_client(parts: &Parts, state: &AppState) -> Result<Located, ApiError> {
    let located = locate(parts, state);
    if located.as_ref().is_err_and(|error| error.code() == ErrorCode::NameUnknown) {
        authorize(parts, state, &[]).await?;
    }
    located
}

/// The stored name of a repository that a parameter names.
pub(super) fn stored_name(name: RepositoryName, parts: &Parts, state: &AppState) -> RepositoryName {
    let Some(caches) = &state.services().caches else { return name };
    let asked = RequestedName { ns: None, host: cache_host::host(parts), name: name.as_str() };
    match caches.locate(asked) {
        Ok(Some(cached)) => cached.stored().clone(),
        Ok(None) | Err(_) => name,
    }
}

fn locate(parts: &Parts, state: &AppState) -> Result<Located, ApiError> {
    let name = params::route(parts).and_then(Route::repository).unwrap_or_default();
    let invalid = |reason| ApiError::new(ErrorCode::NameInvalid).with_reason(reason);
    if name.contains('%') {
        return Err(invalid(format!("invalid repository name {name:?}: a name is never percent-encoded")));
    }
    if let Some(caches) = &state.services().caches {
        let query = parts.uri.query().map(Query::parse).unwrap_or_default();
        let asked = RequestedName { ns: query.non_empty("ns"), host: cache_host::host(parts), name };
        let located = caches.locate(asked).map_err(|error| match error {
            LocateError::Name(error) => invalid(error.to_string()),
            LocateError::Mapping(error) => {
                ApiError::new(ErrorCode::NameUnknown).with_reason(error.to_string())
            }
        })?;
        if let Some(cached) = located {
            // A name that is valid with its prefix may be none without it: then the answer has the stored one.
            let asked = name.parse().unwrap_or_else(|_| cached.stored().clone());
            let asked = AskedName { name: asked, ns: query.non_empty("ns").map(str::to_owned) };
            return Ok(Located { name: cached.stored().clone(), asked, cached: Some(cached) });
        }
    }
    let name: RepositoryName = name.parse().map_err(|error: InvalidName| invalid(error.to_string()))?;
    let asked = AskedName { name: name.clone(), ns: None };
    Ok(Located { name, asked, cached: None })
}
