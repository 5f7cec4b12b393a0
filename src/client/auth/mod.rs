//! Login at a registry: the challenge, the token server, and the tokens so far.

mod challenge;
mod realm;
mod scope;
mod tokens;

use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use parking_lot::Mutex;
use url::Url;
use url::form_urlencoded::Serializer;

pub(crate) use challenge::Challenge;
pub(crate) use scope::Scope;
use tokens::{Token, TokenCache, TokenKey};

use crate::address::RegistryAddress;
use crate::credentials::{Credential, Credentials};
use crate::error::{ClientError, Problem};
use crate::options::ClientOptions;
use crate::transport::{Answer, Payload, Request, Transport, without_user};

/// The login of one client at one registry.
#[derive(Debug)]
pub(crate) struct Authenticator {
    address: RegistryAddress,
    credentials: Credentials,
    tokens: TokenCache,
    /// The way that the last challenge asked for. Locked for copies only.
    way: Mutex<AuthScheme>,
}

/// The authentication that a registry demands.
#[derive(Clone, Debug, Eq, PartialEq)]
enum AuthScheme {
    /// The registry has not refused a request yet.
    Unknown,
    Basic,
    Bearer {
        realm: Url,
        service: Option<String>,
    },
}

/// The credentials of a request.
#[derive(Debug, Default)]
pub(crate) struct Login {
    /// Its `Authorization`: none until the registry has asked for one.
    pub(crate) header: Option<HeaderValue>,
    /// Why the token server of an earlier challenge gave no token.
    refused: Option<Box<(AuthScheme, ClientError)>>,
}

impl Login {
    fn with(header: Option<HeaderValue>) -> Self {
        Self { header, refused: None }
    }
}

impl Authenticator {
    pub(crate) fn new(address: RegistryAddress, credentials: Credentials) -> Self {
        Self { address, credentials, tokens: TokenCache::default(), way: Mutex::new(AuthScheme::Unknown) }
    }

    /// The login of a request, by the last challenge. That may have been for another repository, with another token server: a
    /// request that it refuses goes without a token, to get a challenge of its own.
    pub(crate) async fn login(
        &self,
        transport: &Transport,
        options: &ClientOptions,
        url: &Url,
        scope: &Scope,
    ) -> Result<Login, ClientError> {
        let way = self.way();
        match way.clone() {
            AuthScheme::Unknown => Ok(Login::default()),
            AuthScheme::Basic => Ok(Login::with(basic(&self.credential(url, scope).await?))),
            AuthScheme::Bearer { realm, service } => {
                let credential = self.credential(url, scope).await?;
                match self.token(transport, options, &credential, realm, service, scope, None).await {
                    Ok(token) => Ok(Login::with(Some(token))),
                    Err(error) => {
                        // The registry may name another token server by now.
                        self.set_way(AuthScheme::Unknown);
                        match is_refusal(&error) {
                            true => Ok(Login { header: None, refused: Some(Box::new((way, error))) }),
                            false => Err(error),
                        }
                    }
                }
            }
        }
    }

    /// The `Authorization` after a 401 to a request with this login.
    ///
    /// # Errors
    ///
    /// The challenge cannot be met, or was met by `used` already.
    pub(crate) async fn after_refusal(
        &self,
        transport: &Transport,
        options: &ClientOptions,
        refusal: Answer,
        scope: &Scope,
        login: &Login,
    ) -> Result<HeaderValue, ClientError> {
        let used = login.header.as_ref();
        let url = refusal.url().clone();
        let at = |problem| ClientError::at(url.as_str(), problem);
        let challenges = refusal.challenges();
        let named = |scheme| challenges.iter().find(move |challenge: &&Challenge| challenge.scheme == scheme);
        if let Some(challenge) = named("bearer") {
            let realm = challenge.parameter("realm").unwrap_or_default();
            // A relative realm is outside the protocol, and regctl takes it.
            let realm = url.join(realm).ok().filter(|_| !realm.is_empty()).map(without_user);
            let realm = realm
                .ok_or_else(|| at(Problem::Protocol("the challenge names no token server".to_owned())))?;
            let service = challenge.parameter("service").map(str::to_owned);
            let way = AuthScheme::Bearer { realm: realm.clone(), service: service.clone() };
            // Once a request: each may count as a failed login.
            if let Some((_, error)) = login.refused.as_deref().filter(|(refused, _)| *refused == way) {
                return Err(error.clone());
            }
            let more = challenge.parameter("scope").map(Scope::parse).unwrap_or_default();
            let credential = self.credential(&url, scope).await?;
            let renewal = Renewal { more, used: used.cloned() };
            let token =
                self.token(transport, options, &credential, realm, service, scope, Some(renewal)).await?;
            // Only now: a challenge that cannot be met must not keep later requests from the next one.
            self.set_way(way);
            return Ok(token);
        }
        if named("basic").is_some() {
            self.set_way(AuthScheme::Basic);
            let credential = self.credential(&url, scope).await?;
            let Some(header) = basic(&credential) else { return Err(self.refused(refusal, scope).await) };
            if used != Some(&header) {
                return Ok(header);
            }
            // A helper's password may have expired since it was asked.
            self.credentials.forget().await;
            let renewed = basic(&self.credential(&url, scope).await?).filter(|renewed| *renewed != header);
            return match renewed {
                Some(renewed) => Ok(renewed),
                None => Err(self.refused(refusal, scope).await),
            };
        }
        match challenges.first() {
            Some(challenge) => {
                let scheme = crate::error::shown(&challenge.scheme);
                Err(at(Problem::Protocol(format!(
                    "it wants the unsupported authentication scheme `{scheme}`"
                ))))
            }
            None => Err(self.refused(refusal, scope).await),
        }
    }

    /// Whether there is no account for a request.
    pub(crate) async fn is_anonymous(&self, url: &Url, scope: &Scope) -> bool {
        self.credential(url, scope).await.is_ok_and(|credential| credential == Credential::Anonymous)
    }

    /// The error of a request that is refused although everything was tried.
    pub(crate) async fn refused(&self, refusal: Answer, scope: &Scope) -> ClientError {
        let url = refusal.url().clone();
        let credential = self.credential(&url, scope).await.unwrap_or_default();
        if credential == Credential::Anonymous {
            return ClientError::at(url.as_str(), Problem::LoginRequired);
        }
        let answer = refusal.server_answer().await;
        ClientError::at(url.as_str(), Problem::LoginRefused { user: credential.user().to_owned(), answer })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of the key are known to two callers in different shapes"
    )]
    async fn token(
        &self,
        transport: &Transport,
        options: &ClientOptions,
        credential: &Credential,
        realm: Url,
        service: Option<String>,
        scope: &Scope,
        renewal: Option<Renewal>,
    ) -> Result<HeaderValue, ClientError> {
        if let Credential::RegistryToken(token) = credential {
            let header = HeaderValue::try_from(format!("Bearer {}", token.expose()));
            let mut header = header.map_err(|_| {
                ClientError::at(
                    realm.as_str(),
                    Problem::Protocol("the stored token is not the value of a header".to_owned()),
                )
            })?;
            header.set_sensitive(true);
            return Ok(header);
        }
        let key = TokenKey::new(&credential.fingerprint(), realm.as_str(), service.as_deref(), scope);
        let entry = self.tokens.entry(key);
        let fetches = entry.fetches.load(Ordering::Relaxed);
        let mut state = entry.state.lock().await;
        if let Some(error) = &state.failure
            && fetches != entry.fetches.load(Ordering::Relaxed)
        {
            // Each of many requests would wait for the same failure, one after the other.
            return Err(error.clone());
        }
        if let Some(Renewal { more, used }) = renewal {
            state.more = Scope::parse(&state.more).and(more).to_text();
            // Another request may have renewed it meanwhile.
            if state.token.as_ref().is_some_and(|token| Some(&token.header) == used.as_ref()) {
                state.token = None;
            }
        }
        if let Some(token) = state.token.as_ref().filter(|token| options.clock.elapsed() < token.renew_at) {
            return Ok(token.header.clone());
        }
        let wanted = scope.clone().and(Scope::parse(&state.more));
        let fetching =
            fetch(transport, options, &self.address, credential, &realm, service.as_deref(), &wanted);
        let longest = options.timeouts.token();
        let late = |_| ClientError::at(realm.as_str(), Problem::SlowToken(longest)).after_answer();
        let fetched =
            tokio::time::timeout(longest, fetching).await.unwrap_or_else(|elapsed| Err(late(elapsed)));
        entry.fetches.fetch_add(1, Ordering::Relaxed);
        state.failure = fetched.as_ref().err().cloned();
        if let Some(Problem::LoginRefused { .. }) = state.failure.as_ref().map(ClientError::problem) {
            // The next request asks a helper again.
            self.credentials.forget().await;
        }
        let token = fetched?;
        state.token = Some(token.clone());
        Ok(token.header)
    }

    async fn credential(&self, url: &Url, scope: &Scope) -> Result<Credential, ClientError> {
        let found = self.credentials.find(&self.address, scope.repository()).await;
        found.map_err(|error| ClientError::at(url.as_str(), Problem::Credentials(error)))
    }

    fn way(&self) -> AuthScheme {
        self.way.lock().clone()
    }

    fn set_way(&self, way: AuthScheme) {
        *self.way.lock() = way;
    }
}

/// Whether a token server answered, and gives this client no token for the scope.
fn is_refusal(error: &ClientError) -> bool {
    match error.problem() {
        Problem::LoginRequired | Problem::LoginRefused { .. } => true,
        Problem::TokenServer { status, .. } => (400..500).contains(status) && *status != 429,
        _ => false,
    }
}

/// A token that the registry refused, with the scopes that it named.
struct Renewal {
    more: Scope,
    used: Option<HeaderValue>,
}

/// Fetches a token: by `GET` with the password, or by `POST` with an identity token (Distribution, `docs/spec/auth/token.md`
/// and `oauth.md`), once: the request that needs it is repeated, with a new challenge.
async fn fetch(
    transport: &Transport,
    options: &ClientOptions,
    address: &RegistryAddress,
    credential: &Credential,
    realm: &Url,
    service: Option<&str>,
    scope: &Scope,
) -> Result<Token, ClientError> {
    let at = |problem| ClientError::at(realm.as_str(), problem);
    let registry = transport.registry();
    let has_credentials = *credential != Credential::Anonymous;
    realm::check(&registry, realm, &options.trusted_realms, has_credentials)
        .map_err(|problem| ClientError::at(registry.as_str(), problem))?;
    let mut url = realm.clone();
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let request = if let Credential::IdentityToken(token) = credential {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token").append_pair("client_id", "sampan");
        form.append_pair("refresh_token", token.expose());
        service.map(|service| form.append_pair("service", service));
        form.append_pair("scope", &scope.to_text());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Request { method: Method::POST, url, headers, payload: Payload::Login(Bytes::from(form.finish())) }
    } else {
        let mut query = url.query_pairs_mut();
        service.map(|service| query.append_pair("service", service));
        for scope in scope.parameters() {
            query.append_pair("scope", &scope);
        }
        if has_credentials {
            query.append_pair("account", credential.user());
        }
        query.append_pair("client_id", "sampan");
        drop(query);
        headers.extend(basic(credential).map(|header| (AUTHORIZATION, header)));
        Request { method: Method::GET, url, headers, payload: Payload::Empty }
    };
    let mut answer = transport.send(request).await?;
    match answer.status() {
        200 => {
            let limit = options.limits.token_bytes;
            let body = answer.read(limit, "the answer of the token server, in bytes,").await?;
            Token::parse(&body, options.clock.elapsed())
                .map_err(|problem| at(Problem::Protocol(problem.to_owned())))
        }
        // The user knows the registry, not its token server.
        400 | 401 | 403 if has_credentials => {
            let answer = answer.server_answer().await;
            let problem = Problem::LoginRefused { user: credential.user().to_owned(), answer };
            Err(ClientError::at(&address.to_string(), problem))
        }
        401 | 403 => Err(ClientError::at(&address.to_string(), Problem::LoginRequired)),
        status => {
            let retry_after = answer.retry_after(options.clock.wall());
            let answer = answer.server_answer().await;
            Err(at(Problem::TokenServer { status, answer, retry_after }))
        }
    }
}

/// Basic's header; `None` for a credential without a password.
fn basic(credential: &Credential) -> Option<HeaderValue> {
    let Credential::Password { user, password } = credential else { return None };
    let text = STANDARD.encode(format!("{user}:{}", password.expose()));
    let mut header = HeaderValue::try_from(format!("Basic {text}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}
