//! `Authorized`: the proof that a request may do what its handler does.
//!
//! Handlers reach a repository only through it. It releases the repository only after the access controller granted the
//! scope in the handler's signature.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::header::USER_AGENT;
use http::request::Parts;
use sampan_cache::{CachedRepository, Client};
use sampan_engine::oci::RepositoryName;
use sampan_engine::{Remover, Repository};

use super::ask::{ask, authorize};
use super::cache_host;
use super::located::{AskedName, Located, locate_for_client, stored_name};
use super::query::Query;
use super::refusal::refusal;
use super::scope::{Pull, Push, Scope};
use crate::auth::{Access, AuditEvent, Denied, View};
use crate::http::content::Content;
use crate::http::context::RequestContext;
use crate::http::error::ApiError;
use crate::http::record::record;
use crate::http::state::AppState;
use crate::http::url_builder::UrlBuilder;
use crate::notify::{Notifier, RequestRecord, RequestSink};

/// The repository in the path, authorized for the scope `P`.
#[derive(Debug)]
pub(in crate::http) struct Authorized<P> {
    repository: Repository,
    cache: Option<CachedRepository>,
    context: Option<Arc<RequestContext>>,
    asked: AskedName,
    purpose: PhantomData<P>,
}

impl<P: Scope> Authorized<P> {
    /// The repository.
    pub(in crate::http) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The name by which the client asked, for answers and links.
    pub(in crate::http) fn asked(&self) -> &AskedName {
        &self.asked
    }

    /// The repository's name.
    pub(in crate::http) fn name(&self) -> &RepositoryName {
        self.repository.name()
    }

    fn new(located: Located, parts: &Parts, state: &AppState) -> Result<Self, ApiError> {
        let Located { name, cached, asked } = located;
        if let Some(cached) = &cached {
            P::check_cache(cached.upstream())?;
        }
        let repository = match P::DELETES {
            true => {
                let event = deletion(&name, parts);
                deleting(name, event, parts, state)
            }
            false => observed(name, parts, state),
        };
        let caches = state.services().caches.as_ref();
        let context = parts.extensions.get::<Arc<RequestContext>>().cloned();
        let network = context.as_ref().and_then(|context| context.client()).and_then(|peer| peer.network());
        let client = network.map_or(Client::Local, Client::Address);
        let cache = caches
            .zip(cached)
            .map(|(caches, name)| caches.repository(name, repository.clone()).asked_by(client));
        Ok(Self { repository, cache, context, asked, purpose: PhantomData })
    }
}

/// The repository, whose events name the request.
pub(in crate::http) fn observed(name: RepositoryName, parts: &Parts, state: &AppState) -> Repository {
    let repository = state.registry().repository(name);
    match &state.services().notifier {
        Some(notifier) => repository.with_events(Arc::new(listening(parts, state, Arc::clone(notifier)))),
        None => repository,
    }
}

/// The event of a request that may delete.
pub(in crate::http) fn deletion(name: &RepositoryName, parts: &Parts) -> AuditEvent {
    let event = AuditEvent::new("deletion").with("repository", Some(name.as_str()));
    event.with("path", Some(parts.uri.path()))
}

/// The same for a request that may delete: its event is in the audit record, and what it removes names its user.
pub(in crate::http) fn deleting(
    name: RepositoryName,
    event: AuditEvent,
    parts: &Parts,
    state: &AppState,
) -> Repository {
    record(event, parts, state);
    let context = parts.extensions.get::<Arc<RequestContext>>();
    let user = context.and_then(|context| context.user());
    let remover = user.map_or(Remover::Unknown, |user| Remover::User(user.to_owned()));
    observed(name, parts, state).removing_as(remover)
}

impl Authorized<Pull> {
    /// The content of the repository.
    pub(in crate::http) fn content(&self) -> Content {
        Content::new(self.repository.clone(), self.cache.clone(), self.context.clone())
    }
}

impl<P: Scope> FromRequestParts<AppState> for Authorized<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let located = locate_for_client(parts, state).await?;
        authorize(parts, state, &P::wanted(&located.name)).await?;
        Self::new(located, parts, state)
    }
}

/// The repository for a new upload, and the permitted source of a mount.
#[derive(Debug)]
pub(in crate::http) struct AuthorizedStart {
    pub(in crate::http) target: Authorized<Push>,
    pub(in crate::http) source: MountSource,
}

/// Where a blob may be mounted from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::http) enum MountSource {
    /// Any repository: the client may see everything.
    Anywhere,
    /// A repository that the client may pull from.
    Repository(RepositoryName),
    /// No repository that the client may see.
    Nowhere,
}

impl FromRequestParts<AppState> for AuthorizedStart {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let query = parts.uri.query().map(Query::parse).unwrap_or_default();
        let located = locate_for_client(parts, state).await?;
        let wanted = Push::wanted(&located.name);
        let source = match (query.non_empty("mount"), query.non_empty("from").map(str::parse)) {
            (None, _) | (_, Some(Err(_))) => {
                authorize(parts, state, &wanted).await?;
                MountSource::Nowhere
            }
            (Some(_), None) => {
                authorize(parts, state, &wanted).await?;
                // A known digest must not give access to a blob that the client may not pull. A bearer token that shows every
                // name need not give that right.
                match ask(parts, state, &[Access::catalog()]).await {
                    Ok(grant) if grant.view.is_everything() && !grant.is_limited => MountSource::Anywhere,
                    _ => MountSource::Nowhere,
                }
            }
            (Some(_), Some(Ok(from))) => {
                let from = stored_name(from, parts, state);
                authorize_mount(parts, state, wanted, from).await?
            }
        };
        Ok(Self { target: Authorized::new(located, parts, state)?, source })
    }
}

/// Asks for both scopes at once, so that the challenge names both and the client can fetch one token for
/// both.
async fn authorize_mount(
    parts: &Parts,
    state: &AppState,
    mut wanted: Vec<Access>,
    from: RepositoryName,
) -> Result<MountSource, ApiError> {
    wanted.push(Access::pull(from.clone()));
    match ask(parts, state, &wanted).await {
        Ok(_) => Ok(MountSource::Repository(from)),
        // The client may push but not read `from`: continue with an upload, which reveals nothing about
        // `from`.
        Err(Denied::Forbidden { .. }) => {
            wanted.pop();
            authorize(parts, state, &wanted).await?;
            Ok(MountSource::Nowhere)
        }
        Err(denied) => Err(refusal(&denied, &wanted)),
    }
}

/// The proof that a request may list these repositories.
#[derive(Debug)]
pub(in crate::http) struct AuthorizedCatalog(pub(in crate::http) View);

impl FromRequestParts<AppState> for AuthorizedCatalog {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        authorize(parts, state, &[Access::catalog()]).await.map(Self)
    }
}

/// The proof that a request may use the registry at all.
#[derive(Debug)]
pub(in crate::http) struct Authenticated(());

impl FromRequestParts<AppState> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        if cache_host::is_open(parts, state).await {
            return Ok(Self(()));
        }
        authorize(parts, state, &[]).await.map(|_| Self(()))
    }
}

/// An event sink that adds the request and its user to events.
fn listening(parts: &Parts, state: &AppState, notifier: Arc<Notifier>) -> RequestSink {
    let context = parts.extensions.get::<Arc<RequestContext>>();
    let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = cache_host::host(parts).unwrap_or_default();
    let client = context.and_then(|context| context.client());
    let request = RequestRecord {
        id: context.map(|context| context.id().to_owned()).unwrap_or_default(),
        addr: client.map(|client| client.to_string()).unwrap_or_default(),
        host: host.to_owned(),
        method: parts.method.to_string(),
        useragent: header(USER_AGENT).unwrap_or_default().to_owned(),
    };
    let user = context.and_then(|context| context.user()).map(str::to_owned);
    let base = UrlBuilder::of(parts, state).base().to_owned();
    RequestSink { notifier, request, user, base }
}
