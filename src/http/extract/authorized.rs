//! `Authorized`: the proof that a request may do what its handler does.
//!
//! Handlers reach a repository only through it. The name in the path is parsed here and nowhere else, and the
//! repository is released only after the access controller granted the scope in the handler's signature.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use sampan_engine::oci::{InvalidName, RepositoryName};
use sampan_engine::{Remover, Repository};

use super::params;
use super::query::Query;
use super::refusal::refusal;
use crate::auth::{Access, AuditEvent, Credentials, Denied, Guard, IssuedToken, TokenRequest, View};
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
}

impl Scope for Push {
    fn wanted(name: &RepositoryName) -> Vec<Access> {
        vec![Access::pull(name.clone()), Access::push(name.clone())]
    }
}

impl Scope for Delete {
    const DELETES: bool = true;

    fn wanted(name: &RepositoryName) -> Vec<Access> {
        vec![Access::delete(name.clone())]
    }
}

/// The repository in the path, authorized for the scope `P`.
#[derive(Debug)]
pub(in crate::http) struct Authorized<P> {
    repository: Repository,
    purpose: PhantomData<P>,
}

impl<P: Scope> Authorized<P> {
    /// The repository.
    pub(in crate::http) fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The repository's name.
    pub(in crate::http) fn name(&self) -> &RepositoryName {
        self.repository.name()
    }

    fn new(name: RepositoryName, parts: &Parts, state: &AppState) -> Self {
        let repository = match P::DELETES {
            true => deleting(name, parts, state),
            false => observed(name, parts, state),
        };
        Self { repository, purpose: PhantomData }
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

impl<P: Scope> FromRequestParts<AppState> for Authorized<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let name = name(parts)?;
        authorize(parts, state, &P::wanted(&name)).await?;
        Ok(Self::new(name, parts, state))
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
        let name = name(parts)?;
        let wanted = Push::wanted(&name);
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
            (Some(_), Some(Ok(from))) => authorize_mount(parts, state, wanted, from).await?,
        };
        Ok(Self { target: Authorized::new(name, parts, state), source })
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
        authorize(parts, state, &[]).await.map(|_| Self(()))
    }
}

fn name(parts: &Parts) -> Result<RepositoryName, ApiError> {
    let name = params::route(parts).and_then(Route::repository).unwrap_or_default();
    let invalid = |reason| ApiError::new(ErrorCode::NameInvalid).with_reason(reason);
    if name.contains('%') {
        return Err(invalid(format!("invalid repository name {name:?}: a name is never percent-encoded")));
    }
    name.parse().map_err(|error: InvalidName| invalid(error.to_string()))
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
    let answer = state.access().authorize(&credentials, wanted).await;
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
