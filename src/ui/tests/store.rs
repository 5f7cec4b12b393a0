//! A store with images, and a browser's requests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use sampan_driver::StorageDriver;
use sampan_driver_inmemory::InMemoryDriver;
use sampan_engine::oci::{Digest, Reference, RepositoryName};
use sampan_engine::{Body, Limits, PutManifest, Registry, Remover, Repository};
use serde_json::{Value, json};

use crate::gate::{AllRights, Gate, Login, Refusal, Right, Rights, Visitor};
use crate::{Change, Changes, DeniedAccess, SessionKey, Ui, UiRequest, UiSettings};

pub(super) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry in memory with its page.
pub(super) struct Store {
    pub(super) registry: Registry,
    pub(super) ui: Ui,
}

impl Store {
    /// Everybody may do everything.
    pub(super) fn open() -> Self {
        Self::with(Arc::new(TestGate { users: false }))
    }

    /// `ann` may see what is below `team/`, with the password `secret`; everybody may see `public`.
    pub(super) fn with_users() -> Self {
        Self::with(Arc::new(TestGate { users: true }))
    }

    /// Begins again with what the store has, for the users of [`with_users`](Self::with_users).
    pub(super) fn forget_with_users(&mut self) {
        self.ui = page_of(&self.registry, Arc::new(TestGate { users: true }));
    }

    fn with(gate: Arc<dyn Gate>) -> Self {
        Self::over(Arc::new(InMemoryDriver::new()), gate)
    }

    /// Everybody may do everything in what the driver has.
    pub(super) fn open_over(driver: Arc<dyn StorageDriver>) -> Self {
        Self::over(driver, Arc::new(TestGate { users: false }))
    }

    fn over(driver: Arc<dyn StorageDriver>, gate: Arc<dyn Gate>) -> Self {
        let limits = Limits { delete: true, ..Limits::default() };
        let registry = Registry::builder(driver).limits(limits).build();
        let ui = page_of(&registry, gate);
        Self { registry, ui }
    }

    /// Begins again with what the store has.
    pub(super) fn forget(&mut self) {
        self.ui = page_of(&self.registry, Arc::new(TestGate { users: false }));
    }

    /// Pushes a blob, and returns its descriptor.
    pub(super) async fn blob(&self, name: &str, media_type: &str, content: &[u8]) -> Value {
        let digest = Digest::sha256_of(content);
        let uploads = self.registry.repository(name.parse().unwrap()).uploads();
        let body: Body = Box::pin(stream::iter([Ok(Bytes::copy_from_slice(content))]));
        uploads.put(&digest, Some(content.len() as u64), body).await.unwrap();
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": content.len() })
    }

    /// Pushes a manifest under a tag, or by its digest, and returns its descriptor.
    pub(super) async fn manifest(&self, name: &str, tag: Option<&str>, manifest: &Value) -> Value {
        let bytes = Bytes::from(manifest.to_string());
        let digest = Digest::sha256_of(&bytes);
        let reference =
            tag.map_or_else(|| Reference::Digest(digest.clone()), |tag| Reference::Tag(tag.parse().unwrap()));
        let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
        let size = bytes.len();
        let put = PutManifest {
            bytes,
            media_type: Some(media_type.clone()),
            reference,
            tags: Vec::new(),
            left_out: Vec::new(),
        };
        self.registry.repository(name.parse().unwrap()).manifests().put(put).await.unwrap();
        json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size })
    }

    /// Pushes an image with this configuration, and layers of these contents.
    pub(super) async fn image(
        &self,
        name: &str,
        tag: Option<&str>,
        config: &Value,
        layers: &[&str],
    ) -> Value {
        let config =
            self.blob(name, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes()).await;
        let mut descriptors = Vec::new();
        for layer in layers {
            descriptors
                .push(self.blob(name, "application/vnd.oci.image.layer.v1.tar+gzip", layer.as_bytes()).await);
        }
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": descriptors });
        self.manifest(name, tag, &manifest).await
    }

    /// Loads a page as a browser.
    pub(super) async fn get(&self, path: &str) -> Page {
        self.send(Request::get(path).header("accept", "text/html,*/*;q=0.8")).await
    }

    /// Loads the twin of a page in JSON.
    pub(super) async fn json(&self, path: &str) -> (StatusCode, Value) {
        let page = self.send(Request::get(path).header("accept", "application/json")).await;
        (page.status, serde_json::from_str(&page.text).unwrap())
    }

    /// Sends a form as a browser does from a page of this registry.
    pub(super) async fn post(&self, path: &str, cookie: &str, form: &[(&str, &str)]) -> Page {
        let request = Request::post(path).header("sec-fetch-site", "same-origin").header("cookie", cookie);
        self.send_with(request, form).await
    }

    /// Sends a request without a body.
    pub(super) async fn send(&self, request: http::request::Builder) -> Page {
        self.send_with(request, &[]).await
    }

    pub(super) async fn send_with(&self, request: http::request::Builder, form: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let (parts, body) =
            request.header("host", "reg.test:5000").body(Bytes::from(body)).unwrap().into_parts();
        let changes = &self.registry;
        let request = UiRequest { parts, body, is_secure: false, id: "request-1".to_owned(), changes };
        let (response, _) = self.ui.answer(request).await;
        Page::of(response)
    }
}

/// A response.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Page {
    fn of(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The cookies that it sets, as a browser sends them back.
    pub(super) fn cookie(&self) -> String {
        let set = self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        set.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
    }

    /// The token of the form that is sent to a path.
    pub(super) fn token(&self, action: &str) -> String {
        let form = self
            .text
            .split(&format!("action=\"{action}\""))
            .nth(1)
            .unwrap_or_else(|| panic!("no form for {action}: {}", self.text));
        let token = form.split("name=\"token\" value=\"").nth(1).unwrap();
        token.split('"').next().unwrap().to_owned()
    }

    /// The rows of the list: the text of each cell without its marks.
    pub(super) fn rows(&self) -> Vec<Vec<String>> {
        let body = self
            .text
            .split("<tbody>")
            .nth(1)
            .and_then(|rest| rest.split("</tbody>").next())
            .unwrap_or_default();
        let cells = |row: &str| {
            let cells = row.replace("<th", "<td");
            cells.split("<td").skip(1).map(|cell| text_of(cell.split_once('>').unwrap().1)).collect()
        };
        body.split("<tr>").skip(1).map(cells).collect()
    }
}

/// The text of HTML without its marks.
pub(super) fn text_of(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        rest = after.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#34;", "\"")
        .replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[derive(Debug)]
struct TestGate {
    users: bool,
}

#[async_trait]
impl Gate for TestGate {
    fn has_login(&self) -> bool {
        self.users
    }

    async fn visitor(&self, _: &Parts, session: Option<&Login>) -> Result<Visitor, Refusal> {
        let user = session.map(|login| login.user.clone());
        let is_current = |login: &Login| ["password:1", "token:1"].contains(&login.credential.as_str());
        if session.is_some_and(|login| !is_current(login)) {
            return Err(Refusal::LoginNeeded);
        }
        let rights: Arc<dyn Rights> = match self.users {
            false => Arc::new(AllRights),
            true => Arc::new(TeamOf(user.clone())),
        };
        let has_password = session.is_some_and(|login| login.credential.starts_with("password:"));
        Ok(Visitor { user, has_password, rights })
    }

    async fn log_in(&self, _: &Parts, user: &str, password: &str) -> Result<Login, Refusal> {
        match (user, password) {
            ("ann", "secret") => Ok(Login { user: user.to_owned(), credential: "password:1".to_owned() }),
            ("bob", "secret") => Ok(Login { user: user.to_owned(), credential: "password:1".to_owned() }),
            ("robot", "secret") => Ok(Login { user: user.to_owned(), credential: "token:1".to_owned() }),
            ("old", _) => Ok(Login { user: user.to_owned(), credential: "password:0".to_owned() }),
            ("away", _) => Err(Refusal::Unavailable),
            ("busy", _) => Err(Refusal::TooMany { retry_after: Duration::from_secs(7) }),
            _ => Err(Refusal::Wrong),
        }
    }
}

#[derive(Debug)]
struct TeamOf(Option<String>);

impl Rights for TeamOf {
    fn may(&self, right: Right, repository: &RepositoryName) -> bool {
        let is_ann = self.0.as_deref() == Some("ann");
        match repository.as_str() {
            "public" => right == Right::Pull,
            name => is_ann && name.starts_with("team/"),
        }
    }

    fn everywhere(&self, _: Right) -> bool {
        false
    }
}

impl Changes for Registry {
    fn repository(&self, _: &Parts, user: Option<&str>, name: RepositoryName, _: Change<'_>) -> Repository {
        let remover = user.map_or(Remover::Unknown, |user| Remover::User(user.to_owned()));
        Registry::repository(self, name).removing_as(remover)
    }

    fn collection_requested(&self, _: &Parts, _: Option<&str>) {}

    fn refused(&self, _: &Parts, _: &str, _: DeniedAccess<'_>) {}
}

fn page_of(registry: &Registry, gate: Arc<dyn Gate>) -> Ui {
    let settings = UiSettings { title: "Test registry".to_owned(), ..UiSettings::default() };
    Ui::new(registry.clone(), gate, settings, SessionKey::derived_from(b"test"))
}
