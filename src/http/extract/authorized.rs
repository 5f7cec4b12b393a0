//! `Authorized`: the proof that a request may do what its handler does.
//!
//! Handlers reach a repository only through it. The name in the path is parsed here and nowhere else, and the
//! repository is released only after the access controller granted the scope in the handler's signature.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::header::{ALLOW, HOST, USER_AGENT};
use http::request::Parts;
use sampan_cache::{Asked, CachedName, CachedRepository, LocateError, Upstream};
use sampan_engine::oci::{InvalidName, RepositoryName};
use sampan_engine::{Remover, Repository};

use super::query::Query;
use super::refusal::refusal;
use super::{cache_host, params};
use crate::auth::{Access, AuditEvent, Credentials, Denied, Guard, IssuedToken, TokenRequest, View};
use crate::http::content::Content;
use crate::http::context::RequestContext;
use crate::http::credentials::presented;
use crate::http::error::{ApiError, ErrorCode};
use crate::http::record::record;
use crate::http::route::Route;
use crate::http::state::AppState;
use crate::http::url_builder::{self, UrlBuilder};
use crate::notify::{Notifier, RequestRecord, RequestSink};

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

/// A repository as the client names it: in a cache, several names mean the same.
#[derive(Clone, Debug)]
pub(in crate::http) struct AskedName {
    /// The name in the path.
    pub(in crate::http) name: RepositoryName,
    /// The parameter `ns`.
    pub(in crate::http) ns: Option<String>,
}

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
            true => deleting(name, parts, state),
            false => observed(name, parts, state),
        };
        let caches = state.services().caches.as_ref();
        let cache = caches.zip(cached).map(|(caches, name)| caches.repository(name, repository.clone()));
        let context = parts.extensions.get::<Arc<RequestContext>>().cloned();
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

/// The same for a request that may delete: it is in the audit record, and what it removes names its user.
pub(in crate::http) fn deleting(name: RepositoryName, parts: &Parts, state: &AppState) -> Repository {
    let event = AuditEvent::new("deletion").with("repository", Some(name.as_str()));
    record(event.with("path", Some(parts.uri.path())), parts, state);
    let context = parts.extensions.get::<Arc<RequestContext>>();
    let user = context.and_then(|context| context.user());
    let remover = user.map_or(Remover::Unknown, |user| Remover::User(user.to_owned()));
    observed(name, parts, state).removing_as(remover)
}

impl Authorized<Pull> {
    /// What the repository has.
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
                // A known digest must not give access to a blob that the client may not pull.
                match ask(parts, state, &[Access::catalog()]).await {
                    Ok(View::Everything) => MountSource::Anywhere,
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

/// The repository that a request names, and the upstream that it belongs to.
struct Located {
    name: RepositoryName,
    asked: AskedName,
    cached: Option<CachedName>,
}

/// As [`locate`]; only a client that may use the registry is told which other registries it knows.
async fn locate_for_client(parts: &Parts, state: &AppState) -> Result<Located, ApiError> {
    let located = locate(parts, state);
    if located.as_ref().is_err_and(|error| error.code() == ErrorCode::NameUnknown) {
        authorize(parts, state, &[]).await?;
    }
    located
}

/// The stored name of a repository that a parameter names.
fn stored_name(name: RepositoryName, parts: &Parts, state: &AppState) -> RepositoryName {
    let Some(caches) = &state.services().caches else { return name };
    let asked = Asked { ns: None, host: cache_host::host(parts), name: name.as_str() };
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
        let asked = Asked { ns: query.non_empty("ns"), host: cache_host::host(parts), name };
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

async fn authorize(parts: &Parts, state: &AppState, wanted: &[Access]) -> Result<View, ApiError> {
    ask(parts, state, wanted).await.map_err(|denied| refusal(&denied, wanted))
}

/// Issues a token for the credentials of the request, or those in `request`.
pub(in crate::http) async fn issue(
    parts: &Parts,
    state: &AppState,
    guard: &Guard,
    request: &TokenRequest,
) -> Result<IssuedToken, ApiError> {
    let urls = Urls { parts, state };
    let answer = guard.issue(&urls.credentials(&|| urls.origin(), &|| urls.called()), request).await;
    if let (Err(denied), Some(metrics)) = (&answer, &state.services().metrics) {
        metrics.refused(denied);
    }
    answer.map_err(|denied| refusal(&denied, &[]))
}

/// The URLs of this registry as the client of a request knows them.
struct Urls<'a> {
    parts: &'a Parts,
    state: &'a AppState,
}

impl Urls<'_> {
    fn origin(&self) -> Option<String> {
        let Parts { extensions, headers, uri, .. } = self.parts;
        url_builder::origin(self.state.options(), extensions.get(), headers, uri)
    }

    fn called(&self) -> Option<String> {
        let Parts { extensions, headers, uri, .. } = self.parts;
        url_builder::called(self.state.options(), extensions.get(), headers, uri)
    }

    fn credentials<'a>(
        &'a self,
        origin: &'a (dyn Fn() -> Option<String> + Sync),
        base: &'a (dyn Fn() -> Option<String> + Sync),
    ) -> Credentials<'a> {
        Credentials { origin: Some(origin), base: Some(base), ..presented(self.parts) }
    }
}

async fn ask(parts: &Parts, state: &AppState, wanted: &[Access]) -> Result<View, Denied> {
    let context = parts.extensions.get::<Arc<RequestContext>>();
    let urls = Urls { parts, state };
    let (origin, called) = (|| urls.origin(), || urls.called());
    let credentials = urls.credentials(&origin, &called);
    let answer = match cache_host::grant_without_login(parts, state, &credentials, wanted).await {
        Some(grant) => Ok(grant),
        None => state.access().authorize(&credentials, wanted).await,
    };
    if let (Err(denied), Some(metrics)) = (&answer, &state.services().metrics) {
        metrics.refused(denied);
    }
    tracing::debug!(
        http.request.id = context.map(|context| context.id()),
        wanted = %Wanted(wanted),
        has_credentials = credentials.authorization.is_some(),
        "authorization: {}",
        match &answer {
            Ok(grant) => format!("granted to {}", grant.user.as_deref().unwrap_or("anonymous")),
            Err(denied) => format!("refused: {denied}"),
        }
    );
    if let (Err(Denied::Forbidden { user }), Some(context)) = (&answer, context) {
        context.set_user(user.clone());
    }
    let grant = answer?;
    if let (Some(user), Some(context)) = (grant.user, context) {
        context.set_user(user);
    }
    Ok(grant.view)
}

/// Displays scopes as a token server spells them.
struct Wanted<'a>(&'a [Access]);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, access) in self.0.iter().enumerate() {
            write!(f, "{}{access}", if index == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

/// An event sink that adds the request and its user to events.
fn listening(parts: &Parts, state: &AppState, notifier: Arc<Notifier>) -> RequestSink {
    let context = parts.extensions.get::<Arc<RequestContext>>();
    let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let host = header(HOST).or_else(|| parts.uri.host()).unwrap_or_default();
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
