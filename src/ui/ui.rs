//! `Ui`: from a request to a page.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, LOCATION};
use http::{HeaderValue, Method, Response, StatusCode};
use sampan_engine::oci::RepositoryName;
use sampan_engine::{Registry, Survey};

use super::assets::Asset;
use super::changes::DeniedAccess;
use super::figures::Figures;
use super::frame::Frame;
use super::gate::{Gate, Refusal, Right, Visitor};
use super::housekeeping::Housekeeping;
use super::pages::{self, Problem};
use super::reply::{self, Reply};
use super::route::{NoRoute, Route};
use super::session::SessionKey;
use super::settings::UiSettings;
use super::tag_sizes::TagSizes;
use super::tokens::AccessTokens;
use super::verifications::Verifications;
use super::visit::{Declined, UiRequest, Visit};

/// The largest form, in bytes: a token's record may have 16 KiB.
const MAX_FORM_BYTES: usize = 32 << 10;

/// The largest form of a deletion, in bytes: a whole page of tags, each with its digest.
const MAX_DELETION_BYTES: usize = 256 << 10;

/// The page of a registry. Cloning costs one reference count.
#[derive(Clone)]
pub struct Ui {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    registry: Registry,
    gate: Arc<dyn Gate>,
    settings: UiSettings,
    key: SessionKey,
    housekeeping: Option<Arc<dyn Housekeeping>>,
    verifications: Option<Arc<dyn Verifications>>,
    tokens: Option<Arc<dyn AccessTokens>>,
    figures: Arc<Figures>,
    tag_sizes: Arc<TagSizes>,
}

impl Ui {
    /// The page of `registry`. `gate` decides who may see what, and `key` seals sessions.
    pub fn new(registry: Registry, gate: Arc<dyn Gate>, settings: UiSettings, key: SessionKey) -> Self {
        let inner = Inner {
            registry,
            gate,
            settings,
            key,
            housekeeping: None,
            verifications: None,
            tokens: None,
            figures: Arc::default(),
            tag_sizes: Arc::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The same with the pages of garbage collections.
    #[must_use]
    pub fn with_housekeeping(self, housekeeping: Arc<dyn Housekeeping>) -> Self {
        let inner = Arc::unwrap_or_clone(self.inner);
        Self { inner: Arc::new(Inner { housekeeping: Some(housekeeping), ..inner }) }
    }

    /// The same with what verifications have found, on the page of garbage collections.
    #[must_use]
    pub fn with_verifications(self, verifications: Arc<dyn Verifications>) -> Self {
        let inner = Arc::unwrap_or_clone(self.inner);
        Self { inner: Arc::new(Inner { verifications: Some(verifications), ..inner }) }
    }

    /// The same with a page of the visitor's access tokens.
    #[must_use]
    pub fn with_access_tokens(self, tokens: Arc<dyn AccessTokens>) -> Self {
        let inner = Arc::unwrap_or_clone(self.inner);
        Self { inner: Arc::new(Inner { tokens: Some(tokens), ..inner }) }
    }

    /// The path below which all pages are.
    pub fn base(&self) -> &str {
        &self.inner.settings.base
    }

    /// Whether the page answers a path of the server.
    pub fn has(&self, path: &str) -> bool {
        path.strip_prefix(self.base()).is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }

    /// The largest form that a path of the server takes, in bytes.
    pub fn max_form_bytes(&self, path: &str) -> usize {
        match path.strip_prefix(self.base()).map(Route::parse) {
            Some(Ok(Route::Delete(_))) => MAX_DELETION_BYTES,
            _ => MAX_FORM_BYTES,
        }
    }

    /// Answers a request below [`base`](Self::base). It returns the user too, for the log.
    pub async fn answer(&self, request: UiRequest<'_>) -> (Response<Bytes>, Option<String>) {
        let path = request.parts.uri.path().to_owned();
        let below = path.strip_prefix(self.base()).unwrap_or_default();
        let (place, is_known) = match Route::parse(below) {
            Ok(Route::Asset(name)) => return (self.asset(&request, &name), None),
            Err(NoRoute::Moved(place)) => return (self.moved(&place), None),
            Ok(place) => (place, true),
            // It has the frame of the first page.
            Err(NoRoute::Unknown) => (Route::Repositories, false),
        };
        let visit = Visit::new(request, &self.inner.settings, &self.inner.key);
        let visitor = self.inner.gate.visitor(&visit.parts, visit.session.as_ref()).await;
        let user = visitor.as_ref().ok().and_then(|visitor| visitor.user.clone());
        let scene = PageContext { ui: &self.inner, visit: &visit, place };
        let answer = match &scene.place {
            _ if !is_known => Err(Problem::NotFound),
            Route::Preferences | Route::Login | Route::Logout => scene.outside(visitor.as_ref().ok()).await,
            _ => match &visitor {
                Ok(visitor) => scene.inside(visitor).await,
                Err(refusal) => Err(Problem::Refused(refusal.clone())),
            },
        };
        (answer.unwrap_or_else(|problem| pages::problem(&scene, visitor.as_ref().ok(), problem)), user)
    }

    /// Answers a request that the caller declines, with an empty body: by a page for browsers, by JSON for others.
    pub async fn decline(&self, request: UiRequest<'_>, why: Declined) -> Response<Bytes> {
        let below = request.parts.uri.path().strip_prefix(self.base()).unwrap_or_default();
        let place = Route::parse(below).unwrap_or(Route::Repositories);
        let visit = Visit::new(request, &self.inner.settings, &self.inner.key);
        let visitor = match why {
            Declined::TooLarge => self.inner.gate.visitor(&visit.parts, visit.session.as_ref()).await.ok(),
            // It costs no look at users and tokens, which may be what fails.
            Declined::TooMany | Declined::Unhealthy => None,
        };
        let scene = PageContext { ui: &self.inner, visit: &visit, place };
        pages::problem(&scene, visitor.as_ref(), Problem::Declined(why))
    }

    fn asset(&self, request: &UiRequest<'_>, name: &str) -> Reply {
        match Asset::named(name) {
            Some(asset) if is_read(&request.parts.method) => reply::asset(asset),
            Some(_) => reply::plain(StatusCode::METHOD_NOT_ALLOWED),
            None => reply::plain(StatusCode::NOT_FOUND),
        }
    }

    fn moved(&self, place: &Route) -> Reply {
        let mut reply = reply::plain(StatusCode::MOVED_PERMANENTLY);
        if let Ok(location) = HeaderValue::from_str(&format!("{}{place}", self.base())) {
            reply.headers_mut().insert(LOCATION, location);
        }
        reply
    }
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

impl fmt::Debug for Ui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ui")
            .field("settings", &self.inner.settings)
            .field("gate", &self.inner.gate)
            .finish_non_exhaustive()
    }
}

/// A request at its place, with all that a page is made of.
pub(crate) struct PageContext<'a> {
    ui: &'a Inner,
    pub(crate) visit: &'a Visit<'a>,
    pub(crate) place: Route,
}

impl PageContext<'_> {
    pub(crate) fn registry(&self) -> &Registry {
        &self.ui.registry
    }

    pub(crate) fn settings(&self) -> &UiSettings {
        &self.ui.settings
    }

    pub(crate) fn gate(&self) -> &dyn Gate {
        &*self.ui.gate
    }

    /// The last survey of the store.
    pub(crate) async fn survey(&self) -> Option<Arc<Survey>> {
        self.ui.figures.survey(&self.ui.registry).await
    }

    /// The sizes of tagged images.
    pub(crate) fn tag_sizes(&self) -> &TagSizes {
        &self.ui.tag_sizes
    }

    pub(crate) fn housekeeping(&self) -> Option<&dyn Housekeeping> {
        self.ui.housekeeping.as_deref()
    }

    pub(crate) fn verifications(&self) -> Option<&dyn Verifications> {
        self.ui.verifications.as_deref()
    }

    pub(crate) fn access_tokens(&self) -> Option<&dyn AccessTokens> {
        self.ui.tokens.as_deref()
    }

    pub(crate) fn key(&self) -> &SessionKey {
        &self.ui.key
    }

    /// The frame of the page.
    pub(crate) fn frame(&self, visitor: Option<&Visitor>) -> Frame {
        Frame::new(self, visitor)
    }

    /// The token of a form that is sent to `place`.
    pub(crate) fn token(&self, place: &Route) -> String {
        self.key().form_token(&self.visit.cookie, &place.to_string())
    }

    /// The host in pull commands.
    pub(crate) fn pull_host(&self) -> &str {
        self.settings().pull_host.as_deref().or_else(|| self.visit.host()).unwrap_or("localhost:5000")
    }

    /// The pages that are there before anybody is known.
    async fn outside(&self, visitor: Option<&Visitor>) -> Result<Reply, Problem> {
        match (&self.place, &self.visit.parts.method) {
            (Route::Login, method) if is_read(method) && self.gate().has_login() => {
                Ok(pages::login::form(self, visitor))
            }
            (Route::Login, &Method::POST) if self.gate().has_login() => {
                self.check_form()?;
                pages::login::log_in(self).await
            }
            (Route::Login, _) if !self.gate().has_login() => Err(Problem::NotFound),
            (Route::Logout, &Method::POST) => {
                self.check_form_of(visitor)?;
                Ok(pages::login::log_out(self))
            }
            (Route::Preferences, &Method::POST) => {
                self.check_form_of(visitor)?;
                Ok(pages::preferences::keep(self))
            }
            (place, _) => {
                Err(Problem::Method(if *place == Route::Login { "GET, HEAD, POST" } else { "POST" }))
            }
        }
    }

    /// The pages for a visitor.
    async fn inside(&self, visitor: &Visitor) -> Result<Reply, Problem> {
        if let Some(name) = self.place.repository() {
            self.check_right(visitor, Right::Pull, name)?;
        }
        let (is_read, is_post) = (is_read(&self.visit.parts.method), self.visit.parts.method == Method::POST);
        match &self.place {
            Route::Repositories if is_read => pages::repositories::show(self, visitor).await,
            Route::Tags(name) if is_read => pages::tags::show(self, visitor, name).await,
            Route::Image(name, reference) if is_read => {
                pages::image::show(self, visitor, name, reference).await
            }
            Route::Layer(name, digest) if is_read => pages::layer::show(self, visitor, name, digest).await,
            Route::Compare(name) if is_read => pages::compare::show(self, visitor, name).await,
            Route::Collections if is_read => pages::collections::show(self, visitor).await,
            Route::Collect if is_post => {
                self.check_form_of(Some(visitor))?;
                pages::collections::begin(self, visitor).await
            }
            Route::Collect => Err(Problem::Method("POST")),
            Route::Tokens if is_read => pages::tokens::show(self, visitor).await,
            Route::Tokens if is_post => {
                self.check_form_of(Some(visitor))?;
                pages::tokens::change(self, visitor).await
            }
            Route::Delete(name) if is_read => pages::delete::preview(self, visitor, name, None).await,
            // A session that ended is said first: the token of its form is no longer right either.
            Route::Delete(name) if is_post => {
                self.check_right(visitor, Right::Delete, name)?;
                self.check_form_of(Some(visitor))?;
                pages::delete::delete(self, visitor, name).await
            }
            Route::Restore(name) if is_read => pages::restore::show(self, visitor, name, None).await,
            Route::Restore(name) if is_post => {
                self.check_right(visitor, Right::Push, name)?;
                self.check_form_of(Some(visitor))?;
                pages::restore::restore(self, visitor, name).await
            }
            Route::Delete(_) | Route::Restore(_) | Route::Tokens => Err(Problem::Method("GET, HEAD, POST")),
            Route::Storage if is_read => pages::storage::show(self, visitor).await,
            Route::Storage
            | Route::Collections
            | Route::Repositories
            | Route::Tags(_)
            | Route::Image(..)
            | Route::Layer(..)
            | Route::Compare(_) => Err(Problem::Method("GET, HEAD")),
            _ => Err(Problem::NotFound),
        }
    }

    pub(crate) fn check_right(
        &self,
        visitor: &Visitor,
        right: Right,
        name: &RepositoryName,
    ) -> Result<(), Problem> {
        if visitor.rights.may(right, name) {
            return Ok(());
        }
        match &visitor.user {
            // A login may help; a missing repository answers alike.
            None if self.gate().has_login() => return Err(Problem::Refused(Refusal::LoginNeeded)),
            None => {}
            Some(user) => {
                self.visit.changes.refused(&self.visit.parts, user, DeniedAccess::InRepository(right, name));
            }
        }
        Err(if right == Right::Pull { Problem::NotFound } else { Problem::Forbidden })
    }

    /// As [`check_form`](Self::check_form). A form of this site, from a visitor without a login, may be that of a session that
    /// ended: it is refused with the form for a login.
    fn check_form_of(&self, visitor: Option<&Visitor>) -> Result<(), Problem> {
        let is_known = visitor.is_some_and(|visitor| visitor.user.is_some());
        match self.check_form() {
            Err(Problem::Forged) if !is_known && self.gate().has_login() && self.visit.is_from_here() => {
                Err(Problem::Refused(Refusal::LoginNeeded))
            }
            checked => checked,
        }
    }

    /// Refuses a form that another site may have sent.
    fn check_form(&self) -> Result<(), Problem> {
        let token = self.visit.form.get("token").unwrap_or_default();
        let is_ours = self.key().is_form_token(&self.visit.cookie, &self.place.to_string(), token);
        if is_ours && self.visit.is_from_here() { Ok(()) } else { Err(Problem::Forged) }
    }
}

/// The header of a refused method.
pub(crate) fn allow(methods: &'static str) -> (http::HeaderName, HeaderValue) {
    (ALLOW, HeaderValue::from_static(methods))
}
