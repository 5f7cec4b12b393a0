//! `Scope`: what a handler may do with its repository.

use http::HeaderValue;
use http::header::ALLOW;
use sampan_cache::Upstream;
use sampan_engine::oci::RepositoryName;

use crate::auth::Access;
use crate::http::error::{ApiError, ErrorCode};

/// A handler's scope on its repository.
pub(in crate::http) trait Scope: Send {
    /// The access that the handler needs.
    fn wanted(name: &RepositoryName) -> Vec<Access>;

    /// Whether the handler deletes, which is recorded.
    const DELETES: bool = false;

    /// Fails if the handler changes what only an upstream can change.
    fn check_cache(upstream: &Upstream) -> Result<(), ApiError>;
}

/// Reading.
#[derive(Debug)]
pub(in crate::http) enum Pull {}

/// Writing, which includes reading.
#[derive(Debug)]
pub(in crate::http) enum Push {}

/// Deleting.
#[derive(Debug)]
pub(in crate::http) enum Delete {}

impl Scope for Pull {
    fn wanted(name: &RepositoryName) -> Vec<Access> {
        vec![Access::pull(name.clone())]
    }

    fn check_cache(_: &Upstream) -> Result<(), ApiError> {
        Ok(())
    }
}

impl Scope for Push {
    fn wanted(name: &RepositoryName) -> Vec<Access> {
        vec![Access::pull(name.clone()), Access::push(name.clone())]
    }

    fn check_cache(upstream: &Upstream) -> Result<(), ApiError> {
        Err(read_only(upstream, "push to the upstream, or to a name that belongs to no upstream"))
    }
}

impl Scope for Delete {
    const DELETES: bool = true;

    fn wanted(name: &RepositoryName) -> Vec<Access> {
        vec![Access::delete(name.clone())]
    }

    /// A cache forgets deleted content until a client asks for it again. A registry that is nothing but a cache
    /// refuses it, as in Distribution.
    fn check_cache(upstream: &Upstream) -> Result<(), ApiError> {
        match upstream.prefix() {
            Some(_) => Ok(()),
            None => Err(read_only(upstream, "delete it at the upstream")),
        }
    }
}

/// The refusal of a change in a cache.
fn read_only(upstream: &Upstream, remedy: &str) -> ApiError {
    let name = upstream.name();
    ApiError::new(ErrorCode::Unsupported)
        .with_reason(format!("the repository is a cache of upstream {name}: {remedy}"))
        .with_header(ALLOW, HeaderValue::from_static("GET, HEAD"))
}
